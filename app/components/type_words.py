"""Types of weights in plain words, and the verdict on one in two or three."""

from __future__ import annotations

from app.i18n import Texts
from convert.recipes import AUTO, TARGETS
from engine.models.fit import Fit


def quality_text(name: str, texts: Texts) -> str:
    """How much of the model's quality a type keeps."""
    return texts.text(f"convert.quality.{name}") if name in (AUTO, *TARGETS) else ""


def fit_words(fit: Fit | None, texts: Texts) -> str:
    """The verdict alone, without its numbers."""
    return texts.text(f"convert.fit.{fit.verdict}") if fit is not None else ""
