"""A checkpoint that is missing, incomplete, damaged, or not of a kind that can be read."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import Detail, SourceError


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
class TrainingState(NotACheckpoint):
    """The file holds the state of a training, such as its optimizer's, and no model."""


@dataclass(eq=False)
class ShardedCheckpoint(NotACheckpoint):
    """What a training's processes wrote, each a part of every matrix; `path` is a part, or their folder."""


@dataclass(eq=False)
class NotTorchFile(SourceError):
    """A `.bin`, `.pt`, `.pth` or `.ckpt` in neither of the forms that `torch.save` has had since 2017."""


@dataclass(eq=False)
class TarTorchFile(SourceError):
    """A file of PyTorch from before February 2017: a tar archive."""


@dataclass(eq=False)
class BigEndianFile(SourceError):
    """A PyTorch file whose numbers have their bytes in the order of another kind of machine."""


@dataclass(eq=False)
class NoTensors(SourceError):
    """A readable container without a dictionary of tensors in it."""


@dataclass(eq=False)
class MissingShard(SourceError):
    """The index names a shard that is not there."""

    shard: str


@dataclass(eq=False)
class BrokenLink(SourceError):
    """The file is a link to `target`, where nothing is."""

    target: str


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
    """Bytes of the file are missing or wrong; `detail` names the place."""

    detail: str | Detail


@dataclass(eq=False)
class InvalidFile(SourceError):
    """All bytes are there and can be read, but what they say contradicts itself or the format."""

    detail: str | Detail


@dataclass(eq=False)
class DamagedTensor(SourceError):
    """What was read of a tensor has not the CRC-32 that its file gives; is_shared: others lie there too."""

    tensor: str
    is_shared: bool


@dataclass(eq=False)
class ForbiddenPickle(SourceError):
    """The pickle asks for more than tensors and harmless values: reading it would run code."""

    name: str


@dataclass(eq=False)
class UngatheredWeights(SourceError):
    """A placeholder of no elements stands for a tensor: saved under ZeRO-3 without gathering the weights."""

    tensor: str


@dataclass(eq=False)
class UnmergedAdapter(SourceError):
    """A model with a LoRA adapter, of which `tensor` is a part, still beside its own weights."""

    tensor: str


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
class SeveralWeightFiles(SourceError):
    """The folder `path` holds several models, the files `names`; nothing says which is meant."""

    names: tuple[str, ...]


@dataclass(eq=False)
class SeveralCheckpoints(SourceError):
    """The folder `path` holds several models, in the folders `names` below; nothing says which is meant."""

    names: tuple[str, ...]


@dataclass(eq=False)
class MetaParamsMissing(SourceError):
    """There is a consolidated.NN.pth in the folder `path`, but no params.json that describes it."""
