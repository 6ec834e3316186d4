"""The places beside the chat, at the foot of the sidebar: models, conversion, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.views.context import ViewContext

_PADDING_FOR_FINGERS = 14  # with the icon 48 pixels

_ICONS = {
    "models": (ft.Icons.INVENTORY_2_OUTLINED, ft.Icons.INVENTORY_2),
    "convert": (ft.Icons.AUTORENEW, ft.Icons.AUTORENEW),
    "settings": (ft.Icons.SETTINGS_OUTLINED, ft.Icons.SETTINGS),
}


class Navigation(ft.Column):
    """places: what to call for each of `models`, `convert`, `settings`. `select` marks the open one."""

    def __init__(self, context: ViewContext, places: Mapping[str, Callable[[], object]]) -> None:
        self._context = context
        self._entries = {name: self._entry(name, on_open) for name, on_open in places.items()}
        super().__init__(
            [identified(entry, name, button=True) for name, entry in self._entries.items()], spacing=0
        )

    def select(self, place: str | None) -> None:
        """Mark the place that is open, None for the chat; the caller updates."""
        for name, entry in self._entries.items():
            is_open = name == place
            entry.bgcolor = ft.Colors.SECONDARY_CONTAINER if is_open else None
            row = entry.content
            assert isinstance(row, ft.Row)
            icon = row.controls[0]
            assert isinstance(icon, ft.Icon)
            icon.icon = _ICONS[name][is_open]

    def _entry(self, name: str, on_open: Callable[[], object]) -> ft.Container:
        return ft.Container(
            ft.Row(
                [
                    ft.Icon(_ICONS[name][0], size=20, color=ft.Colors.ON_SURFACE_VARIANT),
                    ft.Text(self._context.t(f"sidebar.{name}"), theme_style=ft.TextThemeStyle.LABEL_LARGE),
                ],
                spacing=12,
            ),
            padding=ft.Padding.symmetric(
                horizontal=12, vertical=_PADDING_FOR_FINGERS if self._context.is_touch else UNIT
            ),
            border_radius=20,
            ink=True,
            on_click=self._context.guard(on_open),
        )
