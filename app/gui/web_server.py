"""The browser view's server: Flet's web app under a secret path, on the loopback interface only.

Who does not know the path gets nothing, neither pages nor the WebSocket; and whoever asks by another host
name (DNS rebinding) or from another site's page is refused before Flet sees the request. Knows nothing of
chats.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Generator, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from app.errors import PortInUse
from app.gui.application import Application
from app.gui.control import AsgiApp, ControlRoute, Opening, Receive, Scope, Send

HOST = "127.0.0.1"
_TOKEN_BYTES = 16
_GRACE_S = 3
_SESSION_TIMEOUT_S = 24 * 3600

_HEADERS = [
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# What Flet sends and we do not pass on. In an isolated page Flutter lays out and paints text in two threads
# that break each other's memory: wrong letters, or a page that never moves again (flutter/flutter issue
# 190039). And no other site is to read our answers.
_REMOVED = {b"cross-origin-embedder-policy", b"access-control-allow-origin"}


class WebServer:
    """Serves `app` to browsers on this machine; one per process."""

    def __init__(self, app: Application, assets: Path, port: int) -> None:
        """port: 0 takes a free one. Raises PortInUse."""
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.address = f"http://{HOST}:{self.port}/{token}/"
        self._app = app
        self._control = ControlRoute(_flet_app(app, assets, token), self._open)
        config = uvicorn.Config(
            Doorkeeper(self._control, self.port),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="websockets-sansio",
        )
        self._server = _Server(config)

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Serve until `stop`; `on_ready` is called once requests are answered."""

        def ready() -> None:
            self._app.reachable_at(f"http://{HOST}:{self.port}{self._control.path}")
            on_ready()

        self._server.on_ready = ready
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Let `serve` close all connections and return."""
        self._server.should_exit = True

    def _open(self, opening: Opening) -> str | None:
        """The page's address, unless the app has a window to show."""
        has_window = self._app.show(opening.token)
        self._app.open_paths(opening.paths, on_next_page=opening.opens_page and not has_window)
        return None if has_window else self.address


class Doorkeeper:
    """Lets in only what was addressed to the loopback interface by our own page."""

    def __init__(self, inner: AsgiApp, port: int) -> None:
        self._inner = inner
        self._hosts = {f"{HOST}:{port}".encode(), f"localhost:{port}".encode()}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
        elif self._is_ours(dict(scope["headers"])):
            await self._inner(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    def _is_ours(self, headers: dict[bytes, bytes]) -> bool:
        origin = headers.get(b"origin")
        return headers.get(b"host") in self._hosts and (origin is None or origin in self._origins)


class _Server(uvicorn.Server):
    """Tells when it serves, and leaves the signals to the program."""

    on_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _flet_app(app: Application, assets: Path, token: str) -> AsgiApp:
    import flet_web.fastapi

    outer = flet_web.fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    inner = flet_web.fastapi.app(
        app.open_page,
        before_main=app.prepare_page,
        assets_dir=str(assets),
        no_cdn=True,
        session_timeout_seconds=_SESSION_TIMEOUT_S,
    )
    outer.mount(f"/{token}", inner)
    served: AsgiApp = outer
    return served


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows lets others bind the same port otherwise
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise PortInUse(port, error.strerror or str(error)) from error
    listener.setblocking(False)
    return listener


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", []) if name not in _REMOVED]
            message["headers"] = [*kept, *_HEADERS]
        await send(message)

    return send_with_headers
