"""A file that appears under its name only when it is complete.

It is written beside its destination under a name of its own, and renamed at the end. A process that is killed
leaves that temporary file behind; the next run to the same destination removes it, if no living process holds
its lock. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import NotEnoughDisk, OutputExists, OutputNotWritable

if sys.platform == "win32":

    def lock_output(descriptor: int) -> bool:
        """An open file can't be removed there: that is the lock."""
        return True
else:
    import fcntl

    def lock_output(descriptor: int) -> bool:
        """Whether nobody else holds the file; false as well where the file system has no locks."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


# How often the system is asked to write what it holds back, and how much of the file it may go on holding.
_FLUSH_BYTES = 8 << 20
_HELD_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class PendingOutput:
    """The temporary file of `output`, open for writing and reading back; a context manager.

    Leaving the context without `publish` removes the file. Every method raises `OutputNotWritable`, or
    `NotEnoughDisk` when the disk turns out to be full.
    """

    def __init__(self, output: Path, size_bytes: int, *, force: bool) -> None:
        """Raises `OutputExists` (unless `force`) and `NotEnoughDisk` before anything is created."""
        self._output = output
        self._size_bytes = size_bytes
        self._force = force
        self._published = False
        self._written_bytes = self._flushed_bytes = 0
        with self._reporting():
            self._check_destination()
            self.path, self._descriptor = self._open_file()

    def _open_file(self) -> tuple[Path, int]:
        """The temporary file and its descriptor, locked."""
        remove_stale(self._output)
        self._check_space(self._size_bytes)
        return _create_locked(self._output)

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        rest = memoryview(data)
        with self._reporting():
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._written_bytes += memoryview(data).nbytes
            if self._written_bytes - self._flushed_bytes >= _FLUSH_BYTES:
                self._flush()

    def _flush(self) -> None:
        """Start writing to the disk, and let go of what is there: the next pages take the place of the last.

        Otherwise a large output pushes everything else out of the system's cache, its own source first, and
        ends in one long wait. On a virtual machine new memory is also several times slower than used memory.
        """
        self._flushed_bytes = self._written_bytes
        if sys.platform == "linux":
            start = max(0, self._written_bytes - _HELD_BYTES)
            size = self._written_bytes - start
            os.posix_fadvise(self._descriptor, start, size, os.POSIX_FADV_DONTNEED)

    @property
    def settled_bytes(self) -> int:
        """How much of the file, from its start, this object is done with until `sync`."""
        return max(0, self._written_bytes - _HELD_BYTES)

    def sync(self, start: int = 0, size: int = 0) -> None:
        """Wait until the disk has everything.

        Drops `size` bytes from `start` (0: all from there) from the system's cache, where that is possible.
        """
        with self._reporting():
            os.fsync(self._descriptor)
            if sys.platform == "linux":
                os.posix_fadvise(self._descriptor, start, size, os.POSIX_FADV_DONTNEED)

    def size_on_disk(self) -> int:
        """The file's length."""
        with self._reporting():
            return os.fstat(self._descriptor).st_size

    def read_back(self, start: int, size: int) -> Iterator[memoryview]:
        """`size` bytes from `start` in blocks, fewer where the file ends; also while it is being written.

        All blocks lie in one buffer: each is good until the next is asked for.
        """
        buffer = memoryview(bytearray(min(size, _BLOCK_BYTES)))
        # Opened anew: the descriptor's position is the writer's.
        with self._reporting(), open(self.path, "rb", buffering=0) as file:
            file.seek(start)
            while size > 0:
                n_read = file.readinto(buffer[:size])
                if not n_read:
                    return
                size -= n_read
                yield buffer[:n_read]

    def publish(self) -> None:
        """Give the file its name; from here on it stays. Raises `OutputExists` if something took the name."""
        with self._reporting():
            self._check_destination()
            if sys.platform == "win32":  # an open file can't be renamed there
                self._close()
            os.replace(self.path, self._output)
            self._published = True
            sync_folder(self._output.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._published and sys.platform != "win32":
            self._remove()  # while the lock is still held: nobody else can have taken the name over
        self._close()
        if not self._published:
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _check_destination(self) -> None:
        try:
            os.lstat(self._output)
        except FileNotFoundError:
            return
        if not self._force:
            raise OutputExists(self._output)
        if self._output.is_dir():
            raise OutputNotWritable(self._output, os.strerror(errno.EISDIR))

    def _check_space(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._output.parent).free
        if free_bytes < needed_bytes:
            raise NotEnoughDisk(self._output, needed_bytes, free_bytes)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL:
                free_bytes = shutil.disk_usage(self._output.parent).free
                raise NotEnoughDisk(self._output, self._size_bytes, free_bytes) from error
            raise OutputNotWritable(self._output, error.strerror or str(error)) from error


def remove_stale(output: Path) -> None:
    """Remove what killed runs to this same `output` left behind; files of living ones stay."""
    for path in output.parent.glob(f"{temporary_prefix(output)}*.partial"):
        with suppress(OSError):
            if _is_abandoned(path):
                path.unlink()


def temporary_prefix(output: Path) -> str:
    """Says which output a temporary file belongs to, however long or unusual that name is."""
    return f".chatbelle-{hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]}-"


def _create_locked(output: Path) -> tuple[Path, int]:
    """A new temporary file that this process holds, as path and descriptor."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    while True:
        path = output.parent / f"{temporary_prefix(output)}{secrets.token_hex(4)}.partial"
        try:
            descriptor = os.open(path, flags, 0o666)
            lock_output(descriptor)
            with suppress(FileNotFoundError):  # removed as stale in the instant before it was locked
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    return path, descriptor
        except KeyboardInterrupt:  # no context manager knows of the file yet
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _is_abandoned(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return lock_output(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be synchronized."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
