"""Everything the converter can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: `convert.i18n` turns them into zh-CN or en by class name and fields. The
roots are in `base`; each branch has the module that is named beside its first class.

ConvertError
├── SourceError                 the checkpoint can't be used
│   ├── SourceMissing           sources
│   ├── NotACheckpoint          nothing at `path` looks like a checkpoint
│   │   ├── EmptyFolder
│   │   ├── NoWeights
│   │   ├── NotWeights
│   │   ├── TrainingState
│   │   └── ShardedCheckpoint
│   ├── AlreadyGguf
│   ├── LfsPointer
│   ├── NotTorchFile
│   ├── TarTorchFile
│   ├── BigEndianFile
│   ├── NoTensors
│   ├── MissingShard
│   ├── BrokenLink
│   ├── MissingTensor
│   ├── TruncatedFile
│   ├── DamagedFile
│   ├── InvalidFile
│   ├── DamagedTensor
│   ├── ForbiddenPickle
│   ├── UngatheredWeights
│   ├── UnmergedAdapter
│   ├── UnsupportedDtype
│   ├── UnknownArchitecture
│   ├── ConfigMissing
│   ├── InvalidConfig
│   ├── UnsupportedModel
│   ├── TensorShapeMismatch
│   ├── SeveralWeightFiles
│   ├── SeveralCheckpoints
│   ├── MetaParamsMissing
│   ├── PrivateGgmlContainer    quantized: 2023's ggml files, GPTQ
│   ├── UnknownGgmlVersion
│   ├── UnknownGgmlModel
│   ├── UnsupportedGgmlType
│   ├── UnknownGgmlBlocks
│   ├── UnsupportedQuantization
│   ├── QuantizationMismatch
│   ├── GptqConfigMissing
│   ├── NotAnAdapter            adapters: LoRA
│   ├── MlxAdapter
│   ├── AdapterAlone
│   ├── UnsupportedAdapter
│   ├── AdapterMismatch
│   ├── AdapterTargetMissing
│   ├── PromptAdapter
│   ├── EmptyAdapter
│   ├── UngatheredAdapter
│   ├── UntrainedAdapter
│   ├── AdapterRowsMissing
│   ├── NotEncrypted            encrypted: `.enc` files and their key
│   ├── KeyNeeded
│   ├── EncryptedNameMismatch
│   ├── DuplicateEncryptedFile
│   ├── MissingEncryptedShard
│   ├── PartialDownload
│   ├── WrongKey
│   ├── DamagedEncryptedFile
│   ├── KeyDoesNotFit
│   ├── EncryptedEndMissing
│   └── UnusableKey             `path` is the key
│       ├── KeyIsEncrypted
│       ├── TruncatedKey
│       ├── Llama2Key
│       └── KeyHashMismatch
├── TokenizerError
│   ├── TokenizerMissing        tokenizers
│   ├── UnsupportedTokenizer
│   ├── VocabularyTooLong
│   ├── LossyGgmlVocabulary
│   ├── UnscoredGgmlVocabulary
│   ├── AdapterTokenizerMissing
│   └── SeveralTemplates
├── OutputError
│   ├── OutputExists            output
│   ├── NotEnoughDisk
│   ├── OutputInUse
│   ├── OutputNotWritable
│   └── VerificationFailed
└── QuantizationUnsupported
"""

