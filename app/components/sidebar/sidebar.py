"""The sidebar: a new chat, search, folders, the list of conversations, and the way to the settings.

Searches as one types, on a thread, a moment after the last key. Knows the history's list, no message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.components.sidebar.conversation_actions import ConversationActions
from app.components.sidebar.conversation_list import ConversationList
from app.components.sidebar.file_transfer import FileTransfer
from app.components.sidebar.folder_bar import FolderBar
from app.components.sidebar.navigation import Navigation
from app.components.sidebar.search_results import SearchResults
from app.components.sidebar.trash import TrashDialog
from app.history.records import SearchHit
from app.views.context import ViewContext

_SEARCH_PAUSE_S = 0.15
_MAX_HITS = 50
_TEXT_SIZE = 14  # a text field takes no theme style

_DRAWER_SHADOW = ft.BoxShadow(blur_radius=16, color=ft.Colors.with_opacity(0.3, ft.Colors.SHADOW))


class Sidebar(ft.Container):
    """One per page. on_changed: the list changed, all pages are to read it again."""

    def __init__(
        self,
        context: ViewContext,
        on_changed: Callable[[], None],
        on_deleted: Callable[[int], None],
    ) -> None:
        self._context = context
        self._on_changed = on_changed
        self._query = ""
        self._files = FileTransfer(context, on_changed)
        actions = ConversationActions(context, self._files, on_changed, on_deleted)
        self._list = ConversationList(context, actions)
        self._folders = FolderBar(context, self._choose_folder, on_changed)
        self._results = SearchResults(context, self._open_hit)
        self._field = self._search_field()
        self._navigation = Navigation(
            context,
            {
                "models": context.open_models,
                "convert": context.open_convert,
                "settings": context.open_settings,
            },
        )
        super().__init__(
            bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
            content=ft.SafeArea(
                ft.Column(
                    [
                        self._header(),
                        ft.Container(self._buttons(), padding=ft.Padding.symmetric(horizontal=12)),
                        self._folders,
                        identified(
                            ft.Stack([self._list, self._results], expand=True), "chat-list", expand=True
                        ),
                        ft.Divider(height=1),
                        self._footer(),
                    ],
                    spacing=8,
                ),
                expand=True,
            ),
        )

    def show_as_drawer(self, is_drawer: bool) -> None:
        """Above the screen or beside it; beside it, the screen's own menu button is enough."""
        self._hide.visible = is_drawer
        self.shadow = _DRAWER_SHADOW if is_drawer else None

    @property
    def selected_id(self) -> int | None:
        """The marked conversation."""
        return self._list.selected_id

    async def reload(self) -> None:
        """Read folders and conversations again, and the results of a search."""
        await self._folders.reload()
        await self._list.reload()
        if self._query:
            await self._search()

    def select(self, conversation_id: int | None) -> None:
        """Mark the open conversation."""
        self._list.select(conversation_id)

    def select_place(self, place: str | None) -> None:
        """Mark what is open beside the chat: `models`, `convert`, `settings`; None for the chat."""
        self._navigation.select(place)
        refresh(self._navigation)

    def neighbour(self, step: int) -> int | None:
        """The conversation above (-1) or below (1) the open one."""
        return self._list.neighbour(step)

    async def focus_search(self) -> None:
        """Put the cursor into the search field."""
        await self._field.focus()

    async def clear_search(self) -> None:
        """Go back from the results to the list."""
        self._field.value = ""
        self._field.update()
        await self._typed()

    def _header(self) -> ft.Control:
        self._hide = ft.IconButton(
            ft.Icons.MENU_OPEN,
            icon_size=20,
            tooltip=self._context.t("sidebar.hide"),
            on_click=self._context.guard(self._context.toggle_sidebar),
        )
        return ft.Container(
            ft.Row(
                [
                    ft.Image("icon.svg", width=28, height=28, exclude_from_semantics=True),
                    ft.Text("ChatBELLE", theme_style=ft.TextThemeStyle.TITLE_MEDIUM, expand=True),
                    self._hide,
                ],
                spacing=10,
            ),
            padding=ft.Padding(left=16, right=8, top=4, bottom=0),
            height=48,
        )

    def _buttons(self) -> ft.Control:
        new_chat = ft.FilledTonalButton(
            self._context.t("sidebar.new_chat"),
            icon=ft.Icons.ADD_COMMENT_OUTLINED,
            height=44,
            on_click=self._context.guard(lambda: self._context.open_conversation(None)),
        )
        return ft.Column(
            [
                ft.Row([identified(new_chat, "new-chat", expand=True)]),
                identified(self._field, "chat-search"),
            ],
            spacing=8,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def _search_field(self) -> ft.TextField:
        t = self._context.t
        self._clear = ft.IconButton(
            ft.Icons.CLOSE,
            icon_size=18,
            visible=False,
            tooltip=t("sidebar.clear_search"),
            on_click=self._context.guard(self.clear_search),
        )
        return ft.TextField(
            hint_text=t("sidebar.search"),
            hint_style=ft.TextStyle(color=ft.Colors.ON_SURFACE_VARIANT),
            text_vertical_align=ft.VerticalAlignment.CENTER,
            prefix_icon=ft.Icons.SEARCH,
            suffix_icon=self._clear,
            dense=True,
            filled=True,
            border_color=ft.Colors.TRANSPARENT,
            border_radius=22,
            text_size=_TEXT_SIZE * self._context.settings.settings.font_scale,
            content_padding=ft.Padding.symmetric(horizontal=12, vertical=10),
            on_change=self._context.guard(self._typed),
            on_submit=self._context.guard(self._open_first),
        )

    def _footer(self) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        more = ft.PopupMenuButton(
            icon=ft.Icons.MORE_HORIZ,
            tooltip=t("sidebar.more"),
            items=[
                ft.PopupMenuItem(
                    t("import.title"), icon=ft.Icons.UPLOAD_OUTLINED, on_click=guard(self._files.import_files)
                ),
                ft.PopupMenuItem(
                    t("export.title_all"),
                    icon=ft.Icons.DOWNLOAD_OUTLINED,
                    on_click=guard(lambda: self._files.ask_export(None)),
                ),
                ft.PopupMenuItem(
                    t("trash.title"), icon=ft.Icons.DELETE_OUTLINE, on_click=guard(self._open_trash)
                ),
            ],
        )
        return ft.Container(
            ft.Row(
                [ft.Container(self._navigation, expand=True), identified(more, "more")],
                vertical_alignment=ft.CrossAxisAlignment.END,
                spacing=4,
            ),
            padding=ft.Padding(left=8, right=8, top=0, bottom=8),
        )

    async def _choose_folder(self, folder: str | None) -> None:
        self._list.folder = folder
        await self._list.reload()

    async def _typed(self) -> None:
        query = (self._field.value or "").strip()
        if query == self._query:
            return
        self._query = query
        await asyncio.sleep(_SEARCH_PAUSE_S if query else 0)
        if query == self._query:  # nothing was typed meanwhile
            await self._search()

    async def _search(self) -> None:
        query = self._query
        hits: tuple[SearchHit, ...] = ()
        if query:
            hits = await self._context.in_thread(
                self._context.service.history.search.find, query, limit=_MAX_HITS
            )
        if query != self._query:
            return
        self._results.show(hits)
        self._results.visible = bool(query)
        self._list.visible = not query
        self._folders.hide(bool(query))
        self._clear.visible = bool(query)
        self.update()

    def _open_first(self) -> None:
        if self._results.visible and self._results.hits:
            self._open_hit(self._results.hits[0])

    def _open_hit(self, hit: SearchHit) -> None:
        self._context.open_conversation(hit.conversation_id, hit.message_id, in_thought=hit.in_thought)

    async def _open_trash(self) -> None:
        dialog = TrashDialog(self._context, self._on_changed)
        await dialog.load()
        self._context.open_dialog(dialog)
