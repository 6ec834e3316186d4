"""In which of a few ways a model's file can't be used: for a mark of two words beside the whole sentence."""

from __future__ import annotations

from typing import Literal

from engine.errors import (
    BigEndianGguf,
    EngineError,
    ErrorReplyFile,
    LfsPointerFile,
    ModelFileMissing,
    NotAChatModel,
    NotGguf,
    OtherFileFormat,
    TruncatedModel,
    UnsupportedArchitecture,
    UnsupportedGgufVersion,
    WebPageFile,
)
from engine.models.errors import ModelNotReadable, PartsMissing

ProblemKind = Literal["other_kind", "no_model", "incomplete", "unreadable", "damaged"]

_KINDS: tuple[tuple[ProblemKind, tuple[type[EngineError], ...]], ...] = (
    ("other_kind", (NotAChatModel,)),
    ("no_model", (NotGguf, LfsPointerFile, WebPageFile, ErrorReplyFile, OtherFileFormat)),
    ("incomplete", (TruncatedModel, PartsMissing)),
    (
        "unreadable",
        (
            BigEndianGguf,
            ModelFileMissing,
            ModelNotReadable,
            UnsupportedArchitecture,
            UnsupportedGgufVersion,
        ),
    ),
)


def problem_kind(problem: EngineError) -> ProblemKind:
    """What is wrong, by the error's class; damaged is only what nothing else explains."""
    return next((kind for kind, classes in _KINDS if isinstance(problem, classes)), "damaged")
