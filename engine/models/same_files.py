"""Whether a model's files are there a second time, byte by byte.

Knows no names and no records.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.models.parts import joined_hash

_CHUNK_BYTES = 4 << 20


class SameFiles:
    """Each key of `pairs` beside its value. sha256: hexadecimal, of all of them once they are the same.

    A second name of one file is no second file: is_link tells whether they are that.
    """

    def __init__(self, pairs: Mapping[Path, Path]) -> None:
        self._pairs = pairs
        self.is_same = False
        self.sha256 = ""

    @property
    def is_link(self) -> bool:
        """Whether all are second names."""
        try:
            return all(os.path.samefile(*pair) for pair in self._pairs.items())
        except OSError:
            return False

    def compare(self) -> Iterator[int]:
        """Read them until they differ; yields the bytes done, and `is_same` holds the result."""
        try:
            if any(_differ(*pair) for pair in self._pairs.items()):
                return
            done_bytes = 0
            digests: list[str] = []
            for one, other in self._pairs.items():
                digest = hashlib.sha256()
                with one.open("rb") as first, other.open("rb") as second:
                    while data := first.read(_CHUNK_BYTES):
                        if second.read(_CHUNK_BYTES) != data:
                            return
                        digest.update(data)
                        done_bytes += len(data)
                        yield done_bytes
                digests.append(digest.hexdigest())
        except OSError:  # gone meanwhile, or not ours to read: it can't be told that they are the same
            return
        self.sha256 = joined_hash(digests)
        self.is_same = True


def _differ(one: Path, other: Path) -> bool:
    return one.stat().st_size != other.stat().st_size or os.path.samefile(one, other)
