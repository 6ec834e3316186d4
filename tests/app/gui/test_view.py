"""Which view is opened, and what is said where it is not a window."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import app.main
from app.commands import gui
from app.gui import view
from app.gui.view import Choice, Lack, Surroundings, choose_view, has_display
from app.home import Home
from app.i18n import Texts
from app.shell import Shell
from app.terminal import Terminal
from builders.fake_backend import FakeBackend
from convert.i18n import LANGUAGES

ROOT = Path(__file__).resolve().parents[3]


def _open_window(*_: Any) -> Any:
    raise AssertionError("only looking decides")


WINDOW = Surroundings(open_window=_open_window)


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (WINDOW, Choice(open_window=_open_window)),
        (Surroundings(lack=Lack.WEBKIT), Choice(opens_browser=True, lack=Lack.WEBKIT)),
        (Surroundings(lack=Lack.WEBVIEW2), Choice(opens_browser=True, lack=Lack.WEBVIEW2)),
        (Surroundings(lack=Lack.DISPLAY), Choice()),
    ],
)
def test_a_window_is_opened_where_there_can_be_one(
    around: Surroundings, expected: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "look_around", lambda: around)

    assert choose_view(wants_web=False, no_browser=False) == expected


@pytest.mark.parametrize("displays", [True, False])
def test_who_wants_the_browser_gets_it_without_a_look_at_windows(
    displays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "look_around", lambda: pytest.fail("nothing is to be loaded"))
    monkeypatch.setattr(view, "has_display", lambda: displays)

    assert choose_view(wants_web=True, no_browser=False) == Choice(opens_browser=displays)
    assert choose_view(wants_web=False, no_browser=True) == Choice()
    assert choose_view(wants_web=True, no_browser=True) == Choice()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have one")
def test_a_display_is_one_of_x11_or_wayland() -> None:
    assert has_display({"DISPLAY": ":0"})
    assert has_display({"WAYLAND_DISPLAY": "wayland-0"})
    assert not has_display({"DISPLAY": ""})
    assert not has_display({})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lack", [lack for lack in Lack if lack is not Lack.DISPLAY])
def test_what_is_missing_is_said_in_one_line_that_names_it(lack: Lack, language: Any) -> None:
    sentence = Texts(language).text(f"gui.lacks_{lack}")

    assert "\n" not in sentence
    named = {Lack.WEBKIT: "libwebkit2gtk-4.1-0", Lack.WEBVIEW2: "WebView2", Lack.WEBVIEW: "ChatBELLE"}
    assert named[lack] in sentence


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other libraries")
def test_a_system_without_webkitgtk_is_told_which_package_to_install() -> None:
    """In a process of its own, whose loader finds nothing: GTK may be loaded in this one."""
    script = (
        "import ctypes, sys\n"
        "class NoLibrary(ctypes.CDLL):\n"
        "    def __init__(self, name, *rest, **named): raise OSError(f'{name}: cannot open shared object')\n"
        "ctypes.CDLL = NoLibrary\n"
        "from app.gui.view import choose_view\n"
        "choice = choose_view(False, False)\n"
        "print(choice.lack, choice.opens_browser, choice.open_window)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"DISPLAY": ":0", "PATH": "/usr/bin"},
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["webkit", "True", "None"]


class _Opened(Exception):  # noqa: N818
    """As far as a start is looked at here."""


@pytest.mark.parametrize("is_watched", [True, False])
def test_what_is_missing_is_said_on_the_page_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_watched: bool
) -> None:
    said: list[str | None] = []

    def open_app(*_: Any, notice: str | None, **__: Any) -> None:
        said.append(notice)
        raise _Opened

    monkeypatch.setattr(view, "look_around", lambda: Surroundings(lack=Lack.WEBKIT))
    monkeypatch.setattr(app.main, "open_app", open_app)
    streams = [StringIO() for _ in range(3)]
    if is_watched:
        monkeypatch.setattr(streams[2], "isatty", lambda: True)
    shell = Shell(Texts("en"), Terminal(*streams), Home(tmp_path), FakeBackend)

    with pytest.raises(_Opened):
        gui.run(Namespace(paths=[], web=False, no_browser=False, port=0), shell)

    assert said == [None if is_watched else Texts("en").text("gui.lacks_webkit")]
