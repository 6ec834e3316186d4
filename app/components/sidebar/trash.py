"""The trash: what was deleted within 30 days, to bring back or to delete for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import flet as ft

from app.components.basics.dialogs import ask_confirmation
from app.history.conversations import TRASH_DAYS
from app.history.records import Conversation
from app.views.context import ViewContext

_WIDTH = 480
_HEIGHT = 420
_PAGE = 200


class TrashDialog(ft.AlertDialog):
    """Lists the newest 200 deleted conversations; open it with `ViewContext.open_dialog`, after `load`."""

    def __init__(self, context: ViewContext, on_changed: Callable[[], None]) -> None:
        self._context = context
        self._on_changed = on_changed
        self._conversations = context.service.history.conversations
        self._list = ft.ListView(expand=True, spacing=4)
        self._empty = ft.TextButton(
            context.t("trash.empty"), icon=ft.Icons.DELETE_FOREVER, on_click=context.guard(self._ask_empty)
        )
        super().__init__(
            title=ft.Text(context.t("trash.title")),
            content=ft.Container(
                ft.Column(
                    [
                        ft.Text(
                            context.t("trash.note", days=TRASH_DAYS),
                            color=ft.Colors.ON_SURFACE_VARIANT,
                        ),
                        self._list,
                    ],
                    spacing=12,
                ),
                width=_WIDTH,
                height=_HEIGHT,
            ),
            actions=[
                self._empty,
                ft.TextButton(
                    context.t("gui.close"), on_click=context.guard(lambda: context.close_dialog(self))
                ),
            ],
        )

    async def load(self) -> None:
        """Read the trash; the caller updates or opens the dialog."""
        page = await self._context.in_thread(self._conversations.trash_page, limit=_PAGE)
        self._list.controls = [self._row(each) for each in page.conversations]
        self._empty.visible = bool(page.conversations)
        if not page.conversations:
            text = ft.Text(self._context.t("trash.nothing"), text_align=ft.TextAlign.CENTER)
            self._list.controls = [ft.Container(text, padding=32, alignment=ft.Alignment.CENTER)]

    def _row(self, conversation: Conversation) -> ft.Control:
        t = self._context.t
        moment = datetime.fromtimestamp((conversation.trashed_at or 0) / 1000)

        async def restore() -> None:
            await self._context.in_thread(self._conversations.restore, conversation.id)
            await self._changed()

        async def purge() -> None:
            await self._context.in_thread(self._conversations.purge, conversation.id)
            await self._changed()

        return ft.ListTile(
            title=ft.Text(
                conversation.title or t("sidebar.untitled"), max_lines=1, overflow=ft.TextOverflow.ELLIPSIS
            ),
            subtitle=ft.Text(t("trash.when", date=moment.strftime("%Y-%m-%d"))),
            content_padding=ft.Padding.symmetric(horizontal=8),
            trailing=ft.Row(
                [
                    ft.IconButton(
                        ft.Icons.RESTORE_FROM_TRASH_OUTLINED,
                        tooltip=t("trash.restore"),
                        on_click=self._context.guard(restore),
                    ),
                    ft.IconButton(
                        ft.Icons.DELETE_FOREVER_OUTLINED,
                        tooltip=t("trash.purge"),
                        on_click=self._context.guard(
                            lambda: ask_confirmation(
                                self._context,
                                t("trash.purge"),
                                t("trash.purge_text"),
                                t("trash.purge"),
                                purge,
                            )
                        ),
                    ),
                ],
                tight=True,
                spacing=0,
            ),
        )

    def _ask_empty(self) -> None:
        async def empty() -> None:
            await self._context.in_thread(self._conversations.empty_trash)
            await self._changed()

        t = self._context.t
        ask_confirmation(self._context, t("trash.empty"), t("trash.empty_text"), t("trash.empty"), empty)

    async def _changed(self) -> None:
        await self.load()
        self.update()
        self._on_changed()