from convert.errors.adapters import (
    AdapterAlone,
    AdapterMismatch,
    AdapterRowsMissing,
    AdapterTargetMissing,
    EmptyAdapter,
    MlxAdapter,
    NotAnAdapter,
    PromptAdapter,
    UngatheredAdapter,
    UnsupportedAdapter,
    UntrainedAdapter,
)
from convert.errors.base import (
    ConvertError,
    Detail,
    OutputError,
    QuantizationUnsupported,
    SourceError,
    TokenizerError,
)
from convert.errors.encrypted import (
    DamagedEncryptedFile,
    DuplicateEncryptedFile,
    EncryptedEndMissing,
    EncryptedNameMismatch,
    KeyDoesNotFit,
    KeyHashMismatch,
    KeyIsEncrypted,
    KeyNeeded,
    Llama2Key,
    MissingEncryptedShard,
    NotEncrypted,
    PartialDownload,
    TruncatedKey,
    UnusableKey,
    WrongKey,
)
from convert.errors.output import (
    NotEnoughDisk,
    OutputExists,
    OutputInUse,
    OutputNotWritable,
    VerificationFailed,
)
from convert.errors.quantized import (
    GptqConfigMissing,
    PrivateGgmlContainer,
    QuantizationMismatch,
    UnknownGgmlBlocks,
    UnknownGgmlModel,
    UnknownGgmlVersion,
    UnsupportedGgmlType,
    UnsupportedQuantization,
)
from convert.errors.sources import (
    AlreadyGguf,
    BigEndianFile,
    BrokenLink,
    ConfigMissing,
    DamagedFile,
    DamagedTensor,
    EmptyFolder,
    ForbiddenPickle,
    InvalidConfig,
    InvalidFile,
    LfsPointer,
    MetaParamsMissing,
    MissingShard,
    MissingTensor,
    NotACheckpoint,
    NoTensors,
    NotTorchFile,
    NotWeights,
    NoWeights,
    SeveralCheckpoints,
    SeveralWeightFiles,
    ShardedCheckpoint,
    SourceMissing,
    TarTorchFile,
    TensorShapeMismatch,
    TrainingState,
    TruncatedFile,
    UngatheredWeights,
    UnknownArchitecture,
    UnmergedAdapter,
    UnsupportedDtype,
    UnsupportedModel,
)
from convert.errors.tokenizers import (
    AdapterTokenizerMissing,
    LossyGgmlVocabulary,
    SeveralTemplates,
    TokenizerMissing,
    UnscoredGgmlVocabulary,
    UnsupportedTokenizer,
    VocabularyTooLong,
)

__all__ = [
    "AdapterAlone",
    "AdapterMismatch",
    "AdapterRowsMissing",
    "AdapterTargetMissing",
    "AdapterTokenizerMissing",
    "AlreadyGguf",
    "BigEndianFile",
    "BrokenLink",
    "ConfigMissing",
    "ConvertError",
    "DamagedEncryptedFile",
    "DamagedFile",
    "DamagedTensor",
    "Detail",
    "DuplicateEncryptedFile",
    "EmptyAdapter",
    "EmptyFolder",
    "EncryptedEndMissing",
    "EncryptedNameMismatch",
    "ForbiddenPickle",
    "GptqConfigMissing",
    "InvalidConfig",
    "InvalidFile",
    "KeyDoesNotFit",
    "KeyHashMismatch",
    "KeyIsEncrypted",
    "KeyNeeded",
    "LfsPointer",
    "Llama2Key",
    "LossyGgmlVocabulary",
    "MetaParamsMissing",
    "MissingEncryptedShard",
    "MissingShard",
    "MissingTensor",
    "MlxAdapter",
    "NoTensors",
    "NoWeights",
    "NotACheckpoint",
    "NotAnAdapter",
    "NotEncrypted",
    "NotEnoughDisk",
    "NotTorchFile",
    "NotWeights",
    "OutputError",
    "OutputExists",
    "OutputInUse",
    "OutputNotWritable",
    "PartialDownload",
    "PrivateGgmlContainer",
    "PromptAdapter",
    "QuantizationMismatch",
    "QuantizationUnsupported",
    "SeveralCheckpoints",
    "SeveralTemplates",
    "SeveralWeightFiles",
    "ShardedCheckpoint",
    "SourceError",
    "SourceMissing",
    "TarTorchFile",
    "TensorShapeMismatch",
    "TokenizerError",
    "TokenizerMissing",
    "TrainingState",
    "TruncatedFile",
    "TruncatedKey",
    "UngatheredWeights",
    "UngatheredAdapter",
    "UnknownArchitecture",
    "UnknownGgmlBlocks",
    "UnknownGgmlModel",
    "UnknownGgmlVersion",
    "UnmergedAdapter",
    "UnscoredGgmlVocabulary",
    "UnsupportedAdapter",
    "UnsupportedDtype",
    "UnsupportedGgmlType",
    "UnsupportedModel",
    "UnsupportedQuantization",
    "UnsupportedTokenizer",
    "UntrainedAdapter",
    "UnusableKey",
    "VerificationFailed",
    "VocabularyTooLong",
    "WrongKey",
]
