"""Python functions that GLib calls: signals of objects, and work for the main loop.

C holds no reference to what it calls, so everything is kept here for as long as the window lives.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from ctypes import c_int, c_void_p
from typing import Any

from app.gui.webkit.libraries import Libraries

_PRIORITY_DEFAULT = 0


class Callbacks:
    """Of one window. `post` may be called from any thread, everything else in the main one."""

    def __init__(self, libraries: Libraries) -> None:
        self._libraries = libraries
        self._posted: deque[Callable[[], None]] = deque()
        self._kept: list[Any] = []
        self._run_posted = self._keep(ctypes.CFUNCTYPE(c_int, c_void_p)(self._run_next))

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

    def _keep(self, function: Any) -> c_void_p:
        self._kept.append(function)
        return ctypes.cast(function, c_void_p)

    def _run_next(self, _data: int) -> int:
        self._posted.popleft()()
        return 0  # once
