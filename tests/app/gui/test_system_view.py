"""The window of macOS and Windows against a stand-in for pywebview with the real one's signatures.

Written from pywebview 6.2.1: what it calls, in which thread, and which calls wait until the window is shown.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from app.gui.system_view import SystemWindow
from app.gui.window import MENU_TEXTS, Frame
from app.i18n import WindowTexts
from app.settings import WindowPlace

FRAME = Frame(
    title="ChatBELLE",
    place=WindowPlace(900, 600, 50, 60),
    language="zh-CN",
    is_dark=True,
    folder=Path("data") / "web-view",
    texts={key: WindowTexts("zh-CN").text(key) for key in MENU_TEXTS},
)


class Event:
    """As `webview.event.Event` with should_lock: handlers run where it is set; false vetoes."""

    def __init__(self) -> None:
        self.handlers: list[Callable[..., Any]] = []

    def __iadd__(self, handler: Callable[..., Any]) -> Event:
        self.handlers.append(handler)
        return self

    def set(self) -> bool:
        """Whether a handler vetoed."""
        return any([handler() is False for handler in self.handlers])


class FakeWindow:
    """`webview.window.Window`; `destroy` asks `closing` on Windows, and does not on macOS."""

    def __init__(self, asks_when_destroyed: bool, **options: Any) -> None:
        self.options = options
        self.events = SimpleNamespace(
            **{name: Event() for name in ("closing", "maximized", "minimized", "restored")}
        )
        self.width, self.height, self.x, self.y = 1000, 700, 5, 6
        self.calls: list[Any] = []
        self.shown = threading.Event()
        self.gone = threading.Event()
        self._asks_when_destroyed = asks_when_destroyed

    def load_url(self, url: str) -> None:
        self._wait("load", url)

    def set_title(self, title: str) -> None:
        self._wait("title", title)

    def show(self) -> None:
        self._wait("show")

    def hide(self) -> None:
        self._wait("hide")

    def restore(self) -> None:
        self._wait("restore")
        self.events.restored.set()

    def destroy(self) -> None:
        self._wait("destroy")
        if not self._asks_when_destroyed or not self.events.closing.set():
            self.gone.set()

    def close_as_a_person(self) -> None:
        """The button of the title bar."""
        if not self.events.closing.set():
            self.gone.set()

    def _wait(self, *call: Any) -> None:
        assert self.shown.wait(20)
        self.calls.append(call)


class FakeWebview(ModuleType):
    """The functions that are used; `act` is what happens while the loop runs, on a thread."""

    def __init__(self, act: Callable[[FakeWindow], None], asks_when_destroyed: bool) -> None:
        super().__init__("webview")
        self.settings = {"ALLOW_DOWNLOADS": False, "ALLOW_FILE_URLS": True}
        self.screens = [SimpleNamespace(x=0, y=0, width=1920, height=1080)]
        self.started: dict[str, Any] = {}
        self._act = act
        self._asks_when_destroyed = asks_when_destroyed

    def create_window(self, title: str, **options: Any) -> FakeWindow:
        self.window = FakeWindow(self._asks_when_destroyed, title=title, **options)
        return self.window

    def start(self, **options: Any) -> None:
        self.started = options
        self.window.shown.set()
        self._act(self.window)
        assert self.window.gone.wait(20)


class Listener:
    """Answers `may_close` from a list, and keeps what it was told."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.places: list[WindowPlace] = []

    def may_close(self) -> bool:
        return self.answers.pop(0)

    def closing(self, place: WindowPlace) -> None:
        self.places.append(place)

    def page_came_back(self) -> None: ...

    def page_lost(self) -> None: ...

    def opened(self, paths: Sequence[Path]) -> None: ...

    def saved(self, path: Path) -> None: ...


