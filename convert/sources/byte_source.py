"""Random access to bytes, wherever they are: the one interface under every reader.

A source may be a local file, a range of an HTTP resource, or a decrypting view over another source.
Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from convert.errors import SourceMissing, TruncatedFile


@runtime_checkable
class ByteSource(Protocol):
    """Bytes of known length that can be read at any offset, from several threads at once."""

    @property
    def path(self) -> Path:
        """What to call this source in messages; for a local file its path."""
        ...

    @property
    def size_bytes(self) -> int:
        """Total length."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`; raises `TruncatedFile` when the source ends before that."""
        ...

    def close(self) -> None:
        """Give the underlying resource back; harmless when repeated."""
        ...


class FileSource:
    """A local file, read by position: nothing is mapped, so resident memory stays at what was asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            self._size_bytes = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise SourceMissing(path, error.strerror or str(error)) from error
        self._closed = False

    @property
    def path(self) -> Path:
        return self._path

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        raise NotImplementedError  # written by the sources helper

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


__all__ = ["ByteSource", "FileSource", "TruncatedFile"]
