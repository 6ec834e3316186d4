"""Everything the converter can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: `convert.i18n` turns them into zh-CN or en by class name and fields.

ConvertError
├── SourceError                 the checkpoint can't be used
│   ├── SourceMissing
│   ├── NotACheckpoint          nothing at `path` looks like a checkpoint
│   │   ├── EmptyFolder
│   │   ├── NoWeights
│   │   └── NotWeights
│   ├── AlreadyGguf
│   ├── LfsPointer
│   ├── NotTorchZip
│   ├── NoTensors
│   ├── MissingShard
│   ├── MissingTensor
│   ├── TruncatedFile
│   ├── DamagedFile
│   ├── DamagedTensor
│   ├── ForbiddenPickle
│   ├── UnsupportedDtype
│   ├── UnknownArchitecture
│   ├── ConfigMissing
│   ├── InvalidConfig
│   ├── UnsupportedModel
│   ├── TensorShapeMismatch
│   ├── PrivateGgmlContainer    2023's ggml files, this and the next four
│   ├── UnknownGgmlVersion
│   ├── UnknownGgmlModel
│   ├── UnsupportedGgmlType
│   ├── UnknownGgmlBlocks
│   ├── SeveralWeightFiles      quantized checkpoints, adapters, Meta's files: this and the next nine
│   ├── UnsupportedQuantization
│   ├── QuantizationMismatch
│   ├── GptqConfigMissing
│   ├── MetaParamsMissing
│   ├── NotAnAdapter
│   ├── AdapterAlone
│   ├── UnsupportedAdapter
│   ├── AdapterMismatch
│   ├── AdapterTargetMissing
│   ├── NotEncrypted            XOR-encrypted files (`.enc`) and their key
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
│   ├── TokenizerMissing
│   ├── UnsupportedTokenizer
│   ├── VocabularyTooLong
│   ├── LossyGgmlVocabulary
│   └── UnscoredGgmlVocabulary
├── OutputError
│   ├── OutputExists
│   ├── NotEnoughDisk
│   ├── OutputInUse
│   ├── OutputNotWritable
│   └── VerificationFailed
└── QuantizationUnsupported
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(eq=False)
class ConvertError(Exception):
    """Base of all converter errors; its dataclass fields are what a message may use."""

    def __str__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class SourceError(ConvertError):
    """The checkpoint can't be used; `path` is the file or folder at fault."""

    path: Path


@dataclass(eq=False)
class SourceMissing(SourceError):
    """There is nothing readable at `path`; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class NotACheckpoint(SourceError):
    """Nothing at `path` looks like a checkpoint."""


@dataclass(eq=False)
class EmptyFolder(NotACheckpoint):
    """There is nothing in the folder."""


@dataclass(eq=False)
class NoWeights(NotACheckpoint):
    """There are other things in the folder; `found` holds the first names."""

    found: tuple[str, ...]


@dataclass(eq=False)
class NotWeights(NotACheckpoint):
    """The file is none that weights are kept in."""


@dataclass(eq=False)
class AlreadyGguf(SourceError):
    """The file is a GGUF: nothing is left to convert."""


@dataclass(eq=False)
class LfsPointer(SourceError):
    """What a clone without Git LFS leaves in place of the file itself."""


@dataclass(eq=False)
class NotTorchZip(SourceError):
    """A `.bin`, `.pt` or `.pth` that is no ZIP file: not a checkpoint, or saved by PyTorch before 1.6."""


@dataclass(eq=False)
class NoTensors(SourceError):
    """A readable container without a dictionary of tensors in it."""


@dataclass(eq=False)
class MissingShard(SourceError):
    """The index names a shard that is not there."""

    shard: str


@dataclass(eq=False)
class MissingTensor(SourceError):
    """The architecture needs a tensor that the checkpoint lacks."""

    tensor: str


@dataclass(eq=False)
class TruncatedFile(SourceError):
    """The file ends before what its own header promises (bytes)."""

    expected_bytes: int
    found_bytes: int


@dataclass(eq=False)
class DamagedFile(SourceError):
    """The file contradicts itself or a sane bound; `detail` names the place."""

    detail: str


@dataclass(eq=False)
class DamagedTensor(SourceError):
    """What was read of a tensor has not the CRC-32 that its file gives; is_shared: others lie there too."""

    tensor: str
    is_shared: bool


@dataclass(eq=False)
class ForbiddenPickle(SourceError):
    """The pickle asks for something other than tensors: reading it would run code."""

    name: str


@dataclass(eq=False)
class UnsupportedDtype(SourceError):
    """A tensor is stored in a type that can't be converted."""

    tensor: str
    dtype: str


