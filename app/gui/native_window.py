"""The native window: Flet's client program as a child process, talking to us over a local socket.

Does what `flet.run` does for a window, but ends on a signal too. Expects the client to be on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flet.controls.context import _context_page
from flet.messaging.flet_socket_server import FletSocketServer
from flet.messaging.session import Session

from app.gui.application import Application

_APP_ID = "chatbelle"
_CLOSE_TIMEOUT_S = 5


async def show_window(app: Application, assets: Path, stop: asyncio.Event) -> None:
    """Open a window and return when it is closed or `stop` is set; by then it is gone."""
    import flet_desktop

    os.environ.setdefault("FLET_APP_ID", _APP_ID)

    async def start(session: Session) -> None:
        _context_page.set(session.page)
        await app.open_page(session.page)

    executor = ThreadPoolExecutor(thread_name_prefix="flet")
    server = FletSocketServer(
        loop=asyncio.get_running_loop(),
        on_session_created=start,
        before_main=app.prepare_page,
        executor=executor,
    )
    await server.start()
    try:
        client, pid_file = await flet_desktop.open_flet_view_async(server.page_url, str(assets), False)
        try:
            await _first_of(client.wait(), stop.wait())
        finally:
            flet_desktop.close_flet_view(pid_file)
            if client.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    client.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.wait(), _CLOSE_TIMEOUT_S)
    finally:
        await server.close()
        executor.shutdown(wait=False, cancel_futures=True)


async def _first_of(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
