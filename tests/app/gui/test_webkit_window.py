"""The window of Linux, for real: WebKitGTK on a screen of its own, around pages that say what they see."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from builders.disks import is_ci
from builders.processes import python_environment
from builders.screen import Screen, missing_for_windows, open_screen

ROOT = Path(__file__).resolve().parents[3]
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


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    lack = missing_for_windows()
    if lack is not None:
        pytest.fail(lack) if is_ci() else pytest.skip(lack)
    with open_screen() as screen:
        yield screen


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def show(screen: Screen, site: Site, tmp_path: Path) -> Iterator[Callable[..., Window]]:
    """Show a page that runs a script."""
    windows: list[Window] = []
    home = tmp_path / "家"
    home.mkdir()
    usual = {"HOME": str(home), "LC_ALL": "C", "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def show(
        script: str = BLANK, body: str = "", environ: dict[str, str] | None = None, **frame: Any
    ) -> Window:
        site.script, site.body = script, body
        windows.append(Window(screen, site, usual | (environ or {}), frame))
        return windows[-1]

    yield show
    for window in windows:
        window.process.kill()
        window.process.wait(30)


def _opener(tmp_path: Path) -> Path:
    """What the system opens addresses with: writes its argument into the file."""
    (tmp_path / "bin").mkdir()
    seen = tmp_path / "opened"
    program = tmp_path / "bin" / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n', encoding="utf-8")
    program.chmod(0o755)
    return seen


def test_it_has_its_title_icon_size_and_the_name_of_the_desktop_entry(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(place={"width": 700, "height": 500})
    site.wait_for("loaded")

    assert screen.title(window.id) == "窗口"
    assert screen.size(window.id) == (700, 500)
    assert '"chatbelle", "chatbelle"' in screen.property(window.id, "WM_CLASS")
    assert "Icon (192 x 192)" in screen.property(window.id, "_NET_WM_ICON")

    window.call("set_title", text="● 完成")
    screen.wait_for(lambda: screen.title(window.id) == "● 完成", "the other title", WAIT_S)


def test_it_is_never_narrower_than_a_phone(show: Callable[..., Window], screen: Screen, site: Site) -> None:
    window = show("addEventListener('resize', () => say('width', innerWidth)); " + BLANK)
    site.wait_for("loaded")

    hints = screen.property(window.id, "WM_NORMAL_HINTS")

    assert "minimum size: 360 by 480" in hints


@pytest.mark.parametrize(("language", "expected"), [("zh-CN", "zh-CN"), ("en", "en-US")])
def test_the_page_has_a_language_even_where_the_locale_has_none(
    show: Callable[..., Window], site: Site, language: str, expected: str
) -> None:
    """Flutter stays at its splash where the browser's language is none."""
    show(
        "say('language', navigator.language + ' ' + new Intl.Locale(navigator.language).language)",
        language=language,
    )

    assert site.wait_for("language") == f"{expected} {expected[:2]}"
    assert site.languages[0].startswith(expected)


@pytest.mark.parametrize(("is_dark", "expected"), [(True, "true"), (False, "false")])
def test_the_page_sees_the_theme_that_was_chosen(
    show: Callable[..., Window], site: Site, is_dark: bool, expected: str
) -> None:
    show("say('dark', matchMedia('(prefers-color-scheme: dark)').matches)", is_dark=is_dark)

    assert site.wait_for("dark") == expected


