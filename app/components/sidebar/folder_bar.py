"""A row of folders to narrow the list by; it is there only when a conversation is in a folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import flet as ft

from app.components.basics.dialogs import ask_text
from app.views.context import ViewContext


class FolderBar(ft.Container):
    """Chips: all, then the folders; the chosen folder can be renamed or dissolved."""

    def __init__(
        self,
        context: ViewContext,
        on_choose: Callable[[str | None], Awaitable[None]],
        on_changed: Callable[[], None],
    ) -> None:
        self._context = context
        self._on_choose = on_choose
        self._on_changed = on_changed
        self._folders: tuple[str, ...] = ()
        self._chosen: str | None = None
        self._is_hidden = False
        self._row = ft.Row(scroll=ft.ScrollMode.AUTO, spacing=6)
        super().__init__(content=self._row, padding=ft.Padding.symmetric(horizontal=12), visible=False)

    async def reload(self) -> None:
        """Read the folders; one that is gone is no longer chosen."""
        self._folders = await self._context.in_thread(self._context.service.history.conversations.folders)
        if self._chosen is not None and self._chosen not in self._folders:
            await self._choose(None)
        else:
            self._show()

    def hide(self, is_hidden: bool) -> None:
        """Make room for something else, or come back; the caller updates."""
        self._is_hidden = is_hidden
        self.visible = bool(self._folders) and not is_hidden

    async def _choose(self, folder: str | None) -> None:
        self._chosen = folder
        self._show()
        await self._on_choose(folder)

    def _show(self) -> None:
        names: tuple[str | None, ...] = (None, *self._folders)
        self._row.controls = [self._chip(name) for name in names]
        if self._chosen is not None:
            self._row.controls.append(self._menu(self._chosen))
        self.visible = bool(self._folders) and not self._is_hidden
        self.update()

    def _chip(self, folder: str | None) -> ft.Control:
        async def choose() -> None:
            await self._choose(folder)

        return ft.Chip(
            ft.Text(folder or self._context.t("sidebar.all")),
            selected=folder == self._chosen,
            show_checkmark=False,
            on_select=self._context.guard(choose),
        )

    def _menu(self, folder: str) -> ft.Control:
        t, guard = self._context.t, self._context.guard

        async def rename(name: str | None) -> None:
            await self._context.in_thread(
                self._context.service.history.conversations.rename_folder, folder, name
            )
            self._chosen = (name or "").strip() or None
            await self._on_choose(self._chosen)
            self._on_changed()

        def ask() -> None:
            ask_text(self._context, t("sidebar.rename_folder"), t("sidebar.folder"), folder, rename)

        async def dissolve() -> None:
            await rename(None)

        return ft.PopupMenuButton(
            icon=ft.Icons.MORE_VERT,
            icon_size=18,
            tooltip=t("sidebar.folder_menu"),
            items=[
                ft.PopupMenuItem(t("sidebar.rename_folder"), on_click=guard(ask)),
                ft.PopupMenuItem(t("sidebar.dissolve_folder"), on_click=guard(dissolve)),
            ],
        )
