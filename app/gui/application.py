"""What is launched, as the window and the browser view's server see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Application(Protocol):
    """`app.main.App`; a page is an `ft.Page`. Everything but `close` is called on the event loop."""

    def prepare_page(self, page: Any) -> None:
        """Give a new page its looks, before anything of it is drawn."""

    async def open_page(self, page: Any) -> None:
        """Show the app on a page; called once for the window, once for every browser tab."""

    def on_quit(self, quit_app: Callable[[], None]) -> None:
        """Be told how to end the program."""

    def close(self) -> None:
        """Save what is running and stop the engine."""
