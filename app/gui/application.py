"""What is launched, as the window and the browser view's server see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from app.gui.window import Frame
from app.settings import WindowPlace


class Application(Protocol):
    """`app.main.App`; a page is an `ft.Page`.

    Everything is called on the event loop, but `open_paths` from anywhere, and `frame`, `window_closed` and
    `close` in the main thread. What `on_show`, `on_quit` and `on_title` are given is safe in any thread.
    """

    def prepare_page(self, page: Any) -> None:
        """Give a new page its looks, before anything of it is drawn."""

    async def open_page(self, page: Any) -> None:
        """Show the app on a page; called once for the window, once for every browser tab."""

    def reachable_at(self, address: str) -> None:
        """Be told where a later start of the program can say what it wants; with a secret."""

    def show(self, token: str = "") -> bool:
        """Bring the window to the front; false where there is none. token: the desktop's leave for it."""

    def open_paths(self, paths: Sequence[Path], *, on_next_page: bool = False) -> None:
        """Show files and folders that were opened with the app; from any thread, also before there is a page.

        on_next_page: a page is being opened for them.
        """

    def on_show(self, show: Callable[[str], None]) -> None:
        """Be told how to bring the window to the front; `show` is given the desktop's token, or ""."""

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
