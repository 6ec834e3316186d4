"""Where the data lies, how much there is, and its backups."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.components.settings.settings_section import note, row
from app.history.backup import BACKUPS_KEPT
from app.views.context import ViewContext


class DataSection(ft.Column):
    """Reads its numbers with `load`; shows the folder at once."""

    def __init__(self, context: ViewContext, folder: Path) -> None:
        self._context = context
        self._folder = folder
        self._storage = note("…")
        self._backups = note("…")
        t = context.t
        path = ft.Row(
            [
                identified(
                    ft.Text(str(folder), selectable=True, theme_style=ft.TextThemeStyle.BODY_MEDIUM),
                    "data-folder",
                    str(folder),  # selectable text has no name of its own
                    expand=True,
                ),
                ft.IconButton(
                    ft.Icons.COPY,
                    icon_size=18,
                    tooltip=t("settings.copy_path"),
                    on_click=context.guard(lambda: context.copy(str(folder))),
                ),
            ]
        )
        back_up = ft.OutlinedButton(
            t("settings.backup_now"),
            icon=ft.Icons.BACKUP_OUTLINED,
            on_click=context.guard(self._back_up),
        )
        super().__init__(
            controls=[
                row(t("settings.folder"), path),
                row(t("settings.storage"), self._storage),
                row(t("settings.backups"), ft.Column([self._backups, back_up], spacing=8)),
            ],
            spacing=20,
        )

    async def load(self) -> None:
        """Read the numbers and show them."""
        context = self._context
        history = context.service.history
        counts = await context.in_thread(history.conversations.counts)
        size = await context.in_thread(size_of, self._folder)
        backups = await context.in_thread(history.backups.all)
        self._storage.value = context.t(
            "settings.storage_text",
            conversations=counts.conversations,
            messages=counts.messages,
            trashed=counts.trashed,
            size=size,
        )
        self._backups.value = context.t("settings.backups_none")
        if backups:
            newest = datetime.fromtimestamp(backups[0].created_at / 1000).strftime("%Y-%m-%d %H:%M")
            self._backups.value = context.t(
                "settings.backups_text", kept=BACKUPS_KEPT, n=len(backups), newest=newest
            )
        refresh(self)

    async def _back_up(self) -> None:
        await self._context.in_thread(self._context.service.history.backups.make)
        self._context.notify(self._context.t("settings.backup_done"))
        await self.load()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
