"""The whole app in its window, on a screen of its own: seen, typed into, answered, closed, and killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from builders.disks import is_ci
from builders.hub import Fault, LocalHub
from builders.processes import python_environment
from builders.screen import Screen, has_locale, missing_for_windows, open_screen

NO_HUB = "http://127.0.0.1:9"
WAIT_S = float(os.environ.get("E2E_WAIT_S", "120"))
# The button that sends, in both themes: Material's primary colour for our seed.
LIGHT_PRIMARY, DARK_PRIMARY = (0, 106, 102), (128, 213, 207)
# In a window of the usual size: the button that gets a model, and an empty place of the list.
GET, EMPTY = (935, 318), (140, 400)
# The field: from the left, and from the bottom, to which it keeps in a window of any height.
FIELD_LEFT, FIELD_ABOVE_BOTTOM = 500, 100


class Program:
    """`chatbelle` without arguments, as a double-click starts it."""

    def __init__(self, screen: Screen, home: Path, locale: str, hub: str) -> None:
        self.screen = screen
        self.home = home
        environ = {"CHATBELLE_HOME": str(home), "LC_ALL": locale, "HOME": str(home.parent)}
        environ |= {"HF_ENDPOINT": hub, "CHATBELLE_MIRRORS": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli"],
            env=python_environment() | screen.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def window(self) -> int:
        """The window, once it is there."""
        return int(self.screen.wait_for(self.screen.windows, "a window", WAIT_S)[0])

    def wait_until_drawn(self, color: tuple[int, int, int] = LIGHT_PRIMARY) -> None:
        """Until the button that sends can be seen."""
        self.screen.wait_for(lambda: self.screen.picture().count(color) > 400, "the page is drawn", WAIT_S)

    def ask(self, question: str) -> None:
        """Type a question until it has arrived, and send it."""
        self.screen.wait_for(lambda: self._types(question), "a field that takes a text", WAIT_S)
        self.screen.press("Right", "Return")

    def messages(self) -> list[tuple[str, str, str]]:
        """Role, state and text of every message on disk."""
        found = list((self.home / "history").glob("*.sqlite3"))
        if not found:
            return []
        with closing(sqlite3.connect(f"{found[0].as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT role, status, text FROM messages ORDER BY id").fetchall()

    def answer(self) -> str:
        """The newest whole answer, once it is there."""
        self.screen.wait_for(self._answers, "an answer", WAIT_S)
        return self._answers()[-1]

    def children(self) -> list[tuple[int, str]]:
        """The processes it started that still run: ids and names."""
        lines = subprocess.run(
            ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        ).stdout.splitlines()
        parts = [line.split(maxsplit=2) for line in lines]
        return [(int(pid), name) for pid, state, name in parts if not state.startswith("Z")]

    def web_processes(self) -> list[int]:
        """Those that draw its page."""
        return [pid for pid, name in self.children() if name.startswith("WebKitWeb")]

    def _types(self, text: str) -> bool:
        """Type into the field, and look at what it has by copying it; it needs a moment after a click."""
        _, height = self.screen.size(self.window())
        self.screen.click(FIELD_LEFT, height - FIELD_ABOVE_BOTTOM)
        time.sleep(1)
        self.screen.press("ctrl+a")
        self.screen.type(text)
        self.screen.press("ctrl+a", "ctrl+c")
        time.sleep(1)
        return self.screen.clipboard() == text

    def _answers(self) -> list[str]:
        return [text for role, status, text in self.messages() if (role, status) == ("assistant", "complete")]


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    lack = missing_for_windows()
    if lack is None and not (has_locale("zh_CN.UTF-8") and has_locale("en_US.UTF-8")):
        lack = "missing: the locales zh_CN.UTF-8 and en_US.UTF-8 (Debian: locales)"
    if lack is not None:
        pytest.fail(lack) if is_ci() else pytest.skip(lack)
    with open_screen() as screen:
        yield screen


@pytest.fixture
def start(screen: Screen, home: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(locale: str = "zh_CN.UTF-8", hub: str = NO_HUB, **settings: object) -> Program:
        if settings:
            home.mkdir(exist_ok=True)
            (home / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        programs.append(Program(screen, home, locale, hub))
        return programs[-1]

    yield start
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait(30)
        assert program.process.stdout is not None
        program.process.stdout.close()


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.mark.parametrize("locale", ["zh_CN.UTF-8", "C.UTF-8"])
def test_a_question_in_chinese_is_typed_and_answered_and_kept(
    start: Callable[..., Program], screen: Screen, locale: str
) -> None:
    program = start(locale)
    window = program.window()
    assert screen.title(window) == "ChatBELLE"
    program.wait_until_drawn()

    program.ask("你好")
    answer = program.answer()
    screen.close(window)

    assert program.process.wait(WAIT_S) == 0
    assert answer
    assert [(role, text) for role, _, text in program.messages()][0] == ("user", "你好")
    assert program.process.stdout is not None
    assert program.process.stdout.read() == ""  # an address is for browsers


def test_it_comes_up_again_as_it_was_left(start: Callable[..., Program], screen: Screen) -> None:
    program = start("en_US.UTF-8")
    window = program.window()
    program.wait_until_drawn()
    screen.resize(window, 640, 700)
    screen.wait_for(lambda: screen.size(window) == (640, 700), "another size", WAIT_S)
    screen.close(window)
    assert program.process.wait(WAIT_S) == 0

    again = start("en_US.UTF-8")
    assert screen.size(again.window()) == (640, 700)
    again.wait_until_drawn()
    again.process.send_signal(signal.SIGTERM)

    assert again.process.wait(WAIT_S) == 0


def test_the_dark_theme_is_drawn_at_a_phones_width(start: Callable[..., Program], screen: Screen) -> None:
    program = start(theme="dark", window={"width": 360, "height": 740})
    window = program.window()

    program.wait_until_drawn(DARK_PRIMARY)

    assert screen.size(window) == (360, 740)
    red, green, blue = screen.picture().at(2, 700)
    assert max(red, green, blue) < 60


def test_closing_while_work_is_under_way_asks_and_closing_again_closes(
    start: Callable[..., Program], screen: Screen, hub: LocalHub
) -> None:
    hub.fault = lambda seen: Fault(bytes_per_s=1e3) if seen.server == "lfs" else None
    program = start("en_US.UTF-8", hub=hub.url)
    window = program.window()
    program.wait_until_drawn()
    screen.click(*GET)
    screen.wait_for(lambda: any(seen.server == "lfs" for seen in hub.seen), "a download", WAIT_S)
    before = screen.picture().at(*EMPTY)

    screen.close(window)
    screen.wait_for(lambda: sum(screen.picture().at(*EMPTY)) < 0.8 * sum(before), "the question", WAIT_S)
    assert screen.windows() == [window]
    screen.close(window)

    assert program.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_cleanly(start: Callable[..., Program], number: signal.Signals) -> None:
    program = start()
    program.window()
    program.screen.wait_for(lambda: (program.home / "history").exists(), "an open history", WAIT_S)

    program.process.send_signal(number)

    assert program.process.wait(WAIT_S) == 0
    assert program.children() == []


def test_a_dead_page_comes_back_with_the_conversation(start: Callable[..., Program], screen: Screen) -> None:
    program = start()
    window = program.window()
    program.wait_until_drawn()
    program.ask("你好")
    program.answer()
    (drawn_by,) = program.web_processes()

    os.kill(drawn_by, signal.SIGKILL)
    screen.wait_for(lambda: set(program.web_processes()) - {drawn_by}, "another page", WAIT_S)
    program.wait_until_drawn()
    program.ask("再见")
    screen.wait_for(lambda: any(text == "再见" for _, _, text in program.messages()), "the question", WAIT_S)
    screen.close(window)

    assert program.process.wait(WAIT_S) == 0


def test_nothing_runs_on_when_it_is_killed(start: Callable[..., Program], screen: Screen) -> None:
    program = start()
    program.window()
    program.wait_until_drawn()
    program.ask("你好")
    program.answer()
    children = program.children()
    assert any(name.startswith("WebKitWeb") for _, name in children)
    assert any(name.startswith("python") for _, name in children)  # the engine

    program.process.kill()

    for pid, name in children:
        screen.wait_for(lambda pid=pid: _is_gone(pid), f"{name} is gone", WAIT_S)
