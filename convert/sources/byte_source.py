"""Random access to bytes, wherever they are: the one interface under every reader.

A source may be a local file, a range of an HTTP resource, or a decrypting view over another source.
Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from convert.errors import BrokenLink, SourceMissing, TruncatedFile


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
            status = path.stat()
            # A pipe or a device would block or never end.
            if not stat.S_ISREG(status.st_mode):
                raise SourceMissing(path, "not a regular file")
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except (OSError, ValueError) as error:  # a NUL character in the path is a ValueError
            if isinstance(error, FileNotFoundError) and os.path.islink(path):
                raise BrokenLink(path, os.readlink(path)) from error
            raise SourceMissing(path, getattr(error, "strerror", None) or str(error)) from error
        self._size_bytes = status.st_size
        self._seek_lock = threading.Lock()
        self._closed = False

    @property
    def path(self) -> Path:
        return self._path

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        if offset + size > self._size_bytes:
            raise TruncatedFile(self._path, offset + size, self._size_bytes)
        parts: list[bytes] = []
        n_missing = size
        while n_missing:
            # One call returns at most 2 GiB on Linux, and fewer bytes on a network drive.
            part = self._read_some(offset + size - n_missing, n_missing)
            if not part:
                raise TruncatedFile(self._path, offset + size, offset + size - n_missing)
            parts.append(part)
            n_missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, offset: int, size: int) -> bytes:
        try:
            if hasattr(os, "pread"):
                return os.pread(self._descriptor, size, offset)
            with self._seek_lock:  # Windows has no positional read
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                return os.read(self._descriptor, size)
        except OSError as error:
            raise SourceMissing(self._path, error.strerror or str(error)) from error

    def prefetch(self, offset: int, size: int) -> None:
        """Have the system fetch these bytes from the disk, without waiting; only a hint."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

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


class SourceStream(io.RawIOBase):
    """A seekable binary stream over a source, for library readers; refuses any single read over `max_read`.

    The bound keeps a reader that believes a hostile length from filling memory.
    """

    def __init__(self, source: ByteSource, max_read: int) -> None:
        super().__init__()
        self._source = source
        self._max_read = max_read
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size_bytes}[whence]
        if origin + offset < 0:
            raise OSError("seek before the start")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        n_left = max(0, self._source.size_bytes - self._position)
        n_read = n_left if size < 0 else min(size, n_left)
        if n_read > self._max_read:
            raise OSError(f"refused to read {n_read} bytes at once")
        data = self._source.read_at(self._position, n_read)
        self._position += n_read
        return data