@pytest.fixture(params=["windows", "macos"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.delenv("WEBVIEW2_ADDITIONAL_BROWSER_ARGUMENTS", raising=False)

    def make(act: Callable[[SystemWindow, FakeWindow], None]) -> tuple[SystemWindow, FakeWebview]:
        webview = FakeWebview(lambda fake: act(window, fake), request.param == "windows")
        monkeypatch.setitem(sys.modules, "webview", webview)
        window = SystemWindow(FRAME, Path("icon.png"))
        return window, webview

    return make


def test_it_begins_as_it_was_left_in_the_persons_language_and_colours(make: Callable[..., Any]) -> None:
    window, webview = make(lambda window, fake: fake.close_as_a_person())

    window.run(Listener(True))

    options = webview.window.options
    assert (options["width"], options["height"], options["x"], options["y"]) == (900, 600, 50, 60)
    assert options["min_size"] == (360, 480)
    assert options["background_color"] == "#0E1514"
    assert options["localization"]["cocoa.menu.copy"] == "拷贝"
    assert webview.started == {"private_mode": True, "storage_path": str(FRAME.folder)}
    assert webview.settings == {"ALLOW_DOWNLOADS": True, "ALLOW_FILE_URLS": False}


def test_webview2_asks_nobody_for_anything(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("WEBVIEW2_ADDITIONAL_BROWSER_ARGUMENTS", "--own")

    make(lambda window, fake: None)

    arguments = os.environ["WEBVIEW2_ADDITIONAL_BROWSER_ARGUMENTS"].split()
    assert arguments[0] == "--own"
    assert "--disable-background-networking" in arguments
    assert "--lang=zh-CN" in arguments


def test_closing_saves_once_while_it_still_may(make: Callable[..., Any]) -> None:
    listener = Listener(True)
    said_before_gone = []

    def act(window: SystemWindow, fake: FakeWindow) -> None:
        fake.events.closing += lambda: said_before_gone.append(len(listener.places))
        fake.close_as_a_person()

    make(act)[0].run(listener)

    assert said_before_gone == [1]
    assert listener.places == [WindowPlace(1000, 700, 5, 6)]


def test_a_refused_close_keeps_it_open(make: Callable[..., Any]) -> None:
    listener = Listener(False, True)
    seen = []

    def act(window: SystemWindow, fake: FakeWindow) -> None:
        fake.close_as_a_person()
        seen.append((fake.gone.is_set(), len(listener.places)))
        fake.close_as_a_person()

    make(act)[0].run(listener)

    assert seen == [(False, 0)]
    assert len(listener.places) == 1


def test_the_program_closes_it_without_asking(make: Callable[..., Any]) -> None:
    listener = Listener()

    make(lambda window, fake: window.close())[0].run(listener)

    assert listener.places == [WindowPlace(1000, 700, 5, 6)]


def test_a_loop_that_ends_by_itself_is_told_as_well(make: Callable[..., Any]) -> None:
    """Cmd-Q within the page stops macOS's loop and asks nobody."""
    listener = Listener()

    make(lambda window, fake: fake.gone.set())[0].run(listener)

    assert listener.places == [FRAME.place]


def test_what_is_asked_of_it_before_it_is_shown_waits_without_holding_anybody_up(
    make: Callable[..., Any],
) -> None:
    def act(window: SystemWindow, fake: FakeWindow) -> None:
        window.close()

    window, webview = make(act)
    window.load("http://127.0.0.1:1/page/")
    window.set_title("● 完成")
    window.show("token")

    window.run(Listener())

    calls = webview.window.calls
    assert calls[:3] == [("load", "http://127.0.0.1:1/page/"), ("title", "● 完成"), ("show",)]


def test_a_minimized_window_comes_back_and_its_place_is_not_remembered(make: Callable[..., Any]) -> None:
    listener = Listener(True)

    def act(window: SystemWindow, fake: FakeWindow) -> None:
        fake.events.minimized.set()
        fake.x = fake.y = -32_000
        fake.close_as_a_person()

    make(act)[0].run(listener)

    assert listener.places == [FRAME.place]


def test_a_minimized_window_is_restored_when_it_is_shown(make: Callable[..., Any]) -> None:
    def act(window: SystemWindow, fake: FakeWindow) -> None:
        fake.events.minimized.set()
        window.show()
        window.close()

    window, webview = make(act)
    window.run(Listener())

    assert [call[0] for call in webview.window.calls][:2] == ["restore", "show"]


def test_a_maximized_window_keeps_the_size_it_goes_back_to(make: Callable[..., Any]) -> None:
    listener = Listener(True)

    def act(window: SystemWindow, fake: FakeWindow) -> None:
        fake.events.maximized.set()
        fake.close_as_a_person()

    make(act)[0].run(listener)

    assert listener.places == [WindowPlace(900, 600, 50, 60, maximized=True)]


def test_it_writes_nothing_to_a_terminal(make: Callable[..., Any]) -> None:
    logger = logging.getLogger("pywebview")
    logger.addHandler(logging.StreamHandler())

    make(lambda window, fake: None)

    assert logger.handlers == []
