"""The lock that makes one process the owner of a history folder.

The operating system holds it on an open file, so it ends with the process however that dies; the file itself
stays and means nothing. It knows nothing of what is in the folder.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from app.history.errors import HistoryInUse, HistoryNotWritable

LOCK_NAME = "history.lock"
# Windows locks are mandatory: a byte far behind the text is locked, so that others can read the process id.
_LOCKED_BYTE = 1 << 30


class HistoryLock:
    """An exclusive lock on `folder`; raises HistoryInUse or HistoryNotWritable when it can't be had."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HistoryNotWritable(self.path, error.strerror or str(error)) from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            pid = self._owner()
            os.close(self._descriptor)
            raise HistoryInUse(folder, pid) from error
        self._held = True
        with suppress(OSError):  # the id only makes the other side's sentence better
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Give the folder free; harmless when it already is."""
        if not self._held:
            return
        self._held = False
        with suppress(OSError):
            _unlock(self._descriptor)
        os.close(self._descriptor)

    def _owner(self) -> int:
        try:
            text = os.read(self._descriptor, 20).decode("ascii", "replace")
        except OSError:
            return 0
        return int(text) if text.isascii() and text.isdigit() else 0


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # flock, not lockf: it belongs to this open file, so a second lock in one process is refused as well.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
