"""An automatic title from the first question, in whatever language that is.

Knows display columns, and nothing of conversations.
"""

from __future__ import annotations

import unicodedata

TITLE_COLUMNS = 30


def automatic_title(question: str, n_columns: int = TITLE_COLUMNS) -> str:
    """The first line with text in it, spaces collapsed, cut to `n_columns` columns with an ellipsis.

    Chinese characters and other wide ones take two columns, combining marks none.
    """
    line = next(filter(None, map(_visible, question.splitlines())), "")
    if sum(map(_columns, line)) <= n_columns:
        return line
    kept, used = "", 0
    for character in line:
        used += _columns(character)
        if used > n_columns - 1:  # the ellipsis takes the last one
            break
        kept += character
    return kept.rstrip() + "…"


def _visible(line: str) -> str:
    """Without control characters and those that turn the direction of text; emoji joiners stay between."""
    kept = "".join(c for c in line if c.isprintable() or c.isspace() or c == "\u200d")
    return " ".join(kept.split()).strip("\u200d ")


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
