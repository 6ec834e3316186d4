"""What is launched, as the window and the browser view's server see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from app.gui.window import Frame
from app.settings import WindowPlace


class Application(Protocol):
    """`app.main.App`; a page is an `ft.Page`.

    Everything is called on the event loop, but `frame`, `window_closed` and `close` in the main thread, and
    what `on_quit` and `on_title` are given may be called from anywhere.
    """

    def prepare_page(self, page: Any) -> None:
        """Give a new page its looks, before anything of it is drawn."""

    async def open_page(self, page: Any) -> None:
        """Show the app on a page; called once for the window, once for every browser tab."""

    def on_quit(self, quit_app: Callable[[], None]) -> None:
        """Be told how to end the program."""

    def on_title(self, set_title: Callable[[str], None]) -> None:
        """Be told how to change the title of the window."""

    def frame(self) -> Frame:
        """How the window begins."""

    async def may_close(self) -> bool:
        """Whether the window may close now; false where a person is asked on the page first."""

    def window_closed(self, place: WindowPlace) -> None:
        """Remember where the window was."""

    def page_came_back(self) -> None:
        """Say that the page died and was loaded anew."""

    def file_saved(self, path: Path) -> None:
        """Say where a download is."""

    def close(self) -> None:
        """Save what is running and stop the engine."""
