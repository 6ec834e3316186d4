"""The roots of the tree: what every error of one kind shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True)
class Detail:
    """What exactly is wrong, a field of an error: `detail.<key>` of the catalogs with `values` filled in."""

    key: str
    values: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(eq=False)
class ConvertError(Exception):
    """Base of all converter errors; its dataclass fields are what a message may use."""

    def __str__(self) -> str:
        values = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class SourceError(ConvertError):
    """The checkpoint can't be used; `path` is the file or folder at fault."""

    path: Path


@dataclass(eq=False)
class TokenizerError(ConvertError):
    """The tokenizer can't be used; `path` is its file, or the folder that should hold it."""

    path: Path


@dataclass(eq=False)
class OutputError(ConvertError):
    """The result can't be written to `path`."""

    path: Path


@dataclass(eq=False)
class QuantizationUnsupported(ConvertError):
    """The target type can't hold this model; `tensor` is the first that can't be quantized."""

    target: str
    tensor: str
