"""A later start and the app that runs: who is asked, who is believed, and how long anybody waits."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.gui.control import Opening, parse_opening
from app.gui.instance import Patience, Running, claim
from app.history.errors import HistoryInUse
from app.history.lock import HistoryLock

SECRET = "/0123456789abcdefABCDEF-_"
PAGE = "http://127.0.0.1:5000/0123456789abcdef/"
BRIEF = Patience(starting_s=0.3, silent_s=0.3, answer_s=0.3, unreachable_s=0.1)


@contextmanager
def _answering(answer: bytes | None, status: int = 200) -> Iterator[tuple[str, list[Opening]]]:
    """A server's address, and what it was asked; without an answer it lets everybody wait."""
    heard: list[Opening] = []
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if answer is None:
                is_over.wait(30)
                return
            heard.append(parse_opening(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{SECRET}", heard
        finally:
            is_over.set()
            server.shutdown()
            thread.join()


def _answer(pid: int | None = None, address: object = PAGE) -> bytes:
    return json.dumps({"pid": os.getpid() if pid is None else pid, "address": address}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "对话"


@pytest.fixture
def first(folder: Path) -> Iterator[HistoryLock]:
    folder.mkdir()
    lock = HistoryLock(folder)
    yield lock
    lock.release()


def test_the_first_start_gets_the_lock(folder: Path) -> None:
    lock = claim(folder, Opening(), BRIEF)
    assert isinstance(lock, HistoryLock)
    lock.release()


@pytest.mark.parametrize("address", [PAGE, None])
def test_a_later_one_hands_over_what_it_was_given(
    first: HistoryLock, folder: Path, address: str | None, tmp_path: Path
) -> None:
    opening = Opening((tmp_path / "模型.gguf",), opens_page=True, token="x")
    with _answering(_answer(address=address)) as (control, heard):
        first.announce(control)
        assert claim(folder, opening, BRIEF) == Running(address)
    assert heard == [opening]


def test_it_waits_for_one_that_is_starting(first: HistoryLock, folder: Path) -> None:
    with _answering(_answer()) as (control, _):
        timer = threading.Timer(0.3, first.announce, [control])
        timer.start()
        assert claim(folder, Opening()) == Running(PAGE)
        timer.join()


def test_it_becomes_the_app_when_the_first_ends_meanwhile(first: HistoryLock, folder: Path) -> None:
    timer = threading.Timer(0.3, first.release)
    timer.start()
    lock = claim(folder, Opening())
    assert isinstance(lock, HistoryLock)
    lock.release()
    timer.join()


@pytest.mark.parametrize("answer", [None, _answer(pid=1), b"", b"[]", b"hello", _answer(address="http://a/")])
def test_one_that_does_not_answer_or_is_somebody_else_is_told_of(
    first: HistoryLock, folder: Path, answer: bytes | None
) -> None:
    with _answering(answer) as (control, _):
        first.announce(control)
        with pytest.raises(HistoryInUse) as refused:
            claim(folder, Opening(), BRIEF)
    assert refused.value.pid == os.getpid()


def test_only_an_answer_that_all_went_well_counts(first: HistoryLock, folder: Path) -> None:
    with _answering(_answer(), status=500) as (control, _):
        first.announce(control)
        with pytest.raises(HistoryInUse):
            claim(folder, Opening(), BRIEF)


def test_a_port_where_nobody_listens_is_told_of(first: HistoryLock, folder: Path) -> None:
    first.announce(f"http://127.0.0.1:9{SECRET}")
    with pytest.raises(HistoryInUse):
        claim(folder, Opening(), BRIEF)


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:99999{SECRET}",
        f"http://127.0.0.1{SECRET}",
        f"http://example.com:80{SECRET}",
        f"http://127.0.0.1:80@example.com{SECRET}",
        "file:///etc/passwd",
    ],
)
def test_nobody_is_asked_but_a_server_of_this_machine(
    first: HistoryLock, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("http.client.HTTPConnection", lambda *arguments, **_: asked.append(arguments))
    first.announce(address)
    with pytest.raises(HistoryInUse):
        claim(folder, Opening(), BRIEF)
    assert asked == []


def test_an_older_version_that_can_not_be_reached_is_told_of_soon(first: HistoryLock, folder: Path) -> None:
    (folder / "history.lock").write_bytes(b"12")
    with pytest.raises(HistoryInUse) as refused:
        claim(folder, Opening(), Patience(unreachable_s=0.1))
    assert refused.value.pid == 12
