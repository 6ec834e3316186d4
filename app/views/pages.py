"""The pages that show the app, and what was opened with it, until one of them shows that.

Several browser tabs are several pages; in a window there is one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import flet as ft

from app.views.session_guard import watch_session
from app.views.shell import Shell

_NEW_PAGE_S = 15.0  # a browser that has to start itself takes some seconds


class Pages:
    """Everything but `open_paths` is called on the event loop."""

    def __init__(self) -> None:
        self.shells: list[Shell] = []
        """In the order in which they were used, the newest last."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Path] = []
        self._awaits_page = False

    def add(self, shell: Shell, page: ft.Page) -> None:
        """Follow a new page; `show_waiting` when it is filled."""
        self.shells.append(shell)

        def close() -> None:
            if shell in self.shells:
                self.shells.remove(shell)
                shell.dispose()

        page.on_close = close
        watch_session(page.session, lambda: self._used(shell))
        with self._lock:
            self._loop = asyncio.get_running_loop()

    def show_waiting(self) -> None:
        """Show what was opened, and is not shown yet, if there is a page for it."""
        self._awaits_page = False
        self._deliver()

    def open_paths(self, paths: Sequence[Path], *, on_next_page: bool = False) -> None:
        """Show `paths` on the page that was used last, or the next that comes; from any thread.

        on_next_page: one is on its way; where none comes after all, the one that was used last.
        """
        with self._lock:
            self._waiting += paths
            self._awaits_page = on_next_page
            loop = self._loop
        if loop is None or loop.is_closed() or not paths:
            return
        if on_next_page:
            loop.call_soon_threadsafe(loop.call_later, _NEW_PAGE_S, self.show_waiting)
        else:
            loop.call_soon_threadsafe(self._deliver)

    def _used(self, shell: Shell) -> None:
        if shell in self.shells:  # what comes from a page may come after its end
            self.shells.remove(shell)
            self.shells.append(shell)
        self._deliver()

    def _deliver(self) -> None:
        if self._awaits_page:
            return
        shell = next((shell for shell in reversed(self.shells) if shell.is_seen), None)
        if shell is None:
            return
        with self._lock:
            paths, self._waiting = self._waiting, []
        if paths:
            shell.open_paths(paths)
