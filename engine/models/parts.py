"""A model in several files: how they are named (`NAME-00001-of-00003.gguf` and so on), and their one hash.

Looks at no disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)", re.IGNORECASE)


def is_first(name: str) -> bool:
    """Whether a model begins with the file of this name, split or not."""
    match = PART.fullmatch(name)
    return match is None or int(match["number"]) == 1


def part_names(name: str) -> list[str]:
    """All files of a split model; any other name is the only one."""
    match = PART.fullmatch(name)
    if match is None:
        return [name]
    stem, count, suffix = match["stem"], match["count"], match["suffix"]
    return [f"{stem}-{number:05d}-of-{count}{suffix}" for number in range(1, int(count) + 1)]


def joined_hash(digests: Sequence[str]) -> str:
    """The hash of a model from those of its files in order: a single one's, else as `Record.sha256` says."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
