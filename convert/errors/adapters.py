"""LoRA adapters."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import SourceError


@dataclass(eq=False)
class NotAnAdapter(SourceError):
    """The folder `path`, given as a LoRA adapter, lacks the file `missing`."""

    missing: str


@dataclass(eq=False)
class MlxAdapter(SourceError):
    """The adapter in the folder `path` is one of mlx-lm, not of PEFT."""


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


@dataclass(eq=False)
class PromptAdapter(SourceError):
    """The adapter changes how a text is answered, not the weights: nothing that anybody could merge."""

    setting: str
    found: str


@dataclass(eq=False)
class EmptyAdapter(SourceError):
    """The adapter's weight file holds no matrices at all, by a fault of the program that saved it."""


@dataclass(eq=False)
class UngatheredAdapter(SourceError):
    """`n_empty` matrices have no elements: DeepSpeed ZeRO-3 or FSDP kept them apart when it was saved."""

    n_empty: int


@dataclass(eq=False)
class UntrainedAdapter(SourceError):
    """Every second matrix of the adapter's `n_pairs` is zero: merged, it would leave the model as it is."""

    n_pairs: int


@dataclass(eq=False)
class AdapterRowsMissing(SourceError):
    """The adapter resizes one of the embeddings to `n_rows`, and `tensor` is not in it with as many."""

    tensor: str
    n_rows: int
