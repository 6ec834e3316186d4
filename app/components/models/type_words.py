"""Types of weights in plain words."""

from __future__ import annotations

from app.i18n import Texts
from convert.recipes import AUTO, TARGETS


def quality_text(name: str, texts: Texts) -> str:
    """How much of the model's quality a type keeps."""
    return texts.text(f"convert.quality.{name}") if name in (AUTO, *TARGETS) else ""
