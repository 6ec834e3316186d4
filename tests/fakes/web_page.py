"""A window around pages that a test serves, in a process of its own: GTK can be started once in one.

    python web_page.py ADDRESS FRAME

FRAME is a JSON object of what differs from the usual frame. What the window tells comes out as JSON lines;
a line on stdin is a call: {"call": "show"}.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.gui.webkit.window import WebKitWindow
from app.gui.window import MENU_TEXTS, Frame
from app.settings import WindowPlace


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class _Listener:
    """Keeps the window open once, where the frame says so."""

    def __init__(self, refusals: int) -> None:
        self._refusals = refusals

    def may_close(self) -> bool:
        self._refusals -= 1
        _say(may_close=self._refusals < 0)
        return self._refusals < 0

    def closing(self, place: WindowPlace) -> None:
        _say(closing=[place.width, place.height, place.left, place.top, place.maximized])

    def page_came_back(self) -> None:
        _say(came_back=True)

    def page_lost(self) -> None:
        _say(lost=True)

    def opened(self, paths: Sequence[Path]) -> None:
        _say(opened=[str(path) for path in paths])

    def saved(self, path: Path) -> None:
        _say(saved=str(path))


def _main(address: str, differs: dict[str, Any]) -> None:
    frame = Frame(
        title="窗口",
        place=WindowPlace(**differs.get("place", {})),
        language=differs.get("language", "zh-CN"),
        is_dark=differs.get("is_dark"),
        folder=Path("nowhere"),
        texts=dict.fromkeys(MENU_TEXTS, "保存"),
    )
    window = WebKitWindow(frame, Path(differs["icon"]))

    def obey() -> None:
        for line in sys.stdin:
            call = json.loads(line)
            getattr(window, call.pop("call"))(**call)

    threading.Thread(target=obey, daemon=True).start()
    window.load(address)
    window.run(_Listener(differs.get("refusals", 0)))


if __name__ == "__main__":
    _main(sys.argv[1], json.loads(sys.argv[2]))
