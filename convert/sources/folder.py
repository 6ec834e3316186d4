"""A flat set of named byte sources: a folder on this disk, or whatever behaves like one.

Readers of checkpoints ask for files by name here, so that the same logic serves plain folders, encrypted ones
and listings of a hub. Knows no file formats.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from convert.errors import Detail, InvalidFile, LfsPointer, MissingShard, SourceError, SourceMissing
from convert.sources.byte_source import ByteSource, FileSource

LFS_POINTER_START = b"version https://git-lfs"
"""How the small text file begins that a clone without Git LFS leaves in place of a large one."""


class SourceFolder(Protocol):
    """Files by name. The sources it opens belong to the caller; close them before the folder."""

    @property
    def path(self) -> Path:
        """What to call this folder in messages; for a local one its path."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """The plain names of all files right in it; no folders, nothing below them."""
        ...

    def names_below(self, folder: str) -> frozenset[str]:
        """`folder/name` of all files in a folder right in this one; none where it is not there."""
        ...

    def open(self, name: str) -> ByteSource:
        """The bytes of one file, of this folder or one below; raises `SourceMissing` where there is none, or
        what makes it unusable.
        """
        ...

    def missing_shard(self, name: str) -> SourceError:
        """The error that says that this part of a set is not there, in this folder's terms."""
        ...

    def close(self) -> None:
        """Give shared resources back; harmless when repeated."""
        ...


class LocalFolder:
    """A folder on this disk, as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        """Raises `SourceMissing`."""
        self._path = path
        self._below: frozenset[str] = frozenset()
        try:
            self._names = frozenset(entry.name for entry in path.iterdir() if _is_file(entry))
        except (OSError, ValueError) as error:
            raise SourceMissing(path, getattr(error, "strerror", None) or str(error)) from error

    @property
    def path(self) -> Path:
        return self._path

    @property
    def names(self) -> frozenset[str]:
        return self._names

    def names_below(self, folder: str) -> frozenset[str]:
        below = self._path / folder
        names = LocalFolder(below).names if os.path.isdir(below) else frozenset()
        found = frozenset(f"{folder}/{name}" for name in names)
        self._below |= found
        return found

    def open(self, name: str) -> ByteSource:
        # What the system listed can't lead out of the folder, however odd its name.
        is_listed = name in self._names or name in self._below
        return FileSource(self._path / (name if is_listed else plain_file_name(self._path, name)))

    def missing_shard(self, name: str) -> SourceError:
        return MissingShard(self._path, name)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link whose file is gone: to open that says so."""
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def plain_file_name(path: Path, name: object) -> str:
    """`name` if it is one that can't lead out of a folder; raises `InvalidFile` naming `path` otherwise.

    For names that come out of files: an index is data from elsewhere.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or re.search(r"[/\\:\0]", name):
        raise InvalidFile(path, Detail("file_name", {"name": repr(str(name)[:200])}))
    return name


def read_file(folder: SourceFolder, name: str, max_bytes: int) -> bytes:
    """A whole small file; raises `InvalidFile` when it is larger, `LfsPointer`, or what `open` raises."""
    source = folder.open(name)
    try:
        if source.size_bytes > max_bytes:
            sizes = {"size_bytes": source.size_bytes, "max_bytes": max_bytes}
            raise InvalidFile(source.path, Detail("too_large", sizes))
        data = source.read_at(0, source.size_bytes)
        if data.startswith(LFS_POINTER_START):
            raise LfsPointer(source.path)
        return data
    finally:
        source.close()