@dataclass(eq=False)
class UnknownArchitecture(SourceError):
    """config.json names an architecture that is not in the registry."""

    architecture: str
    known: tuple[str, ...]


@dataclass(eq=False)
class ConfigMissing(SourceError):
    """There are weights in the folder `path`, but no config.json that describes them."""


@dataclass(eq=False)
class InvalidConfig(SourceError):
    """config.json lacks a setting or holds an impossible value."""

    setting: str
    found: str


@dataclass(eq=False)
class UnsupportedModel(SourceError):
    """A known architecture with a setting that llama.cpp has no equivalent for."""

    setting: str
    found: str


@dataclass(eq=False)
class TensorShapeMismatch(SourceError):
    """A tensor's shape contradicts config.json."""

    tensor: str
    expected: tuple[int, ...]
    found: tuple[int, ...]


# XOR-encrypted files (`.enc`) and their key.


@dataclass(eq=False)
class NotEncrypted(SourceError):
    """A plain file, or a folder without `.enc` files, where encrypted ones are expected."""


@dataclass(eq=False)
class KeyNeeded(SourceError):
    """An encrypted file, or a folder of them, where plain ones are expected and no key was given."""


@dataclass(eq=False)
class EncryptedNameMismatch(SourceError):
    """The hash in the file's name is not the one in its first bytes; both are SHA-256, hexadecimal."""

    name_hash: str
    header_hash: str


@dataclass(eq=False)
class DuplicateEncryptedFile(SourceError):
    """Two encrypted files in the folder `path` have the same plain name, with different hashes."""

    name: str


@dataclass(eq=False)
class MissingEncryptedShard(SourceError):
    """The encrypted set in the folder `path` lacks a part; `shard` is its plain name."""

    shard: str


@dataclass(eq=False)
class PartialDownload(SourceError):
    """The encrypted file is shorter than the published one, of which `published_bytes` is a lower bound."""

    published_bytes: int
    found_bytes: int


@dataclass(eq=False)
class WrongKey(SourceError):
    """What `key` makes of the file at `path` has another hash (SHA-256, hexadecimal), and begins wrong."""

    key: Path
    expected_hash: str
    found_hash: str


@dataclass(eq=False)
class DamagedEncryptedFile(SourceError):
    """The hash is wrong, but the start decrypts well: damaged, cut short, or a key that only begins alike."""

    key: Path
    expected_hash: str
    found_hash: str


@dataclass(eq=False)
class KeyDoesNotFit(SourceError):
    """A large file decrypted with `key` does not begin as its kind does; its hash was not computed."""

    key: Path


@dataclass(eq=False)
class EncryptedEndMissing(SourceError):
    """A large file decrypted with `key` begins well, but its end is not there; its hash was not computed."""

    key: Path


@dataclass(eq=False)
class UnusableKey(SourceError):
    """The file at `path` can't be the key of encrypted files."""


@dataclass(eq=False)
class KeyIsEncrypted(UnusableKey):
    """The key is itself an encrypted file: source and key are mixed up."""


@dataclass(eq=False)
class TruncatedKey(UnusableKey):
    """The key is shorter than the known one (bytes) and lacks its end."""

    expected_bytes: int
    found_bytes: int


@dataclass(eq=False)
class Llama2Key(UnusableKey):
    """The key is a weight file of Llama 2; the first LLaMA's is needed."""


@dataclass(eq=False)
class KeyHashMismatch(UnusableKey):
    """The key has another MD5 (hexadecimal) than the known one."""

    expected_md5: str
    found_md5: str


@dataclass(eq=False)
class TokenizerError(ConvertError):
    """The tokenizer can't be used; `path` is its file, or the folder that should hold it."""

    path: Path


@dataclass(eq=False)
class TokenizerMissing(TokenizerError):
    """Neither tokenizer.json nor tokenizer.model was found; `expected` names what this architecture needs."""

    expected: str


@dataclass(eq=False)
class UnsupportedTokenizer(TokenizerError):
    """The tokenizer is of a kind that GGUF can't express; `detail` names the part."""

    detail: str


