"""The file to be written."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import OutputError


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
