"""Messages for people who see no terminal: whatever the system has is asked, and the text arrives whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.gui.alert import show_alert, show_page
from builders.disks import is_ci

ROOT = Path(__file__).resolve().parents[3]
TEXT = "数据文件夹 \"/a <b>&amp; c\" 不能写入。\n%s $(touch x) `id` -- 'quoted'"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts")

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Make a program that keeps its arguments in the file NAME.txt, one between two lines of dashes."""

    def fake(name: str, code: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        kept = folder / f"{name}.txt"
        script = (
            f'#!/bin/sh\nfor each in "$@"; do printf "%s\\n----\\n" "$each"; done > "{kept}"\nexit {code}\n'
        )
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
        return kept

    return fake


def _environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "DISPLAY": ":99", **more}


def _arguments(kept: Path) -> list[str]:
    return kept.read_text(encoding="utf-8").split("\n----\n")[:-1]


@pytest.mark.parametrize("code", [0, 1])
def test_zenity_is_given_the_text_as_it_is(fake: Fake, tmp_path: Path, code: int) -> None:
    kept = fake("zenity", code)
    other = fake("kdialog")
    assert show_alert("ChatBELLE", TEXT, platform="linux", environ=_environ(tmp_path))
    assert f"--text={TEXT}" in _arguments(kept)
    assert "--no-markup" in _arguments(kept)
    assert not other.exists()


def test_kde_has_its_own_dialog_which_takes_html(fake: Fake, tmp_path: Path) -> None:
    fake("zenity")
    kept = fake("kdialog")
    environ = _environ(tmp_path, XDG_CURRENT_DESKTOP="KDE")
    assert show_alert("ChatBELLE", TEXT, platform="linux", environ=environ)
    title, name, kind, text = _arguments(kept)
    assert (title, name, kind) == ("--title", "ChatBELLE", "--error")
    assert "&lt;b&gt;&amp;amp;" in text


def test_a_dialog_that_fails_is_followed_by_the_next(fake: Fake, tmp_path: Path) -> None:
    fake("zenity", 255)
    kept = fake("kdialog")
    assert show_alert("ChatBELLE", TEXT, platform="linux", environ=_environ(tmp_path))
    assert kept.exists()


def test_without_a_display_nothing_is_started(fake: Fake, tmp_path: Path) -> None:
    kept = fake("zenity")
    environ = {"PATH": str(tmp_path / "bin")}
    assert not show_alert("ChatBELLE", TEXT, platform="linux", environ=environ)
    assert not kept.exists()


def test_on_macos_the_text_is_an_argument_and_no_script(fake: Fake, tmp_path: Path) -> None:
    kept = fake("osascript")
    assert show_alert("ChatBELLE", TEXT, platform="darwin", environ={"PATH": str(tmp_path / "bin")})
    arguments = _arguments(kept)
    assert arguments[-2:] == ["ChatBELLE", TEXT]
    assert all("数据" not in each for each in arguments[:-1])


# --- a page in the browser --------------------------------------------------------------------------


def test_the_page_is_there_for_one_look_at_its_own_address() -> None:
    seen: dict[str, bytes] = {}

    def look(address: str) -> None:
        parts = urlsplit(address)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{parts.netloc}/", timeout=20)
        seen["status"] = str(refused.value.code).encode()
        with urllib.request.urlopen(address, timeout=20) as answer:
            seen["page"] = answer.read()

    threads: list[threading.Thread] = []

    def open_page(address: str) -> bool:
        threads.append(threading.Thread(target=look, args=[address]))
        threads[0].start()
        return True

    assert show_page("ChatBELLE", TEXT, open_page)
    threads[0].join()
    assert seen["status"] == b"404"
    page = seen["page"].decode("utf-8")
    assert "数据文件夹" in page
    assert "<b>" not in page


def test_without_a_browser_nobody_waits() -> None:
    assert not show_page("ChatBELLE", TEXT, lambda address: False)


# --- for real ---------------------------------------------------------------------------------------


def _started_from_an_icon(
    environ: dict[str, str], tmp_path: Path, broken: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """The bundle's program without a terminal; broken: Python that is run before."""
    script = f"import sys; sys.frozen = True; {broken}\nfrom app.cli import main\nsys.exit(main(['--web']))"
    return subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )


@pytest.fixture
def icon_environ(environ: dict[str, str], fake: Fake, tmp_path: Path) -> dict[str, str]:
    kept = fake("zenity")
    path = os.pathsep.join([str(kept.parent), environ.get("PATH", "")])
    return environ | {"PATH": path, "DISPLAY": ":99", "LC_ALL": "zh_CN.UTF-8"}


def test_what_goes_wrong_before_there_is_a_window_is_seen(
    icon_environ: dict[str, str], home_folder: Path, tmp_path: Path
) -> None:
    home_folder.write_text("a file where the folder should be")
    done = _started_from_an_icon(icon_environ, tmp_path)
    assert done.returncode == 1
    said = (tmp_path / "bin" / "zenity.txt").read_text(encoding="utf-8")
    assert str(home_folder) in said
    assert "Traceback" not in said


def test_a_crash_says_where_its_report_is(
    icon_environ: dict[str, str], home_folder: Path, tmp_path: Path
) -> None:
    broken = "import app.gui.view as view; view.choose_view = lambda *_: 1 / 0"
    done = _started_from_an_icon(icon_environ, tmp_path, broken)
    assert done.returncode == 1
    (report,) = (home_folder / "logs").glob("error-*.log")
    assert "ZeroDivisionError" in report.read_text(encoding="utf-8")
    assert str(report) in (tmp_path / "bin" / "zenity.txt").read_text(encoding="utf-8")


def test_a_copy_that_is_no_bundle_opens_no_dialog(
    icon_environ: dict[str, str], home_folder: Path, tmp_path: Path
) -> None:
    home_folder.write_text("a file where the folder should be")
    command = [sys.executable, "-m", "app.cli", "--web"]
    environ = icon_environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, env=environ, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "bin" / "zenity.txt").exists()


_HAS_SCREEN = bool(shutil.which("Xvfb") and shutil.which("xdotool") and find_library("gtk-3"))


@pytest.mark.skipif(not _HAS_SCREEN and not is_ci(), reason="needs Xvfb, xdotool and GTK 3")
def test_gtk_shows_it_where_there_is_no_dialog_program(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as screen:
        os.close(writing)
        with os.fdopen(reading) as told:  # closed before the end of the line, Xvfb would end as well
            display = f":{told.readline().strip()}"
        environ = {**os.environ, "DISPLAY": display, "PYTHONPATH": str(ROOT), "WAYLAND_DISPLAY": ""}
        script = (
            "import os, sys; from app.gui.alert import show_alert; "
            f"sys.exit(not show_alert('ChatBELLE 提示', {TEXT!r}, environ={{**os.environ, 'PATH': ''}}))"
        )
        try:
            with subprocess.Popen([sys.executable, "-c", script], env=environ, cwd=tmp_path) as shown:
                search = ["xdotool", "search", "--name", "ChatBELLE 提示"]
                _until(
                    lambda: subprocess.run(search, env=environ, capture_output=True).returncode == 0, shown
                )
                window = subprocess.run(search, env=environ, capture_output=True, text=True).stdout.split()[0]
                subprocess.run(["xdotool", "windowfocus", window, "key", "Return"], env=environ, check=True)
                assert shown.wait(30) == 0
        finally:
            screen.terminate()


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < end_s, "no window"
        time.sleep(0.1)
