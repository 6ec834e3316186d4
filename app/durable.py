"""Files that are either the old ones or the new ones after a power cut, never half of each.

Knows paths and bytes; what the files mean is their owners' business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when the block ends well; a failed block leaves nothing behind.

    The bytes are on disk before the name changes. Readable by this user only. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns():x}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data`. Raises OSError."""
    with replaced_file(path) as file:
        file.write(data)


def sync_file(path: Path) -> None:
    """Wait until the bytes of `path` are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk; does nothing where folders can't be synced (Windows)."""
    if os.name != "posix":
        return
    with suppress(OSError):  # some network file systems refuse it, and there is nothing else to do
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_aside(path: Path, companions: tuple[str, ...] = ()) -> Path:
    """Rename a damaged file to `<stem>-damaged-<UTC time><suffix>` beside it, and return the new path.

    companions: endings of files that belong to it (`-wal`) and move along where they exist. Nothing is ever
    overwritten or deleted. Raises OSError.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for attempt in range(10_000):
        counter = f"-{attempt + 1}" if attempt else ""
        target = path.with_name(f"{path.stem}-damaged-{stamp}{counter}{path.suffix}")
        names = [target, *(Path(f"{target}{ending}") for ending in companions)]
        if not any(name.exists() for name in names):
            break
    else:
        raise FileExistsError(target)
    # The main file last: if this is interrupted, the next start finds it again and finishes the move.
    for ending in companions:
        companion = Path(f"{path}{ending}")
        if companion.exists():
            os.rename(companion, f"{target}{ending}")
    if path.exists():
        os.rename(path, target)
    sync_folder(path.parent)
    return target
