"""The route for later starts: who is heard, and what of what they say."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from app.gui.control import MAX_BYTES, ControlRoute, Opening, parse_opening

ROOT = os.path.abspath(os.sep)
OPENING = Opening((Path(ROOT, "模型 a.gguf"), Path(ROOT, os.fsdecode(b"\xff.gguf"))), True, "token")


class Route:
    """A route in front of an app that always answers 204, and what was heard there."""

    def __init__(self) -> None:
        self.heard: list[Opening] = []
        self.route = ControlRoute(self._inner, self._hear)

    def ask(
        self,
        body: bytes | list[bytes],
        *,
        path: str | None = None,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        parts = body if isinstance(body, list) else [body]
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        waiting[-1]["more_body"] = False
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return waiting.pop(0)

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        fields = {"content-type": "application/json"} if headers is None else headers
        scope = {
            "type": "http",
            "method": method,
            "path": self.route.path if path is None else path,
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
        asyncio.run(self.route(scope, receive, send))
        return sent[0]["status"], sent[1]["body"]

    def _hear(self, opening: Opening) -> str | None:
        self.heard.append(opening)
        return "http://page"

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})


def test_a_later_start_is_heard_and_told_who_answered() -> None:
    route = Route()
    status, body = route.ask(OPENING.to_json())
    assert status == 200
    assert json.loads(body) == {"pid": os.getpid(), "address": "http://page"}
    assert route.heard == [OPENING]


def test_what_is_for_others_is_passed_on() -> None:
    route = Route()
    for path in ("/", "", route.route.path[:-1], f"{route.route.path}/", f"{route.route.path}é"):
        assert route.ask(OPENING.to_json(), path=path) == (204, b"inner")
    assert route.heard == []


def test_every_server_has_another_secret() -> None:
    assert Route().route.path != Route().route.path
    assert len(Route().route.path) > 32


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (403, {"headers": {"content-type": "application/json", "origin": "http://127.0.0.1:5000"}}),
        (403, {"headers": {"content-type": "application/json", "origin": "null"}}),
        (403, {"headers": {"content-type": "text/plain"}}),
        (403, {"headers": {}}),
        (405, {"method": "GET"}),
        (405, {"method": "PUT"}),
    ],
)
def test_no_page_is_heard_not_even_our_own(status: int, options: dict[str, Any]) -> None:
    route = Route()
    assert route.ask(OPENING.to_json(), **options) == (status, b"")
    assert route.heard == []


def test_a_body_without_an_end_is_not_read_to_it() -> None:
    route = Route()
    parts = [b" " * (1 << 20)] * 100
    assert route.ask(parts) == (413, b"")
    assert route.ask(b" " * (MAX_BYTES + 1)) == (413, b"")
    padded = OPENING.to_json().ljust(MAX_BYTES)
    assert route.ask([padded[:9], padded[9:]])[0] == 200


def _changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(OPENING.to_json()), **changes}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b"{}",
        _changed(action="quit"),
        _changed(paths=None),
        _changed(paths="/a"),
        _changed(paths=[1]),
        _changed(paths=["relative.gguf"]),
        _changed(paths=["../a"]),
        _changed(paths=[""]),
        _changed(paths=[f"{ROOT}a\0b"]),
        _changed(opens_page=1),
        _changed(token=None),
        _changed(token="x" * 201),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    route = Route()
    assert route.ask(body) == (400, b"")
    with pytest.raises(ValueError):  # noqa: PT011 - of json, or ours
        parse_opening(body)
    assert route.heard == []
