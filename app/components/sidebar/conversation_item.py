"""One line of the conversation list: its title, and a menu of what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import flet as ft

from app.components.basics.identified import identified
from app.history.records import Conversation
from app.views.context import ViewContext

_RADIUS = 10
_PADDING, _PADDING_FOR_FINGERS = 9, 14  # above and below one line of text


class ItemActions(Protocol):
    """What the menu does; every method is called on the event loop."""

    def open(self, conversation: Conversation) -> None:
        """Show the conversation."""

    def rename(self, conversation: Conversation) -> None:
        """Ask for another title."""

    def pin(self, conversation: Conversation) -> None:
        """Pin it, or no longer."""

    def move(self, conversation: Conversation) -> None:
        """Ask for a folder."""

    def export(self, conversation: Conversation) -> None:
        """Ask for a form and write a file."""

    def delete(self, conversation: Conversation) -> None:
        """Put it into the trash."""


class ConversationItem(ft.Container):
    """The line; `show` changes what it shows without a new control."""

    def __init__(self, context: ViewContext, actions: ItemActions, conversation: Conversation) -> None:
        self._context = context
        self._actions = actions
        self.conversation = conversation
        self.is_selected = False
        self._pin = ft.Icon(ft.Icons.PUSH_PIN_OUTLINED, size=16, color=ft.Colors.OUTLINE)
        self._title = ft.Text(
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
            theme_style=ft.TextThemeStyle.BODY_MEDIUM,
            expand=True,
        )
        density = ft.VisualDensity.STANDARD if context.is_touch else ft.VisualDensity.COMPACT
        padding = _PADDING_FOR_FINGERS if context.is_touch else _PADDING
        self._menu = ft.PopupMenuButton(
            icon=ft.Icons.MORE_VERT,
            icon_size=18,
            icon_color=ft.Colors.OUTLINE,
            padding=0,
            style=ft.ButtonStyle(visual_density=density),
            tooltip=context.t("sidebar.item_menu"),
            items=[],
            menu_position=ft.PopupMenuPosition.UNDER,
        )
        opener = ft.Container(
            ft.Row([self._pin, self._title], spacing=8),
            padding=ft.Padding(left=12, right=0, top=padding, bottom=padding),
            border_radius=_RADIUS,
            ink=True,
            on_click=context.guard(lambda: actions.open(self.conversation)),
            expand=True,
        )
        super().__init__(
            content=ft.Row([opener, identified(self._menu, "item-menu")], spacing=0),
            padding=ft.Padding(left=0, right=2, top=0, bottom=0),
            border_radius=_RADIUS,
        )
        self.show(conversation, is_selected=False)

    def show(self, conversation: Conversation, *, is_selected: bool) -> None:
        """Show this state of the conversation; the caller updates."""
        title = conversation.title or self._context.t("sidebar.untitled")
        if self._title.value != title:
            self._title.value = title
            self.tooltip = title if len(title) > 16 else None
        self._pin.visible = conversation.pinned
        if not self._menu.items or conversation.pinned != self.conversation.pinned:
            self._menu.items = self._menu_items(conversation.pinned)
        self.conversation = conversation
        self.is_selected = is_selected
        self.bgcolor = ft.Colors.SECONDARY_CONTAINER if is_selected else None
        self._title.color = ft.Colors.ON_SECONDARY_CONTAINER if is_selected else None

    def _menu_items(self, pinned: bool) -> list[ft.PopupMenuItem]:
        actions = self._actions
        return [
            self._entry("sidebar.rename", ft.Icons.EDIT_OUTLINED, actions.rename),
            self._entry(
                "sidebar.unpin" if pinned else "sidebar.pin", ft.Icons.PUSH_PIN_OUTLINED, actions.pin
            ),
            self._entry("sidebar.move", ft.Icons.FOLDER_OUTLINED, actions.move),
            self._entry("sidebar.export", ft.Icons.DOWNLOAD_OUTLINED, actions.export),
            self._entry("sidebar.delete", ft.Icons.DELETE_OUTLINE, actions.delete),
        ]

    def _entry(self, key: str, icon: ft.IconData, action: Callable[[Conversation], None]) -> ft.PopupMenuItem:
        return ft.PopupMenuItem(
            content=self._context.t(key),
            icon=icon,
            on_click=self._context.guard(lambda: action(self.conversation)),
        )
