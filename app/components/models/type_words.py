"""Types of weights in plain words."""

from __future__ import annotations

import re

from app.i18n import Texts
from convert.recipes import AUTO, TARGETS

_PUBLISHED = re.compile(r"\b([48])bit$")  # how BELLE names what it quantized itself, as in `2m-4bit`


def quality_text(name: str, texts: Texts) -> str:
    """How much of the model's quality a type keeps."""
    if name in (AUTO, *TARGETS):
        return texts.text(f"convert.quality.{name}")
    published = _PUBLISHED.search(name)
    return texts.text(f"convert.quality.published_{published[1]}") if published else ""