def test_closing_tells_the_place_and_ends_with_nothing_left(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(place={"width": 700, "height": 500, "left": 40, "top": 30})
    site.wait_for("loaded")
    drawn_by = window.web_process()

    screen.close(window.id)

    assert window.wait_for("may_close") is True
    assert window.wait_for("closing") == [700, 500, 40, 30, False]
    assert window.process.wait(WAIT_S) == 0
    screen.wait_for(lambda: not Path(f"/proc/{drawn_by}").exists(), "the page's process is gone", WAIT_S)


def test_a_refused_close_keeps_the_window_and_the_next_one_does_not(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show(refusals=1)
    site.wait_for("loaded")

    screen.close(window.id)
    assert window.wait_for("may_close") is False
    assert screen.windows() == [window.id]
    screen.close(window.id)

    assert window.process.wait(WAIT_S) == 0


def test_another_thread_closes_it_without_asking(show: Callable[..., Window], site: Site) -> None:
    window = show()
    site.wait_for("loaded")

    window.call("show", token="")
    window.call("close")

    assert "may_close" not in window.told.get(timeout=WAIT_S)
    assert window.process.wait(WAIT_S) == 0


def test_a_page_whose_process_dies_is_loaded_again(show: Callable[..., Window], site: Site) -> None:
    window = show()
    site.wait_for("loaded")

    os.kill(window.web_process(), signal.SIGKILL)

    assert window.wait_for("came_back") is True
    assert site.wait_for("loaded") == "visible"


def test_a_page_that_keeps_dying_is_given_up(show: Callable[..., Window], site: Site) -> None:
    window = show()
    for _ in range(2):
        site.wait_for("loaded")
        os.kill(window.web_process(), signal.SIGKILL)
        window.wait_for("came_back")
    site.wait_for("loaded")

    os.kill(window.web_process(), signal.SIGKILL)

    assert window.wait_for("lost") is True
    assert window.process.wait(WAIT_S) == 0


def test_nothing_is_left_when_the_program_is_killed(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    window = show()
    site.wait_for("loaded")
    drawn_by = window.web_process()

    window.process.kill()

    screen.wait_for(lambda: _is_gone(drawn_by), "the page's process is gone", WAIT_S)


def test_other_sites_open_in_the_systems_browser(
    show: Callable[..., Window], screen: Screen, site: Site, tmp_path: Path
) -> None:
    seen = _opener(tmp_path)
    link = "<a id=a style='position:fixed;inset:0;font-size:60px' target=_blank href='https://belle.example/页'>x</a>"
    window = show(BLANK + "; setTimeout(() => location.href = 'http://evil.example/', 200)", link)
    site.wait_for("loaded")
    screen.wait_for(seen.exists, "the address of the script's navigation", WAIT_S)

    screen.click(300, 300)

    screen.wait_for(lambda: len(seen.read_text().splitlines()) == 2, "the link's address", WAIT_S)
    assert seen.read_text().splitlines() == [
        "http://evil.example/",
        "https://belle.example/%E9%A1%B5",
    ]
    assert window.process.poll() is None


@pytest.mark.parametrize("address", ["file:///etc/passwd", "{origin}/other/", "data:text/html,x"])
def test_nothing_else_is_shown_in_the_window(
    show: Callable[..., Window], site: Site, tmp_path: Path, address: str
) -> None:
    """Not even what the same server has beside the page."""
    seen = _opener(tmp_path)
    target = address.format(origin=site.origin)
    show(
        f"addEventListener('load', () => {{ location.href = '{target}';"
        "setTimeout(() => say('here', location.href), 1500) })"
    )

    assert site.wait_for("here") == site.address
    assert not seen.exists() or target.startswith("http")


def test_the_page_may_copy_without_a_click(show: Callable[..., Window], screen: Screen, site: Site) -> None:
    """The answer to a click on Copy comes from the program, when the click is long over."""
    show(
        "setTimeout(() => navigator.clipboard.writeText('复制的文字')"
        ".then(() => say('copied', ''), error => say('copied', error)), 100)"
    )

    assert site.wait_for("copied") == ""
    assert screen.clipboard() == "复制的文字"


def test_a_download_is_asked_a_place_for_and_told(
    show: Callable[..., Window], screen: Screen, site: Site, tmp_path: Path
) -> None:
    download = (
        "const a = document.createElement('a'); a.download = '对话.md';"
        "a.href = URL.createObjectURL(new Blob(['内容'], {type: 'application/octet-stream'}));"
        "a.click();"
    )
    window = show(BLANK + ";" + download)
    _answer_dialog(screen, window, tmp_path / "保存 的.md")

    assert window.wait_for("saved") == str(tmp_path / "保存 的.md")
    assert (tmp_path / "保存 的.md").read_text(encoding="utf-8") == "内容"


def test_a_download_that_is_thought_better_of_leaves_nothing(
    show: Callable[..., Window], screen: Screen, site: Site, tmp_path: Path
) -> None:
    download = (
        "const a = document.createElement('a'); a.download = 'x.md';"
        "a.href = URL.createObjectURL(new Blob(['x'])); a.click();"
    )
    window = show(BLANK + ";" + download)
    dialog = _dialog(screen, window)

    screen.press("Escape")

    screen.wait_for(lambda: dialog not in screen.windows(), "no dialog", WAIT_S)
    assert list(tmp_path.rglob("*.md")) == []
    window.call("close")
    assert window.process.wait(WAIT_S) == 0


def test_a_file_is_picked_in_the_systems_dialog(
    show: Callable[..., Window], screen: Screen, site: Site, tmp_path: Path
) -> None:
    chosen = tmp_path / "对话 记录.json"
    chosen.write_text("[]", encoding="utf-8")
    field = "<input id=f type=file style='position:fixed;inset:0;width:600px;height:400px;font-size:90px'>"
    window = show(
        "f.onchange = () => f.files[0].text().then(t => say('file', f.files[0].name + t)); " + BLANK,
        field,
        {"LC_ALL": "C.UTF-8"},
    )
    site.wait_for("loaded")

    screen.click(100, 200)
    _answer_dialog(screen, window, chosen, "ctrl+l")

    assert site.wait_for("file") == "对话 记录.json[]"


def test_keys_enlarge_the_page_as_in_a_browser(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    show("addEventListener('resize', () => say('width', innerWidth)); " + BLANK, place={"width": 800})
    site.wait_for("loaded")
    screen.click(300, 300)

    screen.press("ctrl+plus")
    assert int(site.wait_for("width")) == round(800 / 1.1)
    screen.press("ctrl+minus", "ctrl+minus")
    assert int(site.wait_for("width")) == 800
    assert int(site.wait_for("width")) == round(800 * 1.1)
    screen.press("ctrl+0")
    assert int(site.wait_for("width")) == 800


def test_a_right_click_offers_nothing_but_in_a_field(
    show: Callable[..., Window], screen: Screen, site: Site
) -> None:
    field = "<textarea id=t style='position:fixed;left:0;top:0;width:300px;height:300px'></textarea>"
    window = show("addEventListener('contextmenu', e => say('menu', e.target.tagName)); " + BLANK, field)
    site.wait_for("loaded")
    before = len(screen.windows(""))

    screen.click(500, 400, button=3)
    assert site.wait_for("menu") in ("HTML", "BODY")
    assert len(screen.windows("")) == before
    screen.click(100, 100, button=3)
    assert site.wait_for("menu") == "TEXTAREA"

    screen.wait_for(lambda: len(screen.windows("")) > before, "the menu with Paste", WAIT_S)
    assert window.process.poll() is None


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(show: Callable[..., Window], site: Site) -> None:
    proxy = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "all_proxy")}

    show(environ=proxy)

    assert site.wait_for("loaded") == "visible"


def test_nothing_of_the_page_is_kept_on_disk(show: Callable[..., Window], site: Site, tmp_path: Path) -> None:
    window = show("localStorage.secret = '机密'; document.cookie = 'a=机密'; " + BLANK)
    site.wait_for("loaded")

    window.call("close")
    assert window.process.wait(WAIT_S) == 0

    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "dconf" not in str(path)]
    assert [
        path for path in kept if "机密".encode() in path.read_bytes() or "webkit" in str(path).lower()
    ] == []


def _dialog(screen: Screen, window: Window) -> int:
    """The window of GTK's dialog, once it is there."""
    found = screen.wait_for(lambda: sorted(set(screen.windows()) - {window.id}), "a dialog", WAIT_S)
    return int(found[0])


def _answer_dialog(screen: Screen, window: Window, path: Path, key: str = "ctrl+a") -> None:
    """Type a path into a file dialog. key: what leads to its field, and selects what is in there."""
    dialog = _dialog(screen, window)
    screen.focus(dialog)
    screen.press(key)
    screen.type(str(path))

    def accepts() -> bool:
        """The first Return may only take what the field proposes."""
        screen.press("Return")
        time.sleep(1)
        return dialog not in screen.windows()

    screen.wait_for(accepts, "the dialog is gone", WAIT_S)


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"
