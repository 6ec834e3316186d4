"""The line above a conversation: sidebar, title, model, context, and what else can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.chat.context_meter import ContextMeter
from app.components.chat.model_picker import ModelPicker
from app.views.context import ViewContext


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """An entry of the overflow menu."""

    key: str
    icon: ft.IconData
    on_click: Callable[[], object]


class ChatHeader(ft.Container):
    """What shows the engine's state and the title; the caller updates."""

    def __init__(
        self,
        context: ViewContext,
        *,
        on_rename: Callable[[], object],
        entries: Sequence[MenuEntry],
    ) -> None:
        self._context = context
        self.model_picker = ModelPicker(context)
        self.context_meter = ContextMeter(context)
        self._title = ft.Text(
            theme_style=ft.TextThemeStyle.TITLE_MEDIUM, max_lines=1, overflow=ft.TextOverflow.ELLIPSIS
        )
        self._title_button = ft.Container(
            self._title,
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=6),
            border_radius=UNIT,
            ink=True,
            tooltip=context.t("chat.header.rename"),
            on_click=context.guard(on_rename),
        )
        menu = ft.IconButton(
            ft.Icons.MENU,
            tooltip=context.t("gui.menu"),
            on_click=context.guard(context.toggle_sidebar),
        )
        self._overflow = ft.PopupMenuButton(
            icon=ft.Icons.MORE_VERT,
            tooltip=context.t("chat.header.more"),
            items=[
                ft.PopupMenuItem(
                    context.t(entry.key), icon=entry.icon, on_click=context.guard(entry.on_click)
                )
                for entry in entries
            ],
        )
        super().__init__(
            ft.Row(
                [
                    identified(menu, "menu"),
                    ft.Container(
                        identified(self._title_button, "chat-title"),
                        expand=True,
                        alignment=ft.Alignment.CENTER_LEFT,
                    ),
                    self.model_picker,
                    self.context_meter,
                    identified(self._overflow, "chat-menu"),
                ],
                spacing=4,
            ),
            height=56,
            padding=ft.Padding.symmetric(horizontal=UNIT),
            border=ft.Border(bottom=ft.BorderSide(1, ft.Colors.OUTLINE_VARIANT)),
        )

    def show_title(self, title: str, *, is_saved: bool) -> None:
        """Show the title; one that is not saved yet has no menu."""
        self._title.value = title
        self._title_button.disabled = not is_saved
        self._overflow.disabled = not is_saved
