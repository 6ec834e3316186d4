"""The dialogs that the page of the window of Linux asks for, for real: files in and out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from builders.screen import Screen
from builders.webkit_windows import BLANK, WAIT_S, Site, Window


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


def _dialog(screen: Screen, window: Window) -> int:
    """The window of GTK's dialog, once it is there."""
    found = screen.wait_for(lambda: sorted(set(screen.windows()) - {window.id}), "a dialog", WAIT_S)
    return int(found[0])


def _answer_dialog(screen: Screen, window: Window, path: Path, key: str = "ctrl+a") -> None:
    """Paste a path into a file dialog. key: what leads to its field, and selects what is in there."""
    dialog = _dialog(screen, window)
    screen.focus(dialog)
    screen.copy(str(path))  # what is typed slowly is completed on the way, to another path
    screen.press(key)
    time.sleep(1)
    screen.press("ctrl+v")
    time.sleep(1)

    def accepts() -> bool:
        """The first Return may only take what the field proposes."""
        screen.press("Return")
        time.sleep(1)
        return dialog not in screen.windows()

    screen.wait_for(accepts, "the dialog is gone", WAIT_S)
