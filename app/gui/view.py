"""Which view to open: a native window where its client program is on this machine, a browser otherwise.

Only looks; nothing is fetched, unpacked or started here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class View(StrEnum):
    """Where the app is shown."""

    WINDOW = "window"
    BROWSER = "browser"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the choice depends on. has_client: the native client is bundled, cached or named."""

    has_client: bool
    has_display: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The view, whether to open a browser, and whether to say that `get-window` would give a window."""

    view: View
    opens_browser: bool
    suggests_client: bool


def choose_view(wants_web: bool, no_browser: bool, around: Surroundings) -> Choice:
    """Decide how to show the app; `wants_web` and `no_browser` are the options of the same names."""
    if around.has_client and around.has_display and not wants_web and not no_browser:
        return Choice(View.WINDOW, opens_browser=False, suggests_client=False)
    return Choice(
        View.BROWSER,
        # Without a display, Python would start a text browser in this very terminal.
        opens_browser=not no_browser and around.has_display,
        suggests_client=not wants_web and not no_browser and not around.has_client,
    )


def look_around(environ: Mapping[str, str] = os.environ) -> Surroundings:
    """The surroundings on this machine."""
    return Surroundings(has_client=has_client(environ), has_display=has_display(environ))


def has_display(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether anything can be drawn here at all; other systems than Linux always can."""
    is_told = bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return not sys.platform.startswith("linux") or is_told


def has_client(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether Flet's native client is here, looking where Flet looks before it would fetch one."""
    try:
        import flet_desktop
        import flet_desktop.version
    except ImportError:
        return False
    named = environ.get("FLET_VIEW_PATH")
    if named and _holds_client(Path(named)):
        return True
    if (Path(flet_desktop.get_package_bin_dir()) / flet_desktop.get_artifact_filename()).is_file():
        return True
    cache = Path.home() / ".flet" / "client"
    version = flet_desktop.version.version
    return any((cache / f"flet-desktop-{flavor}-{version}").is_dir() for flavor in _flavors(environ))


def _flavors(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variants of the client that Flet would take here."""
    chosen = environ.get("FLET_DESKTOP_FLAVOR", "").strip().lower()
    if chosen in ("full", "light"):
        return (chosen,)
    return ("light",) if sys.platform.startswith("linux") else ("full",)


def _holds_client(folder: Path) -> bool:
    if sys.platform == "win32":
        return (folder / "flet.exe").is_file()
    if sys.platform == "darwin":
        return folder.is_dir() and any(path.suffix == ".app" for path in folder.iterdir())
    return (folder / "flet").is_file()
