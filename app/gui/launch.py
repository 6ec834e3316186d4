"""From a choice of view to a running app and back: one event loop, ended by the window, a signal or the app.

Knows the order of things at the end: the view goes first, then the answer so far is saved and the engine
stopped. Knows nothing of what is shown.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from app.gui.application import Application
from app.gui.signals import stopping_on_signals
from app.gui.view import Choice, View

_log = logging.getLogger(__name__)


def launch(app: Application, choice: Choice, port: int, on_address: Callable[[str], None]) -> None:
    """Run until the app is closed, and close it. on_address is given the browser view's address.

    Raises PortInUse.
    """
    try:
        with ExitStack() as stack:
            assets = stack.enter_context(as_file(files("assets").joinpath("web")))
            asyncio.run(_run(app, choice, port, assets, on_address))
    finally:
        app.close()


async def _run(
    app: Application, choice: Choice, port: int, assets: Path, on_address: Callable[[str], None]
) -> None:
    import flet as ft

    # It would compare the whole page after every event; whoever changes a control updates it.
    ft.context.disable_auto_update()
    asyncio.get_running_loop().set_exception_handler(_log_exception)
    stop = asyncio.Event()
    app.on_quit(stop.set)
    with stopping_on_signals(stop):
        if choice.view is View.WINDOW:
            from app.gui.native_window import show_window

            await show_window(app, assets, stop)
        else:
            await _serve(app, choice, port, assets, stop, on_address)


async def _serve(
    app: Application,
    choice: Choice,
    port: int,
    assets: Path,
    stop: asyncio.Event,
    on_address: Callable[[str], None],
) -> None:
    from app.gui.web_server import WebServer

    server = WebServer(app, assets, port)

    def ready() -> None:
        on_address(server.address)
        if choice.opens_browser:
            # Some systems' openers wait for the browser's end; nobody waits for them.
            threading.Thread(target=webbrowser.open, args=[server.address], daemon=True).start()

    serving = asyncio.create_task(server.serve(ready))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()
    await serving


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.error("in the event loop: %s", context.get("message"), exc_info=context.get("exception"))
