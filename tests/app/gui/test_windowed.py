"""The window and its server: neither outlives the other, and a person is asked before work is paused."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

from app.errors import PageLost, PortInUse, ServerEnded
from app.gui import web_server
from app.gui.window import Frame, WindowListener
from app.gui.windowed import run_in_window
from app.settings import WindowPlace

PLACE = WindowPlace(640, 500, 7, 9)


class _Window:
    """Does in its loop what a test says, and then waits until it is closed."""

    def __init__(self, act: Callable[[_Window, WindowListener], None]) -> None:
        self._act = act
        self._closed = threading.Event()
        self.address = ""
        self.loaded = threading.Event()
        self.titles: list[str] = []
        self.tokens: list[str] = []

    def load(self, address: str) -> None:
        self.address = address
        self.loaded.set()

    def show(self, token: str = "") -> None:
        self.tokens.append(token)

    def close(self) -> None:
        self._closed.set()

    def set_title(self, text: str) -> None:
        self.titles.append(text)

    def run(self, listener: WindowListener) -> None:
        self._act(self, listener)
        while not self._closed.wait(0.02):  # as often as it takes for Python to hear of signals
            pass
        listener.closing(PLACE)


class _App:
    """Tells in `said` what it was told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.answers: list[bool | BaseException] = [True]
        self.on_said: Callable[[], None] = lambda: None
        self.quit: Callable[[], None] = lambda: None

    def frame(self) -> Frame:
        return Frame("ChatBELLE", WindowPlace(), "en", None, Path("nowhere"), {})

    def prepare_page(self, page: Any) -> None: ...

    async def open_page(self, page: Any) -> None: ...

    def on_quit(self, quit_app: Callable[[], None]) -> None:
        self.quit = quit_app

    def on_show(self, show: Callable[[str], None]) -> None:
        self.show_window = show

    def show(self, token: str = "") -> bool:
        self.show_window(token)
        return True

    def reachable_at(self, address: str) -> None: ...

    def open_paths(self, paths: Sequence[Path], *, on_next_page: bool = False) -> None:
        self.said.append(list(paths))

    def on_title(self, set_title: Callable[[str], None]) -> None: ...

    async def may_close(self) -> bool:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def window_closed(self, place: WindowPlace) -> None:
        self.said.append(place)

    def page_came_back(self) -> None:
        self.said.append("back")
        self.on_said()

    def file_saved(self, path: Path) -> None:
        self.said.append(path)
        self.on_said()

    def close(self) -> None:
        self.said.append("closed")


def _run(app: _App, act: Callable[[_Window, WindowListener], None], port: int = 0) -> _Window:
    made: list[_Window] = []

    def open_window(_frame: Frame, icon: Path) -> _Window:
        assert icon.is_file()
        made.append(_Window(act))
        return made[0]

    with as_file(files("assets").joinpath("web")) as assets:
        try:
            run_in_window(app, open_window, assets, port)
        finally:
            left = [thread for thread in threading.enumerate() if thread.name in ("server", "signals")]
            for thread in left:
                thread.join(10)
            assert not any(thread.is_alive() for thread in left)
    return made[0]


def _is_served(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_page_is_served_while_the_window_is_open_and_not_after() -> None:
    app, served = _App(), []

    def act(window: _Window, listener: WindowListener) -> None:
        assert window.loaded.wait(30)
        served.append(_is_served(window.address))
        assert listener.may_close()
        window.close()

    window = _run(app, act)

    assert served == [True]
    assert not _is_served(window.address)
    assert app.said == [PLACE, "closed"]


def test_a_window_that_is_closed_at_once_ends_too() -> None:
    app = _App()

    _run(app, lambda window, listener: window.close())

    assert app.said == [PLACE, "closed"]


@pytest.mark.parametrize("answer", [True, False])
def test_the_app_says_whether_the_window_may_close(answer: bool) -> None:
    app, seen = _App(), []
    app.answers = [answer]

    def act(window: _Window, listener: WindowListener) -> None:
        assert window.loaded.wait(30)
        seen.append(listener.may_close())
        window.close()

    _run(app, act)

    assert seen == [answer]


@pytest.mark.parametrize("failure", [ValueError("broken"), asyncio.CancelledError()], ids=repr)
def test_an_app_that_fails_to_answer_does_not_keep_its_window(failure: BaseException) -> None:
    app, seen = _App(), []
    app.answers = [failure]

    def act(window: _Window, listener: WindowListener) -> None:
        assert window.loaded.wait(30)
        seen.append(listener.may_close())
        window.close()

    _run(app, act)

    assert seen == [True]


def test_what_happens_in_the_window_is_told_on_the_event_loop(tmp_path: Path) -> None:
    app, threads = _App(), []
    app.on_said = lambda: threads.append(threading.current_thread().name)

    def act(window: _Window, listener: WindowListener) -> None:
        assert window.loaded.wait(30)
        listener.page_came_back()
        listener.saved(tmp_path)
        listener.may_close()  # answered after the others, by the same loop
        window.close()

    _run(app, act)

    assert threads[:2] == ["server", "server"]

    assert app.said == ["back", tmp_path, PLACE, "closed"]


def test_a_later_start_brings_the_window_to_the_front(tmp_path: Path) -> None:
    app = _App()

    def act(window: _Window, listener: WindowListener) -> None:
        assert app.show("token")
        listener.opened([tmp_path])
        window.close()

    window = _run(app, act)

    assert window.tokens == ["token"]
    assert app.said == [[tmp_path], PLACE, "closed"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that one can send oneself")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_window(number: signal.Signals) -> None:
    app = _App()

    def act(window: _Window, listener: WindowListener) -> None:
        assert window.loaded.wait(30)
        os.kill(os.getpid(), number)

    _run(app, act)

    assert app.said == [PLACE, "closed"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_server_that_fails_closes_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    app = _App()

    async def fail(*_: Any) -> None:
        raise OSError("no descriptors left")

    monkeypatch.setattr(web_server.WebServer, "serve", fail)

    with pytest.raises(OSError, match="no descriptors left"):
        _run(app, lambda window, listener: None)

    assert app.said == [PLACE, "closed"]


def test_a_server_that_just_ends_closes_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    app = _App()

    async def end(*_: Any) -> None: ...

    monkeypatch.setattr(web_server.WebServer, "serve", end)

    with pytest.raises(ServerEnded):
        _run(app, lambda window, listener: None)


def test_a_taken_port_closes_the_window_and_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(PortInUse):
            _run(_App(), lambda window, listener: None, taken.getsockname()[1])


def test_a_page_that_is_given_up_ends_with_an_error() -> None:
    app = _App()

    def act(window: _Window, listener: WindowListener) -> None:
        listener.page_lost()
        window.close()

    with pytest.raises(PageLost):
        _run(app, act)

    assert app.said == [PLACE, "closed"]
