"""The list of conversations under headings, read page by page as one scrolls.

Reads the history on a thread; keeps the control of every conversation, so that a change is a small patch.
"""

from __future__ import annotations

from datetime import date

import flet as ft

from app.components.sidebar.conversation_groups import grouped
from app.components.sidebar.conversation_item import ConversationItem, ItemActions
from app.history.records import Conversation, PageCursor
from app.views.context import ViewContext

_PAGE = 50
_NEAR_END_PX = 400


class ConversationList(ft.ListView):
    """Conversations of one folder, or all; `reload` reads again what was read so far."""

    def __init__(self, context: ViewContext, actions: ItemActions) -> None:
        super().__init__(
            expand=True,
            spacing=2,
            padding=ft.Padding(left=8, right=8, top=0, bottom=8),
            on_scroll=context.guard(self._scrolled),
            scroll_interval=100,
        )
        self._context = context
        self._actions = actions
        self._items: dict[int, ConversationItem] = {}
        self._shown: tuple[Conversation, ...] = ()
        self._next: PageCursor | None = None
        self._is_reading = False
        self._must_read_again = False
        self.folder: str | None = None
        self.selected_id: int | None = None

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """Those read so far, in list order."""
        return self._shown

    async def reload(self) -> None:
        """Read what is shown anew, and show it."""
        if self._is_reading:
            self._must_read_again = True
            return
        self._is_reading = True
        try:
            while True:
                self._must_read_again = False
                limit = max(_PAGE, len(self._shown))
                page = await self._context.in_thread(
                    self._context.service.history.conversations.page, limit=limit, folder=self.folder
                )
                self._shown, self._next = page.conversations, page.next
                if not self._must_read_again:
                    break
        finally:
            self._is_reading = False
        self._rebuild()
        self.update()

    def select(self, conversation_id: int | None) -> None:
        """Mark the open conversation."""
        before, self.selected_id = self.selected_id, conversation_id
        for item in self._items.values():
            if item.conversation.id in (before, conversation_id):
                item.show(item.conversation, is_selected=item.conversation.id == conversation_id)
                item.update()

    def neighbour(self, step: int) -> int | None:
        """The conversation `step` lines away from the open one; None at the end of the list."""
        ids = [each.id for each in self._shown]
        if self.selected_id not in ids:
            return ids[0] if ids else None
        index = ids.index(self.selected_id) + step
        return ids[index] if 0 <= index < len(ids) else None

    async def _scrolled(self, event: ft.OnScrollEvent) -> None:
        if self._next is None or self._is_reading:
            return
        if event.max_scroll_extent - event.pixels > _NEAR_END_PX:
            return
        self._is_reading = True
        try:
            page = await self._context.in_thread(
                self._context.service.history.conversations.page,
                after=self._next,
                limit=_PAGE,
                folder=self.folder,
            )
        finally:
            self._is_reading = False
        self._shown += page.conversations
        self._next = page.next
        self._rebuild()
        self.update()
        if self._must_read_again:
            await self.reload()

    def _rebuild(self) -> None:
        controls: list[ft.Control] = []
        items: dict[int, ConversationItem] = {}
        for key, group in grouped(self._shown, date.today()):
            controls.append(_heading(self._context.t(key)))
            for conversation in group:
                item = self._items.get(conversation.id)
                if item is None:
                    item = ConversationItem(self._context, self._actions, conversation)
                item.show(conversation, is_selected=conversation.id == self.selected_id)
                items[conversation.id] = item
                controls.append(item)
        self._items = items
        self.controls = controls or [_empty(self._context)]


def _heading(text: str) -> ft.Control:
    return ft.Container(
        ft.Text(text, theme_style=ft.TextThemeStyle.LABEL_MEDIUM, color=ft.Colors.ON_SURFACE_VARIANT),
        padding=ft.Padding(left=12, right=12, top=12, bottom=4),
    )


def _empty(context: ViewContext) -> ft.Control:
    return ft.Container(
        ft.Text(
            context.t("sidebar.empty"),
            color=ft.Colors.ON_SURFACE_VARIANT,
            text_align=ft.TextAlign.CENTER,
        ),
        padding=24,
        alignment=ft.Alignment.CENTER,
    )
