"""WebKit's window in a process of its own, around a page that says what it sees."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from builders.processes import python_environment
from builders.screen import Screen

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "fakes" / "web_page.py"
ICON = ROOT / "assets" / "web" / "icons" / "icon-192.png"
WAIT_S = 90.0
SAY = "const say = (what, value) => fetch('said?' + new URLSearchParams({what, value}));"
BLANK = "say('loaded', document.visibilityState)"


class Site:
    """Serves one page below a secret path, and hears what it says."""

    def __init__(self) -> None:
        self.script = self.body = ""
        self.said: queue.Queue[tuple[str, str]] = queue.Queue()
        self.languages: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                site.languages.append(self.headers.get("Accept-Language", ""))
                if url.path == "/secret/":
                    page = f"<!DOCTYPE html><title>T</title>{site.body}<script>{SAY}{site.script}</script>"
                    self._answer(page.encode())
                    return
                if url.path.endswith("/said"):
                    said = parse_qs(url.query, keep_blank_values=True)
                    site.said.put((said["what"][0], said["value"][0]))
                else:
                    site.said.put(("asked", self.path))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.address = f"{self.origin}/secret/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, what: str) -> str:
        """The value of the next thing of this kind that the page says."""
        while True:
            said, value = self.said.get(timeout=WAIT_S)
            if said == what:
                return value

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Window:
    """The program with the window. told: what the window said to its listener."""

    def __init__(self, screen: Screen, site: Site, environ: dict[str, str], frame: dict[str, Any]) -> None:
        self._screen = screen
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), site.address, json.dumps({"icon": str(ICON), **frame})],
            env=python_environment() | screen.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        threading.Thread(target=self._listen, daemon=True).start()

    @cached_property
    def id(self) -> int:
        """The first window on the screen."""
        return int(self._screen.wait_for(self._screen.windows, "a window", WAIT_S)[0])

    def call(self, name: str, **arguments: Any) -> None:
        """Call a method of the window, from another thread than its own."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"call": name, **arguments}) + "\n")
        self.process.stdin.flush()

    def wait_for(self, what: str) -> Any:
        """The value of the next thing of this kind that the window tells."""
        while True:
            told = self.told.get(timeout=WAIT_S)
            if what in told:
                return told[what]

    def web_process(self) -> int:
        """The process that draws the page."""
        found = subprocess.run(
            ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        lines = [line.split() for line in found.stdout.splitlines()]
        return next(
            int(pid) for pid, state, name, *_ in lines if name.startswith("WebKitWeb") and state != "Z"
        )

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.put(json.loads(line))