@dataclass(eq=False)
class VocabularyTooLong(TokenizerError):
    """The tokenizer has more tokens than the embedding has rows."""

    n_tokens: int
    n_embeddings: int


@dataclass(eq=False)
class OutputError(ConvertError):
    """The result can't be written to `path`."""

    path: Path


@dataclass(eq=False)
class OutputExists(OutputError):
    """Something is at the output path already."""


@dataclass(eq=False)
class NotEnoughDisk(OutputError):
    """The disk has less room than the result needs (bytes)."""

    needed_bytes: int
    free_bytes: int


@dataclass(eq=False)
class OutputInUse(OutputError):
    """Another process is converting to the same output."""


@dataclass(eq=False)
class OutputNotWritable(OutputError):
    """The system refused to write; `reason` is its own."""

    reason: str


@dataclass(eq=False)
class VerificationFailed(OutputError):
    """The written file does not match the plan; it was removed."""

    detail: str


@dataclass(eq=False)
class QuantizationUnsupported(ConvertError):
    """The target type can't hold this model; `tensor` is the first that can't be quantized."""

    target: str
    tensor: str


# Files of 2023's ggml.


@dataclass(eq=False)
class PrivateGgmlContainer(SourceError):
    """The first ChatBELLE's own belle-model.bin, whose layout was never published."""


@dataclass(eq=False)
class UnknownGgmlVersion(SourceError):
    """A ggmf or ggjt file of a version that LLaMA files never had."""

    magic: str
    version: int


@dataclass(eq=False)
class UnknownGgmlModel(SourceError):
    """A ggml file that is neither LLaMA's nor bloomz.cpp's; `found` says what is known of it."""

    found: str


@dataclass(eq=False)
class UnsupportedGgmlType(SourceError):
    """A tensor of a type that ggml dropped in 2023 (Q4_2, Q4_3) or never stored."""

    tensor: str
    dtype: str


@dataclass(eq=False)
class UnknownGgmlBlocks(SourceError):
    """No known layout of `dtype` blocks gives the tensor plausible scales."""

    tensor: str
    dtype: str


@dataclass(eq=False)
class LossyGgmlVocabulary(TokenizerError):
    """bloomz.cpp stored no merges, and U+FFFD for tokens that are part of a character: no tokenizer."""


@dataclass(eq=False)
class UnscoredGgmlVocabulary(TokenizerError):
    """A "ggml" file of March 2023 without scores whose tokens are not in SentencePiece's order either."""


# GPTQ checkpoints, LoRA adapters, and Meta's own LLaMA files.


@dataclass(eq=False)
class SeveralWeightFiles(SourceError):
    """The folder `path` holds several models, the files `names`; nothing says which is meant."""

    names: tuple[str, ...]


@dataclass(eq=False)
class UnsupportedQuantization(SourceError):
    """The weights are quantized in a way that can't be read; `path` says so, or shows it."""

    setting: str
    found: str


@dataclass(eq=False)
class QuantizationMismatch(SourceError):
    """A part of a quantized layer contradicts the others, or what the configuration says of all."""

    tensor: str
    setting: str
    expected: str
    found: str


@dataclass(eq=False)
class GptqConfigMissing(SourceError):
    """There are GPTQ weights in the folder `path`, but no config.json, neither there nor by the tokenizer."""


@dataclass(eq=False)
class MetaParamsMissing(SourceError):
    """There is a consolidated.NN.pth in the folder `path`, but no params.json that describes it."""


@dataclass(eq=False)
class NotAnAdapter(SourceError):
    """The folder `path`, given as a LoRA adapter, lacks the file `missing`."""

    missing: str


@dataclass(eq=False)
class AdapterAlone(SourceError):
    """The folder `path` is a LoRA adapter without its model; `base` is where its author had it."""

    base: str


@dataclass(eq=False)
class UnsupportedAdapter(SourceError):
    """The adapter changes the model in a way that can't be merged into weights."""

    setting: str
    found: str


@dataclass(eq=False)
class AdapterMismatch(SourceError):
    """A matrix of the adapter has another rank than its settings say, or another shape than the base's."""

    tensor: str
    expected: str
    found: str


@dataclass(eq=False)
class AdapterTargetMissing(SourceError):
    """The adapter changes a tensor that the model does not have; `base` is the model it was made for."""

    tensor: str
    base: str
