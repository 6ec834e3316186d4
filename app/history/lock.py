"""The lock that makes one process the owner of a history folder.

The operating system holds it on an open file, so it ends with the process however that dies; the file itself
stays, and what it says means nothing without the lock. While it is held, the file says who the owner is and
where it can be reached: two lines, the process id and an address, for the owner of the account only. It knows
nothing of what is in the folder.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.history.errors import HistoryInUse, HistoryNotWritable

LOCK_NAME = "history.lock"
_MODE = 0o600
_MAX_BYTES = 1 << 10
# Windows locks are mandatory: a byte far behind the text is locked, so that others can read it.
_LOCKED_BYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock. pid: 0 where it can't be read. address: None where it has not said one yet.

    can_be_reached: it will say one; versions before this one said their process id only.
    """

    pid: int
    address: str | None = field(default=None, repr=False)  # it has a secret in it, and logs are shown around
    can_be_reached: bool = False


def read_owner(folder: Path) -> Owner:
    """The owner of `folder`, as the file has it; only for who was just refused the lock."""
    try:
        with (folder / LOCK_NAME).open("rb") as file:
            return _parse_owner(file.read(_MAX_BYTES))
    except OSError:
        return Owner(0)


class HistoryLock:
    """An exclusive lock on `folder`; raises HistoryInUse or HistoryNotWritable when it can't be had."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, _MODE)
        except OSError as error:
            raise HistoryNotWritable(self.path, error.strerror or str(error)) from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise HistoryInUse(folder, read_owner(folder).pid) from error
        self._held = True
        self._say("")

    def announce(self, address: str) -> None:
        """Let others know where this process can be reached: `address`, one line of ASCII.

        Where that can't be written, they are only told that the folder is in use.
        """
        self._say(f"{address}\n")

    def release(self) -> None:
        """Give the folder free; harmless when it already is."""
        if not self._held:
            return
        self._held = False
        with suppress(OSError):
            _unlock(self._descriptor)
        os.close(self._descriptor)

    def _say(self, rest: str) -> None:
        """Every line ends in a newline: one that doesn't is still being written."""
        if not self._held:
            return
        with suppress(OSError):
            if hasattr(os, "fchmod"):  # an older file may be open to more than its owner
                os.fchmod(self._descriptor, _MODE)
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n{rest}".encode("ascii"))


def _parse_owner(data: bytes) -> Owner:
    lines = data.decode("ascii", "replace").splitlines(keepends=True)
    first = lines[0].strip() if lines else ""
    pid = int(first) if first.isdigit() and len(first) < 20 else 0
    # Nothing at all is what it is while it is written anew.
    can_be_reached = not lines or (pid > 0 and lines[0].endswith("\n"))
    has_address = can_be_reached and len(lines) > 1 and lines[1].endswith("\n")
    return Owner(pid, lines[1].strip() if has_address else None, can_be_reached)


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
