"""Everything the converter can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: `convert.i18n` turns them into zh-CN or en by class name and fields. The
roots are in `base`; each branch has the module that is named beside its first class.

ConvertError
├── SourceError                 the checkpoint can't be used
│   ├── SourceMissing           sources
│   ├── NotACheckpoint          nothing at `path` looks like a checkpoint
│   │   ├── EmptyFolder
│   │   ├── NoWeights
│   │   └── NotWeights
│   ├── AlreadyGguf
│   ├── LfsPointer
│   ├── NotTorchZip
│   ├── NoTensors
│   ├── MissingShard
│   ├── BrokenLink
│   ├── MissingTensor
│   ├── TruncatedFile
│   ├── DamagedFile
│   ├── InvalidFile
│   ├── DamagedTensor
│   ├── ForbiddenPickle
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
│   ├── AdapterAlone
│   ├── UnsupportedAdapter
│   ├── AdapterMismatch
│   ├── AdapterTargetMissing
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
    AdapterTargetMissing,
    NotAnAdapter,
    UnsupportedAdapter,
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
    NotTorchZip,
    NotWeights,
    NoWeights,
    SeveralCheckpoints,
    SeveralWeightFiles,
    SourceMissing,
    TensorShapeMismatch,
    TruncatedFile,
    UnknownArchitecture,
    UnsupportedDtype,
    UnsupportedModel,
)
from convert.errors.tokenizers import (
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
    "AdapterTargetMissing",
    "AlreadyGguf",
    "BrokenLink",
    "ConfigMissing",
    "ConvertError",
    "DamagedEncryptedFile",
    "DamagedFile",
    "DamagedTensor",
    "Detail",
    "DuplicateEncryptedFile",
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
    "NoTensors",
    "NoWeights",
    "NotACheckpoint",
    "NotAnAdapter",
    "NotEncrypted",
    "NotEnoughDisk",
    "NotTorchZip",
    "NotWeights",
    "OutputError",
    "OutputExists",
    "OutputInUse",
    "OutputNotWritable",
    "PartialDownload",
    "PrivateGgmlContainer",
    "QuantizationMismatch",
    "QuantizationUnsupported",
    "SeveralCheckpoints",
    "SeveralTemplates",
    "SeveralWeightFiles",
    "SourceError",
    "SourceMissing",
    "TensorShapeMismatch",
    "TokenizerError",
    "TokenizerMissing",
    "TruncatedFile",
    "TruncatedKey",
    "UnknownArchitecture",
    "UnknownGgmlBlocks",
    "UnknownGgmlModel",
    "UnknownGgmlVersion",
    "UnscoredGgmlVocabulary",
    "UnsupportedAdapter",
    "UnsupportedDtype",
    "UnsupportedGgmlType",
    "UnsupportedModel",
    "UnsupportedQuantization",
    "UnsupportedTokenizer",
    "UnusableKey",
    "VerificationFailed",
    "VocabularyTooLong",
    "WrongKey",
]
