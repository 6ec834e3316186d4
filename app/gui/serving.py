"""The page's server until somebody wants it to stop; the browser view and the window both run it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.gui.application import Application

_log = logging.getLogger(__name__)


async def serve(
    app: Application, assets: Path, port: int, stop: asyncio.Event, on_address: Callable[[str], None]
) -> None:
    """Serve the app until `stop` is set; on_address is told the page's address once it is there.

    Raises PortInUse.
    """
    import flet as ft

    from app.gui.web_server import WebServer

    # It would compare the whole page after every event; whoever changes a control updates it.
    ft.context.disable_auto_update()
    asyncio.get_running_loop().set_exception_handler(_log_exception)
    server = WebServer(app, assets, port)
    serving = asyncio.create_task(server.serve(lambda: on_address(server.address)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()
    await serving


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.error("in the event loop: %s", context.get("message"), exc_info=context.get("exception"))
