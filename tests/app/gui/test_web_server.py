"""Who is let in to the browser view's server, and its port."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import urllib.request
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from app.errors import PortInUse
from app.gui.control import Opening
from app.gui.web_server import Doorkeeper, WebServer

PORT = 5000


class _Application:
    def prepare_page(self, page: Any) -> None: ...

    async def open_page(self, page: Any) -> None: ...

    def reachable_at(self, address: str) -> None: ...

    def show(self, token: str = "") -> bool:
        return False

    def open_paths(self, paths: Any, *, on_next_page: bool = False) -> None: ...

    def on_show(self, show: Any) -> None: ...

    def on_quit(self, quit_app: Any) -> None: ...

    def close(self) -> None: ...


def _ask(kind: str, **headers: str) -> list[MutableMapping[str, Any]]:
    """What a client gets to see of an inner app that always answers 200, or accepts."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        if kind == "http":
            isolation = (b"cross-origin-embedder-policy", b"require-corp")
            start = {"type": "http.response.start", "status": 200, "headers": [(b"x-inner", b"1"), isolation]}
            await send(start)
        else:
            await send({"type": "websocket.accept"})

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": kind, "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    asyncio.run(Doorkeeper(inner, PORT)(scope, receive, send))
    return sent


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}"])
def test_our_own_page_is_let_in(host: str) -> None:
    assert _ask("http", host=host)[0]["status"] == 200
    assert _ask("websocket", host=host, origin=f"http://{host}")[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": f"127.0.0.1:{PORT + 1}"},
        {"host": f"127.0.0.1:{PORT}", "origin": "http://evil.example"},
        {"host": f"127.0.0.1:{PORT}", "origin": f"https://127.0.0.1:{PORT}"},
        {"host": f"127.0.0.1:{PORT}", "origin": "null"},
    ],
)
def test_other_hosts_and_other_sites_pages_are_refused(headers: dict[str, str]) -> None:
    assert _ask("http", **headers)[0]["status"] == 403
    assert _ask("websocket", **headers)[0]["type"] == "websocket.close"


def test_answers_tell_nobody_where_they_came_from() -> None:
    sent = dict(_ask("http", host=f"127.0.0.1:{PORT}")[0]["headers"])

    assert sent[b"referrer-policy"] == b"no-referrer"
    assert sent[b"x-frame-options"] == b"DENY"


def test_pages_are_not_isolated_as_flutter_would_draw_in_two_threads() -> None:
    sent = dict(_ask("http", host=f"127.0.0.1:{PORT}")[0]["headers"])

    assert sent[b"x-inner"] == b"1"
    assert b"cross-origin-embedder-policy" not in sent


def test_every_start_has_another_secret_and_a_free_port(tmp_path: Any) -> None:
    servers = [WebServer(_Application(), tmp_path, 0) for _ in range(2)]

    addresses = [server.address for server in servers]

    assert len({address.rsplit("/", 2)[1] for address in addresses}) == 2
    assert all(f":{server.port}/" in server.address for server in servers)
    assert servers[0].port != servers[1].port


def test_a_taken_port_is_said(tmp_path: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortInUse) as refused:
            WebServer(_Application(), tmp_path, port)

    assert refused.value.port == port


# --- later starts -----------------------------------------------------------------------------------


class _Shown(_Application):
    """An app that keeps what it was asked to show; has_window: else only pages show it."""

    def __init__(self, has_window: bool) -> None:
        self.has_window = has_window
        self.control = ""
        self.tokens: list[str] = []
        self.opened: list[tuple[tuple[Path, ...], bool]] = []

    def reachable_at(self, address: str) -> None:
        self.control = address

    def show(self, token: str = "") -> bool:
        self.tokens.append(token)
        return self.has_window

    def open_paths(self, paths: Any, *, on_next_page: bool = False) -> None:
        self.opened.append((tuple(paths), on_next_page))


def _send(app: _Shown, opening: Opening, folder: Path) -> tuple[WebServer, dict[str, Any]]:
    """What the server says to a later start."""
    server = WebServer(app, folder, 0)

    def post() -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(app.control, opening.to_json(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    async def run() -> dict[str, Any]:
        told: list[str] = []
        ready = asyncio.Event()

        def serves() -> None:
            told.append(app.control)
            ready.set()

        serving = asyncio.create_task(server.serve(serves))
        await ready.wait()
        assert told != [""]  # who is told that it serves can rely on being found
        try:
            return await asyncio.to_thread(post)
        finally:
            server.stop()
            await serving

    return server, asyncio.run(run())


@pytest.mark.parametrize("opens_page", [False, True])
def test_a_window_comes_to_the_front_with_the_desktops_leave(tmp_path: Path, opens_page: bool) -> None:
    app = _Shown(has_window=True)
    _, answer = _send(app, Opening((tmp_path / "a.gguf",), opens_page, "token"), tmp_path)
    assert answer == {"pid": os.getpid(), "address": None}
    assert app.tokens == ["token"]
    assert app.opened == [((tmp_path / "a.gguf",), False)]


@pytest.mark.parametrize("opens_page", [False, True])
def test_without_a_window_the_page_is_told_and_perhaps_waited_for(tmp_path: Path, opens_page: bool) -> None:
    app = _Shown(has_window=False)
    server, answer = _send(app, Opening((), opens_page), tmp_path)
    assert answer["address"] == server.address
    assert app.opened == [((), opens_page)]
