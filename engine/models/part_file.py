"""A file that is being fetched: its blocks on disk, and a record of those that are finished.

`NAME.part` holds the bytes at their places, `NAME.part.blocks` says which blocks are there:

| line   | content                                                                         |
|--------|---------------------------------------------------------------------------------|
| first  | JSON: version, size_bytes, block_bytes, identity (what the bytes are known by)  |
| others | block number (8 digits), space, CRC-32 (8 hexadecimal digits)                   |

A line is written when its block's bytes are on the disk, so a kill at any instant loses blocks but never
claims one; and each block is compared with its CRC when the work goes on, so a power cut or a bad disk costs
the damaged blocks only. Knows no network.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.models.fetch_errors import (
    DownloadDiskFull,
    DownloadInUse,
    DownloadNameTaken,
    DownloadNotWritable,
)
from engine.models.file_lock import lock_file

BLOCK_BYTES = 4 << 20
_VERSION = 1
_LINE = re.compile(rb"(\d{8}) ([0-9a-f]{8})")
_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# A 1 TB file has 5 MB of lines.
_MAX_RECORD_BYTES = 32 << 20


class PartFile:
    """The two files of one download, held by this process; close it, or publish or discard it.

    Blocks are numbered from 0; the last may be short. `write` may be called from several threads. Methods
    raise `DownloadNotWritable` or `DownloadDiskFull`, `publish` also `DownloadNameTaken`.
    """

    def __init__(
        self, destination: Path, name: str, size_bytes: int, identity: str, block_bytes: int = BLOCK_BYTES
    ) -> None:
        """identity: what the bytes are known by; a part of anything else is started again.

        Raises `DownloadInUse` where another process has it.
        """
        self.destination = destination
        self.name = name
        self.size_bytes = size_bytes
        self.block_bytes = block_bytes
        self.path = part_path(destination)
        self.record_path = record_path(destination)
        self._header = json.dumps(
            {"version": _VERSION, "size_bytes": size_bytes, "block_bytes": block_bytes, "identity": identity}
        ).encode()
        self._unrecorded: list[tuple[int, int]] = []
        self._descriptor = -1
        self._lock = threading.Lock()
        self.claimed: dict[int, int] = {}
        """CRC by block, as the record says; not yet compared."""
        with self._reporting():
            destination.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            try:
                self._load()
            except BaseException:
                self.close()
                raise

    @property
    def n_blocks(self) -> int:
        return -(-self.size_bytes // self.block_bytes)

    def extent(self, block: int) -> tuple[int, int]:
        """Offset and size of a block."""
        offset = block * self.block_bytes
        return offset, min(self.block_bytes, self.size_bytes - offset)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at their place; after `close` nothing happens."""
        # Under the lock: a number that was closed meanwhile may belong to another file.
        with self._reporting(), self._lock:
            rest = memoryview(data)
            while rest and self._descriptor >= 0:
                n_written = _write_at(self._descriptor, rest, offset)
                rest, offset = rest[n_written:], offset + n_written

    def read(self, block: int) -> bytes:
        """A block as it is on disk; short where the file ends, or after `close`."""
        offset, size = self.extent(block)
        with self._reporting(), self._lock:
            return _read_at(self._descriptor, size, offset) if self._descriptor >= 0 else b""

    def is_intact(self, block: int, data: bytes) -> bool:
        """Whether a claimed block is what was written."""
        return len(data) == self.extent(block)[1] and zlib.crc32(data) == self.claimed[block]

    def finish_block(self, block: int, crc: int) -> None:
        """All bytes of a block are written; `commit` records it."""
        with self._lock:
            self._unrecorded.append((block, crc))

    def commit(self) -> None:
        """Wait until finished blocks are on the disk, then record them."""
        with self._lock:
            lines, self._unrecorded = self._unrecorded, []
        if not lines or self._descriptor < 0:
            return
        with self._reporting():
            os.fsync(self._descriptor)
            text = b"".join(b"%08d %08x\n" % line for line in lines)
            with open(self.record_path, "ab") as record:
                record.write(text)
                record.flush()
                os.fsync(record.fileno())

    def check_space(self) -> None:
        """Raises `DownloadDiskFull` when the rest can't fit."""
        with self._reporting():
            needed_bytes = _missing_bytes(self.path, self.size_bytes)
            free_bytes = shutil.disk_usage(self.path.parent).free
        if free_bytes < needed_bytes:
            raise DownloadDiskFull(self.name, self.destination, needed_bytes, free_bytes)

    def restart(self) -> None:
        """Forget every block."""
        with self._reporting():
            self.claimed.clear()
            self._unrecorded.clear()
            with open(self.record_path, "wb") as record:
                record.write(self._header + b"\n")
                record.flush()
                os.fsync(record.fileno())
            os.ftruncate(self._descriptor, 0)

    def publish(self) -> None:
        """Give the finished file its name; nothing that has it is replaced."""
        with self._reporting():
            os.fsync(self._descriptor)
            if os.path.lexists(self.destination):
                raise DownloadNameTaken(self.name, self.destination)
            if sys.platform == "win32":  # an open file can't be renamed there
                self.close()
            os.rename(self.path, self.destination)
            _sync_folder(self.destination.parent)
            with suppress(OSError):
                self.record_path.unlink()
        self.close()

    def discard(self) -> None:
        """Remove both files."""
        if sys.platform == "win32":
            self.close()
        for path in (self.record_path, self.path):
            with suppress(OSError):
                path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the files; what is recorded stays. Harmless when repeated."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0)
        while True:
            self._descriptor = os.open(self.path, flags, 0o666)
            if not lock_file(self._descriptor):
                self.close()
                raise DownloadInUse(self.name, self.destination)
            with suppress(FileNotFoundError):  # published or discarded before it was locked
                if os.path.samestat(os.stat(self.path), os.fstat(self._descriptor)):
                    return
            self.close()

    def _load(self) -> None:
        data = b""
        with suppress(FileNotFoundError), open(self.record_path, "rb") as record:
            data = record.read(_MAX_RECORD_BYTES)
        header, *lines = data.split(b"\n")
        if header != self._header:
            self.restart()
            return
        for line in lines:
            match = _LINE.fullmatch(line)  # a torn line is none
            if match is not None and int(match[1]) < self.n_blocks:
                self.claimed[int(match[1])] = int(match[2], 16)
        if lines[-1:] != [b""]:  # so that the next line does not continue a torn one
            with open(self.record_path, "ab") as record:
                record.write(b"\n")

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL:
                needed_bytes = _missing_bytes(self.path, self.size_bytes)
                free_bytes = shutil.disk_usage(self.path.parent).free
                raise DownloadDiskFull(self.name, self.destination, needed_bytes, free_bytes) from error
            reason = error.strerror or str(error)
            raise DownloadNotWritable(self.name, self.destination, reason) from error


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows has no positional access; the caller holds the lock
    return os.write(descriptor, data)


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def part_path(destination: Path) -> Path:
    """Where the bytes of an unfinished download are."""
    return destination.with_name(f"{destination.name}.part")


