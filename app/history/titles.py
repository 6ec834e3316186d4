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
    line = next((line for line in question.splitlines() if line.strip()), "")
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "" for c in line).split())
    if sum(map(_columns, line)) <= n_columns:
        return line
    kept, used = "", 0
    for character in line:
        used += _columns(character)
        if used > n_columns - 1:  # the ellipsis takes the last one
            break
        kept += character
    return kept.rstrip() + "…"


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
