"""What a tokenizer.json puts before and after a text: the tokens that begin and end it.

Knows no ids. Format: huggingface.co/docs/tokenizers, `TemplateProcessing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import UnsupportedTokenizer
from convert.tokenizers.pretokenizer import list_steps


@dataclass(frozen=True)
class Frame:
    """Texts of the tokens put around a text, None for none."""

    before: str | None = None
    after: str | None = None


def read_frame(path: Path, processor: Any) -> Frame:
    """From the `post_processor`; raises `UnsupportedTokenizer` for more than one token on a side."""
    frame = Frame()
    for step in list_steps(path, processor, "processors"):
        if step.get("type") == "ByteLevel":
            continue
        if step.get("type") != "TemplateProcessing" or frame != Frame():
            raise UnsupportedTokenizer(path, f"post_processor {str(step.get('type'))[:40]}")
        frame = _read_template(path, step.get("single"))
    return frame


def _read_template(path: Path, pieces: Any) -> Frame:
    texts = [_special_text(piece) for piece in pieces] if isinstance(pieces, list) else []
    if texts.count(None) == 1 and len(texts) <= 3:
        place = texts.index(None)
        before, after = texts[:place], texts[place + 1 :]
        if len(before) <= 1 and len(after) <= 1:
            return Frame(*before or [None], *after)
    raise UnsupportedTokenizer(path, "post_processor TemplateProcessing")


def _special_text(piece: Any) -> str | None:
    """The text of a special token; None for the place of the text itself."""
    special = piece.get("SpecialToken") if isinstance(piece, Mapping) else None
    text = special.get("id") if isinstance(special, Mapping) else None
    return text if isinstance(text, str) else None
