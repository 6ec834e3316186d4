"""From a choice of view to a running app and back, ended by the window, a signal or the app.

Knows the order of things at the end: the view goes first, then the answer so far is saved and the engine
stopped. Knows nothing of what is shown.
"""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from app.gui.application import Application
from app.gui.serving import serve
from app.gui.signals import stopping_on_signals
from app.gui.view import Choice
from app.gui.windowed import run_in_window


def launch(app: Application, choice: Choice, port: int, on_address: Callable[[str], None]) -> None:
    """Run until the app is closed, and close it. on_address is given the browser view's address.

    Raises PortInUse, and for a window ServerEnded and PageLost.
    """
    try:
        with ExitStack() as stack:
            assets = stack.enter_context(as_file(files("assets").joinpath("web")))
            if choice.open_window is not None:
                run_in_window(app, choice.open_window, assets, port)
            else:
                asyncio.run(_run_in_browser(app, choice.opens_browser, port, assets, on_address))
    finally:
        app.close()


async def _run_in_browser(
    app: Application, opens_browser: bool, port: int, assets: Path, on_address: Callable[[str], None]
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    app.on_quit(stop.set)

    def interrupted() -> None:
        loop.call_soon_threadsafe(stop.set)

    def ready(address: str) -> None:
        on_address(address)
        if opens_browser:
            # Some systems' openers wait for the browser's end; nobody waits for them.
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    with stopping_on_signals(interrupted):
        await serve(app, assets, port, stop, ready)
