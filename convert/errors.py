"""Everything the converter can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: `convert.i18n` turns them into zh-CN or en by class name and fields.

ConvertError
├── SourceError                 the checkpoint can't be used
│   ├── SourceMissing
│   ├── NotACheckpoint
│   ├── AlreadyGguf
│   ├── NotTorchZip
│   ├── NoTensors
│   ├── MissingShard
│   ├── MissingTensor
│   ├── TruncatedFile
│   ├── DamagedFile
│   ├── ForbiddenPickle
│   ├── UnsupportedDtype
│   ├── UnknownArchitecture
│   ├── ConfigMissing
│   ├── InvalidConfig
│   ├── UnsupportedModel
│   └── TensorShapeMismatch
├── TokenizerError
│   ├── TokenizerMissing
│   ├── UnsupportedTokenizer
│   └── VocabularyTooLong
├── OutputError
│   ├── OutputExists
│   ├── NotEnoughDisk
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
    """Nothing at `path` looks like a checkpoint; `found` holds the first names in a folder, or is empty."""

    found: tuple[str, ...]


@dataclass(eq=False)
class AlreadyGguf(SourceError):
    """The file is a GGUF: nothing is left to convert."""


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
