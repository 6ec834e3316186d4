"""LoRA adapters."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import SourceError


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
