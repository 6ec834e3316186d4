"""Names for new models where a file of the wished one is there already: many files share few names.

A split model's files (`-00001-of-00003.gguf`) are named together. Looks at no disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from engine.models.places import strip_suffix

FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What some system allows in no file's name."""


def renamed(name: str, stem: str) -> str:
    """The file's name with another stem, and its own number among the parts."""
    return stem + name[len(strip_suffix(name)) :]


def unlike_names(name: str, qualifier: str = "") -> Iterator[str]:
    """`name`, then with the qualifier before it unless it begins so, then with numbers; without an end."""
    yield name
    stem = strip_suffix(name)
    if qualifier and not stem.casefold().startswith(qualifier.casefold()):
        stem = f"{qualifier}-{stem}"
        yield renamed(name, stem)
    for number in count(2):
        yield renamed(name, f"{stem}-{number}")
