"""What is launched, as the window and the browser view's server see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol


class Application(Protocol):
    """`app.main.App`; a page is an `ft.Page`. Everything but `open_paths` and `close` is called on the event
    loop.
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

    def close(self) -> None:
        """Save what is running and stop the engine."""
