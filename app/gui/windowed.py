"""The app in a window of its own: the window in the main thread, the page's server on another one.

Neither outlives the other: the end of the server closes the window, and a closed window stops the server.
Both are in one process, so that no death of one leaves the other behind; the page itself is drawn by
processes of the web view, which end with theirs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import PageLost, ServerEnded
from app.gui.application import Application
from app.gui.serving import serve
from app.gui.signals import stopping_native_loop_on_signals
from app.gui.window import OpenWindow
from app.settings import WindowPlace

_ANSWER_S = 1.0
_STOP_S = 10.0
_ICON = "icons/icon-192.png"
_log = logging.getLogger(__name__)


def run_in_window(app: Application, open_window: OpenWindow, assets: Path, port: int) -> None:
    """Run until the window is closed. Raises PortInUse, ServerEnded and PageLost."""
    window = open_window(app.frame(), assets / _ICON)
    app.on_quit(window.close)
    app.on_show(window.show)
    app.on_title(window.set_title)
    server = _ServerThread(lambda stop: serve(app, assets, port, stop, window.load), on_end=window.close)
    listener = _Listener(app, server)
    with stopping_native_loop_on_signals(window.close):
        server.start()
        try:
            window.run(listener)
        finally:
            server.stop()
    server.raise_failure()
    if listener.has_lost_page:
        raise PageLost


class _ServerThread:
    """A coroutine that serves, on a thread with an event loop of its own; nothing here waits for long."""

    def __init__(
        self, serve: Callable[[asyncio.Event], Coroutine[Any, Any, None]], on_end: Callable[[], None]
    ) -> None:
        """serve: until its event is set. on_end: called on the thread, whatever the reason."""
        self._serve = serve
        self._on_end = on_end
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    def start(self) -> None:
        """Serve from now on."""
        # A daemon: one that hangs must not keep the process of a closed window.
        threading.Thread(target=self._run, name="server", daemon=True).start()

    def stop(self) -> None:
        """End it, and wait for that."""
        if self._ended.done():  # by itself, which is remembered
            return
        self._is_stopping = True
        self.tell(self._stop.set)
        concurrent.futures.wait([self._ended], _STOP_S)

    def tell(self, call: Callable[[], None]) -> None:
        """Call something on the event loop, if there is one."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(call)

    def ask(self, question: Callable[[], Coroutine[Any, Any, bool]], otherwise: bool) -> bool:
        """What a coroutine says on the event loop, or `otherwise` where it fails or takes too long."""
        if self._loop is None or self._ended.done():
            return otherwise
        asking = question()
        try:
            asked = asyncio.run_coroutine_threadsafe(asking, self._loop)
        except RuntimeError:  # it has just ended
            asking.close()
            return otherwise
        concurrent.futures.wait([asked], _ANSWER_S)
        if asked.cancel() or asked.cancelled():  # too late, or the loop ends
            return otherwise
        error = asked.exception()
        if error is not None:
            _log.error("a question of the window failed", exc_info=error)
            return otherwise
        return asked.result()

    def raise_failure(self) -> None:
        """Raise what it ended with, ServerEnded where it just ended; nothing where it was stopped."""
        if not self._ended.done():
            _log.error("the server did not end in time")
        elif self._ended.exception() is not None:
            self._ended.result()
        elif not self._is_stopping:
            raise ServerEnded

    def _run(self) -> None:
        try:
            asyncio.run(self._serve_until_stopped())
        except BaseException as error:  # whatever it is, the main thread raises it
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        finally:
            self._on_end()

    async def _serve_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._is_stopping:
            await self._serve(self._stop)


class _Listener:
    """What the window tells, for the app."""

    def __init__(self, app: Application, server: _ServerThread) -> None:
        self._app = app
        self._server = server
        self.has_lost_page = False

    def may_close(self) -> bool:
        """As `WindowListener`; an app that does not answer does not keep its window."""
        return self._server.ask(self._app.may_close, otherwise=True)

    def closing(self, place: WindowPlace) -> None:
        """As `WindowListener`; some systems end the process right after this."""
        try:
            self._app.window_closed(place)
        finally:
            self._server.stop()
            self._app.close()

    def page_came_back(self) -> None:
        """As `WindowListener`."""
        self._server.tell(self._app.page_came_back)

    def page_lost(self) -> None:
        """As `WindowListener`."""
        self.has_lost_page = True

    def opened(self, paths: Sequence[Path]) -> None:
        """As `WindowListener`."""
        self._app.open_paths(paths)

    def saved(self, path: Path) -> None:
        """As `WindowListener`."""
        self._server.tell(lambda: self._app.file_saved(path))
