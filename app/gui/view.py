"""Which view to open: a window of its own where this system can show one, a browser otherwise.

Only looks: nothing is fetched or drawn here.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.gui.window import OpenWindow

_log = logging.getLogger(__name__)


class Lack(StrEnum):
    """What this system would need for a window; but for a display, `gui.lacks_<value>` says how to get it."""

    DISPLAY = "display"
    WEBKIT = "webkit"
    WEBVIEW = "webview"
    WEBVIEW2 = "webview2"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the choice depends on: how to open a window, or what is missing for one."""

    open_window: OpenWindow | None = None
    lack: Lack | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How to show the app: in a window, else in a browser, which is opened or not.

    lack: what to say of why it is not a window, though one was wanted.
    """

    open_window: OpenWindow | None = None
    opens_browser: bool = False
    lack: Lack | None = None


def choose_view(wants_web: bool, no_browser: bool) -> Choice:
    """Decide how to show the app; `wants_web` and `no_browser` are the options of the same names."""
    if no_browser:
        return Choice()
    if wants_web:
        return Choice(opens_browser=has_display())
    around = look_around()
    if around.open_window is not None:
        return Choice(open_window=around.open_window)
    if around.lack is Lack.DISPLAY:
        # Python would start a text browser in this very terminal.
        return Choice()
    return Choice(opens_browser=True, lack=around.lack)


def look_around() -> Surroundings:
    """How a window can be opened on this machine; loads what draws it, which takes a moment."""
    if not has_display():
        return Surroundings(lack=Lack.DISPLAY)
    if sys.platform in ("darwin", "win32"):
        return _look_for_system_view()
    from app.gui.webkit.libraries import DisplayMissing, open_libraries
    from app.gui.webkit.window import WebKitWindow

    try:
        open_libraries()
    except DisplayMissing:
        return Surroundings(lack=Lack.DISPLAY)
    except OSError as error:
        _log.info("no window of its own: %s", error)
        return Surroundings(lack=Lack.WEBKIT)
    return Surroundings(open_window=WebKitWindow)


def has_display(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether anything can be drawn here at all; other systems than Linux always can."""
    is_told = bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return not sys.platform.startswith("linux") or is_told


def _look_for_system_view() -> Surroundings:
    from app.gui.system_view import SystemWindow, find_web_view

    found = find_web_view()
    if found is None:
        return Surroundings(lack=Lack.WEBVIEW)
    return Surroundings(open_window=SystemWindow) if found else Surroundings(lack=Lack.WEBVIEW2)
