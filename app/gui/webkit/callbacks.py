"""Python functions that GLib calls: signals of objects, work for the main loop, and its log.

C holds no reference to what it calls, so everything is kept here for as long as the window lives.
"""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_void_p
from typing import Any

from app.gui.webkit.libraries import Libraries

_log = logging.getLogger("webkit")
_PRIORITY_DEFAULT = 0
_LEVELS = ((1 << 2 | 1 << 3, logging.ERROR), (1 << 4, logging.WARNING))  # error and critical; warning


class Callbacks:
    """Of one window. `post` may be called from any thread, everything else in the main one."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._posted: deque[Callable[[], None]] = deque()
        self._kept: list[Any] = []
        self._run_posted = self._keep(ctypes.CFUNCTYPE(c_int, c_void_p)(self._run_next))
        write_log = self._keep(ctypes.CFUNCTYPE(None, c_char_p, c_int, c_char_p, c_void_p)(_write_log))
        self._log_before = libraries.g_log_set_default_handler(write_log, None)

    def connect(
        self, instance: int, signal: str, handler: Callable[..., Any], *arguments: Any, result: Any = None
    ) -> None:
        """Call `handler` for a signal. arguments: the C types of what it is given, but the last (data)."""
        called = self._keep(ctypes.CFUNCTYPE(result, *arguments, c_void_p)(handler))
        self._libraries.g_signal_connect_data(instance, signal.encode(), called, None, None, 0)

    def post(self, call: Callable[[], None]) -> None:
        """Let the main loop call `call` soon."""
        self._posted.append(call)
        self._libraries.g_idle_add_full(_PRIORITY_DEFAULT, self._run_posted, None, None)

    def close(self) -> None:
        """Let GLib write its log itself again, which it may do until the process ends."""
        self._libraries.g_log_set_default_handler(self._log_before, None)

    def _keep(self, function: Any) -> c_void_p:
        self._kept.append(function)
        return ctypes.cast(function, c_void_p)

    def _run_next(self, _data: int) -> int:
        self._posted.popleft()()
        return 0  # once


def _write_log(domain: bytes | None, flags: int, message: bytes | None, _data: int) -> None:
    """Our own log has it: nobody reads the terminal of a program that was started by a double-click."""
    level = next((level for bits, level in _LEVELS if flags & bits), logging.DEBUG)
    _log.log(level, "%s: %s", (domain or b"").decode(), (message or b"").decode(errors="replace"))
