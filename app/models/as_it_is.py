"""What can't be asked for of a GGUF, which is taken as it is: another type, a key or a tokenizer.

Asks nobody and reads no disk.
"""

from __future__ import annotations

import re
from pathlib import Path

from app.errors import NotForGguf
from convert.recipes import AUTO


def names_type(file: str, type_name: str) -> bool:
    """Whether a file's name says that it is of this type."""
    wanted = rf"(?<![a-z0-9]){re.escape(type_name)}(?![a-z0-9_])"
    return re.search(wanted, file, re.IGNORECASE) is not None


def needs_conversion(
    file: str, target: str | None, key: str | Path | None, tokenizer: str | Path | None
) -> str | None:
    """Which of them can't be had of the GGUF called `file`: "type", "key" or "tokenizer"; None if all can."""
    is_other = target not in (None, AUTO) and not names_type(file, target or "")
    given = {"type": is_other, "key": key is not None, "tokenizer": tokenizer is not None}
    return next((name for name, is_given in given.items() if is_given), None)


def check_as_it_is(
    name: str, file: str, target: str | None, key: str | Path | None, tokenizer: str | Path | None
) -> None:
    """Raise NotForGguf where something is given that can't be had of the GGUF called `file`.

    name: what people call it; a repository's or folder's name in it says nothing of the file's type.
    """
    option = needs_conversion(file, target, key, tokenizer)
    if option is not None:
        raise NotForGguf(name, option)
