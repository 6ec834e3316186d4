"""`chatbelle get-window` through a server on this machine: fetched, cut short, and not there."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flet_desktop.version
import pytest

pytestmark = pytest.mark.skipif(
    not flet_desktop.get_artifact_filename().endswith(".tar.gz"), reason="the archive is another kind here"
)


def _archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        member = tarfile.TarInfo("flet/flet")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"client"))
    return data.getvalue()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes, int], str]]:
    """Serve bytes and promise a length; returns the address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(body: bytes, length: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the standard library's name
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/client.tar.gz"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def _options(url: str, home: Path) -> dict[str, Any]:
    return {"env": {"FLET_CLIENT_URL": url, "HOME": str(home), "NO_PROXY": "127.0.0.1"}}


def test_the_client_is_fetched_once(chatbelle: Any, serve: Any, tmp_path: Path) -> None:
    body = _archive()
    options = _options(serve(body, len(body)), tmp_path)

    first = chatbelle("get-window", **options)
    second = chatbelle("get-window", **options)

    assert first.returncode == second.returncode == 0
    folder = tmp_path / ".flet" / "client" / f"flet-desktop-light-{flet_desktop.version.version}"
    assert (folder / "flet" / "flet").read_bytes() == b"client"
    assert "100%" in first.stderr
    assert "already" in second.stderr
    assert not first.stdout


@pytest.mark.parametrize("body", [b"no archive", _archive()[:-20]], ids=["no archive", "cut short"])
def test_what_is_no_archive_leaves_nothing(chatbelle: Any, serve: Any, tmp_path: Path, body: bytes) -> None:
    done = chatbelle("get-window", **_options(serve(body, len(body)), tmp_path))

    assert done.returncode == 1
    assert "could not be fetched" in done.stderr
    assert not list((tmp_path / ".flet" / "client").glob("*"))


def test_an_answer_that_breaks_off_is_said(chatbelle: Any, serve: Any, tmp_path: Path) -> None:
    body = _archive()

    done = chatbelle("get-window", **_options(serve(body, len(body) + 100), tmp_path))

    assert done.returncode == 1
    assert "could not be fetched" in done.stderr


def test_without_a_network_there_is_a_sentence(chatbelle: Any, tmp_path: Path) -> None:
    done = chatbelle("get-window", **_options("http://127.0.0.1:9/client.tar.gz", tmp_path))

    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Check the network" in done.stderr
    assert "Traceback" not in done.stderr
