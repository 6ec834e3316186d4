"""The window's page, as its own server gives it out on this machine; and every module of the window.

The server runs on a thread with an event loop of its own. No page is opened: what draws it is a browser's
work.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.self_test.bench import Bench
from app.self_test.steps import CheckFailed

_TIMEOUT_S = 20
_PAGE_MARK = b"flutter_bootstrap.js"
# What a browser needs whatever its kind: the program in both forms, and what draws for each.
_PROGRAM = ("flutter_bootstrap.js", "main.dart.js", "main.dart.mjs", "main.dart.wasm")
_CANVAS = (
    "canvaskit/canvaskit.js",
    "canvaskit/canvaskit.wasm",
    "canvaskit/skwasm.js",
    "canvaskit/skwasm.wasm",
)
_OWN = ("start.js", "splash.css", "manifest.json", "icon.svg", "favicon.png")
_FONTS = "assets/FontManifest.json"


class _NoApplication:
    """What is served when nobody opens the page."""

    def prepare_page(self, page: Any) -> None:
        """Never called."""

    async def open_page(self, page: Any) -> None:
        """Never called."""

    def reachable_at(self, address: str) -> None:
        """Told, and not passed on: no later start is to find this server."""

    def show(self, token: str = "") -> bool:
        """There is no window."""
        return False

    def open_paths(self, paths: Sequence[Path], *, on_next_page: bool = False) -> None:
        """Never called."""


def check_page(bench: Bench) -> str:
    """The page and its parts come; who has another secret or host name gets nothing."""
    import_module("app.main")  # with it every screen, and the tables of icons
    with _served() as address:
        page = _Page(bench, address)
        if _PAGE_MARK not in page.fetch(""):
            raise CheckFailed(bench.t("page.other"))
        sizes = [len(page.fetch(name)) for name in (*_PROGRAM, *_CANVAS, *_OWN)]
        fonts = json.loads(page.fetch(_FONTS))
        names = {font["asset"] for family in fonts for font in family["fonts"]}
        paths = sorted(f"assets/{name}".replace("assets/../", "") for name in names)
        sizes += [len(page.fetch(path)) for path in paths]
        wrong = "A" if page.path[-2] != "A" else "B"
        page.expect_refusal("page.secret", f"{page.path[:-2]}{wrong}/", {}, 404)
        page.expect_refusal("page.host", page.path, {"Host": "other.example"}, 403)
    return bench.t("page.ok", n=len(sizes) + 1, size=sum(sizes))


class _Page:
    """Requests to one server."""

    def __init__(self, bench: Bench, address: str) -> None:
        self._bench = bench
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port
        self.path = parts.path

    def fetch(self, name: str) -> bytes:
        """What is at `name` below the page. Raises CheckFailed."""
        status, body = self._ask(self.path + name, {})
        if status != 200 or not body:
            raise CheckFailed(self._bench.t("page.status", name=name or "index.html", status=status))
        return body

    def expect_refusal(self, key: str, path: str, headers: dict[str, str], expected: int) -> None:
        """Raises CheckFailed unless the answer is just that status; key: of what is not let in."""
        status, _ = self._ask(path, headers)
        if status != expected:
            raise CheckFailed(self._bench.t("page.let_in", what=self._bench.t(key), status=status))

    def _ask(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CheckFailed(self._bench.t("page.no_answer", reason=str(error))) from error
        finally:
            connection.close()


@contextmanager
def _served() -> Iterator[str]:
    """The address of a server that runs within the block. Raises PortInUse, and what the server does."""
    from app.gui.web_server import WebServer

    with as_file(files("assets").joinpath("web")) as assets, ThreadPoolExecutor(2) as threads:
        server = WebServer(_NoApplication(), assets, 0)
        ready: Future[None] = Future()
        serving = threads.submit(asyncio.run, server.serve(lambda: ready.set_result(None)))
        try:
            wait((ready, serving), timeout=_TIMEOUT_S, return_when=FIRST_COMPLETED)
            if serving.done():
                serving.result()
            yield server.address
        finally:
            server.stop()
