"""One app a data folder: the first start becomes it, every later one asks it to show itself and goes.

The history's lock decides who is first; the file of the lock says where the first can be reached.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from app.gui.control import Opening
from app.history.errors import HistoryInUse
from app.history.lock import HistoryLock, Owner, read_owner
from app.history.store import lock_history

_CONTROL = re.compile(r"http://127\.0\.0\.1:(?P<port>\d{1,5})(?P<path>/[\w-]{16,})")
_PAGE = re.compile(r"http://127\.0\.0\.1:\d{1,5}/[\w-]{16,}/")
_MAX_ANSWER_BYTES = 1 << 12
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Running:
    """The app that runs already has shown itself. address: of its page, None where it has a window."""

    address: str | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, for an app that is starting, for one that does not answer, for an answer,
    and for one that does not say where it can be reached.
    """

    starting_s: float = 60
    silent_s: float = 10
    answer_s: float = 5
    unreachable_s: float = 2


_PATIENCE = Patience()


def claim(folder: Path, opening: Opening, patience: Patience = _PATIENCE) -> HistoryLock | Running:
    """The lock of the history in `folder`, or the app that has it, after it has taken `opening`.

    Waits while that is starting or ending. Raises HistoryInUse where it does not answer, HistoryNotWritable
    and HistoryDiskFull.
    """
    began_s = time.monotonic()
    while True:
        try:
            return lock_history(folder)
        except HistoryInUse:
            owner = read_owner(folder)
            running = _ask(owner, opening, patience.answer_s)
            if running is not None:
                return running
            limit_s = patience.starting_s if owner.can_be_reached else patience.unreachable_s
            if owner.address is not None:
                limit_s = patience.silent_s
            if time.monotonic() - began_s > limit_s:
                raise
        time.sleep(_PAUSE_S)


def _ask(owner: Owner, opening: Opening, timeout_s: float) -> Running | None:
    """Let the owner show itself; None where nobody answers, or someone else."""
    place = _CONTROL.fullmatch(owner.address or "")
    if place is None or int(place["port"]) >= 1 << 16:
        return None
    _let_come_to_front(owner.pid)
    connection = http.client.HTTPConnection("127.0.0.1", int(place["port"]), timeout=timeout_s)
    try:
        connection.request("POST", place["path"], opening.to_json(), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return _running(owner, response.read(_MAX_ANSWER_BYTES)) if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _running(owner: Owner, answer: bytes) -> Running | None:
    """Whoever has the port of an app that is gone may answer anything."""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("pid") != owner.pid:
        return None
    address = document.get("address")
    if address is None:
        return Running(None)
    return Running(address) if isinstance(address, str) and _PAGE.fullmatch(address) else None


def activation_token() -> str:
    """What the desktop gave this start, so that a window may come to the front; "" where it gave nothing."""
    return os.environ.get("XDG_ACTIVATION_TOKEN") or os.environ.get("DESKTOP_STARTUP_ID") or ""


if sys.platform == "win32":
    import ctypes

    def _let_come_to_front(pid: int) -> None:
        # Only the program that a person has just started may, and it may hand that on.
        ctypes.windll.user32.AllowSetForegroundWindow(pid)

else:

    def _let_come_to_front(pid: int) -> None:
        """Other systems need no leave, or a token."""
