"""The native window's frame: its size and place, remembered, and what happens when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import flet as ft

from app.settings import SettingsStore, WindowPlace

_MIN_WIDTH, _MIN_HEIGHT = 360, 480


class WindowFrame:
    """Sets up the window of a page. on_close saves everything; it may wait, and is called on a thread."""

    def __init__(self, page: ft.Page, settings: SettingsStore, on_close: Callable[[], None]) -> None:
        self._page = page
        self._settings = settings
        self._on_close = on_close
        self._is_closing = False

    def apply(self) -> None:
        """Put the window where it was; the caller updates the page."""
        place, window = self._settings.settings.window, self._page.window
        window.width, window.height = place.width, place.height
        window.min_width, window.min_height = _MIN_WIDTH, _MIN_HEIGHT
        if place.left is not None and place.top is not None:
            window.left, window.top = place.left, place.top
        window.maximized = place.maximized
        window.prevent_close = True
        window.on_event = self._happened

    async def _happened(self, event: ft.WindowEvent[ft.Window]) -> None:
        if event.type is not ft.WindowEventType.CLOSE or self._is_closing:
            return
        self._is_closing = True
        place = place_of(self._page.window, self._settings.settings.window)
        try:
            await asyncio.to_thread(self._settings.update, window=place)
        finally:
            try:
                await asyncio.to_thread(self._on_close)
            finally:
                await self._page.window.destroy()


def place_of(window: ft.Window, before: WindowPlace) -> WindowPlace:
    """Where the window is; a maximized one keeps the size it had before."""
    if window.maximized:
        return WindowPlace(before.width, before.height, before.left, before.top, maximized=True)
    if not window.width or not window.height:
        return before
    return WindowPlace(
        max(int(window.width), _MIN_WIDTH),
        max(int(window.height), _MIN_HEIGHT),
        None if window.left is None else int(window.left),
        None if window.top is None else int(window.top),
    )