def record_path(destination: Path) -> Path:
    """Where it is written which of them are there."""
    return destination.with_name(f"{destination.name}.part.blocks")


def check_room(name: str, sizes: Mapping[Path, int]) -> None:
    """Raises `DownloadDiskFull` when what is missing of these files does not fit on the disk together.

    sizes: bytes of each whole file, by its destination; all are in one folder. name: of all, for people.
    """
    needed_bytes = sum(
        _missing_bytes(part_path(path), size_bytes)
        for path, size_bytes in sizes.items()
        if not os.path.lexists(path)
    )
    first = next(iter(sizes))
    try:
        free_bytes = shutil.disk_usage(first.parent).free
    except OSError:  # no folder yet; the download makes it, and looks again
        return
    if free_bytes < needed_bytes:
        raise DownloadDiskFull(name, first, needed_bytes, free_bytes)


def _missing_bytes(part: Path, size_bytes: int) -> int:
    """What the disk must still take of a file. Blocks come in any order: the length says too much."""
    try:
        status = os.stat(part)
    except OSError:
        return size_bytes
    held_bytes = getattr(status, "st_blocks", 0) * 512 or status.st_size
    return max(0, size_bytes - held_bytes)


def discard_part(destination: Path) -> bool:
    """Remove an unfinished download; false where there is none or another process is at it."""
    try:
        descriptor = os.open(part_path(destination), os.O_RDWR | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        if not lock_file(descriptor):
            return False
        if sys.platform != "win32":
            _remove_part(destination)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":
        _remove_part(destination)
    return True


def _remove_part(destination: Path) -> None:
    for path in (record_path(destination), part_path(destination)):
        with suppress(OSError):
            path.unlink()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
