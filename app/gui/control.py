"""What a second start says to the ChatBELLE that runs already, and the server's route that hears it.

Who sends it has read the address, with its secret, from a file that only the person's own account may read.
No page has: a page's address has another secret, and whatever a browser sends for one has an Origin.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 4 << 20
"""Of a request: more than what fits on a command line, as JSON."""
_MAX_TOKEN = 200
_JSON = b"application/json"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Opening:
    """Someone starts ChatBELLE. paths: absolute, what is opened with it.

    opens_page: who asks opens a page in the browser, where the app has no window. token: with which a desktop
    lets a window come to the front, where it has such ("" elsewhere).
    """

    paths: tuple[Path, ...] = ()
    opens_page: bool = False
    token: str = ""

    def to_json(self) -> bytes:
        """As it is sent; names that are no UTF-8 survive."""
        document = {
            "action": "open",
            "paths": [str(path) for path in self.paths],
            "opens_page": self.opens_page,
            "token": self.token[:_MAX_TOKEN],
        }
        return json.dumps(document).encode("ascii")


def parse_opening(data: bytes) -> Opening:
    """What was sent. Raises ValueError for whatever `Opening.to_json` does not make."""
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(document, dict) or document.get("action") != "open":
        raise ValueError("no opening")
    paths, opens_page, token = (document.get(name) for name in ("paths", "opens_page", "token"))
    if not isinstance(paths, list) or not all(_is_absolute(path) for path in paths):
        raise ValueError("paths")
    if not isinstance(opens_page, bool) or not isinstance(token, str) or len(token) > _MAX_TOKEN:
        raise ValueError("opens_page, token")
    return Opening(tuple(map(Path, paths)), opens_page, token)


class ControlRoute:
    """Answers what is for it, and passes on all else.

    on_opening: called on the event loop; the address of a page that shows the app, None where a window does.
    """

    def __init__(self, inner: AsgiApp, on_opening: Callable[[Opening], str | None]) -> None:
        self._inner = inner
        self._on_opening = on_opening
        self.path = f"/{secrets.token_urlsafe()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_for_us(scope["path"]):
            status, answer = await self._answer(scope, receive)
            headers = [(b"content-type", _JSON), (b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
        else:
            await self._inner(scope, receive, send)

    def _is_for_us(self, path: str) -> bool:
        return secrets.compare_digest(path.encode("utf-8", "replace"), self.path.encode())

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        headers = dict(scope["headers"])
        if b"origin" in headers or headers.get(b"content-type") != _JSON:
            return 403, b""
        if scope["method"] != "POST":
            return 405, b""
        body = await _read(receive)
        if body is None:
            return 413, b""
        try:
            opening = parse_opening(body)
        except ValueError:
            return 400, b""
        document = {"pid": os.getpid(), "address": self._on_opening(opening)}
        return 200, json.dumps(document).encode("ascii")


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None for one that is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _is_absolute(path: object) -> bool:
    return isinstance(path, str) and os.path.isabs(path) and "\0" not in path
