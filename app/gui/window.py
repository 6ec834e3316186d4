"""What a window of its own is, whatever draws it: the system's web view around the page we serve.

A web view and not Flet's own client, because the client is a program of some 30 MB that would have to be
bundled or fetched for every system, while a web view is there already (WKWebView, WebView2) or one package of
the distribution away (WebKitGTK); and because the window then shows the very page that the browser view
shows, so that there is one thing to draw, to test and to keep safe. Input methods are the system's own.
Knows no chats and no server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app.settings import WindowPlace
from convert.i18n import Language

MIN_WIDTH, MIN_HEIGHT = 360, 480
# As the keys of the catalogs; what the system's menus and dialogs around the page say.
MENU_TEXTS = (
    *(
        "menu.save_file",
        "menu.about",
        "menu.services",
        "menu.view",
        "menu.edit",
        "menu.hide",
        "menu.hide_others",
    ),
    *("menu.show_all", "menu.quit", "menu.full_screen", "menu.cut", "menu.copy", "menu.paste"),
    *("menu.select_all", "menu.all_files"),
)
# What can be grasped: a window of which less than this is on a screen is put where the system likes.
_GRASP_WIDTH, _GRASP_HEIGHT = 120, 40


@dataclass(frozen=True, slots=True)
class Frame:
    """How a window begins. place: as it was left. is_dark: None follows the system.

    folder: where the web view may keep files while it runs. texts: the words of the system's menus and
    dialogs, by `menu.` keys of the catalogs.
    """

    title: str
    place: WindowPlace
    language: Language
    is_dark: bool | None
    folder: Path
    texts: Mapping[str, str]


class WindowListener(Protocol):
    """What a window tells; called in the thread that draws it."""

    def may_close(self) -> bool:
        """A person wants it closed; false keeps it open."""

    def closing(self, place: WindowPlace) -> None:
        """It closes for good and is not seen any more: the time to save everything."""

    def page_came_back(self) -> None:
        """What draws the page died, and was started again."""

    def page_lost(self) -> None:
        """It keeps dying; the window closes."""

    def opened(self, paths: Sequence[Path]) -> None:
        """A person has opened files or folders with the app, where the system tells its window so."""

    def saved(self, path: Path) -> None:
        """A person has downloaded a file from the page to `path`."""


class Window(Protocol):
    """All methods but `run` may be called from any thread."""

    def load(self, address: str) -> None:
        """Show the page at `address`; no other site is ever shown."""

    def show(self, token: str = "") -> None:
        """Bring it to the front. token: the desktop's leave for it, "" where there is none."""

    def close(self) -> None:
        """Close it without asking anybody."""

    def set_title(self, text: str) -> None:
        """Change its title."""

    def run(self, listener: WindowListener) -> None:
        """Draw it until it is closed; main thread."""


OpenWindow = Callable[[Frame, Path], Window]
"""Makes a window, in the main thread, that is not seen before `run`; the path is the icon's, a PNG."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the desktop, in logical pixels."""

    left: int
    top: int
    width: int
    height: int


def fitted(place: WindowPlace, areas: Iterable[Area]) -> WindowPlace:
    """The place on the screens that are there now: no larger than one, and where it can be grasped."""
    screens = tuple(areas)
    if not screens:
        return replace(place, left=None, top=None)
    screen = next((area for area in screens if _can_be_grasped(place, area)), None)
    largest = screen or max(screens, key=lambda area: area.width * area.height)
    width = max(MIN_WIDTH, min(place.width, largest.width))
    height = max(MIN_HEIGHT, min(place.height, largest.height))
    if screen is None:
        return replace(place, width=width, height=height, left=None, top=None)
    return replace(place, width=width, height=height)


def place_of(
    size: tuple[int, int], position: tuple[int, int] | None, is_maximized: bool, before: WindowPlace
) -> WindowPlace:
    """Where a window is; a maximized one keeps the size it goes back to."""
    if is_maximized:
        return replace(before, maximized=True)
    left, top = position if position is not None else (None, None)
    return WindowPlace(max(size[0], MIN_WIDTH), max(size[1], MIN_HEIGHT), left, top)


def _can_be_grasped(place: WindowPlace, area: Area) -> bool:
    """Whether enough of the title bar is in the area."""
    if place.left is None or place.top is None:
        return False
    seen = min(place.left + place.width, area.left + area.width) - max(place.left, area.left)
    is_within = area.top - _GRASP_HEIGHT < place.top <= area.top + area.height - _GRASP_HEIGHT
    return seen >= _GRASP_WIDTH and is_within
