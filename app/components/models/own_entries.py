"""What a person added to the catalog: a repository or a file on the hub, an address, or a path here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, selectable
from app.components.basics.refresh import refresh
from app.components.models.catalog_row import facts_row, here_mark, row_layout
from app.components.models.get_dialog import begin
from app.i18n import EXPECTED_ERRORS
from app.models.here import find_from
from app.models.own_entries import add_entry
from app.models.stock import Stock
from app.views.context import ViewContext
from engine.models.user_entries import UserEntry

_ICONS = {
    "hub": ft.Icons.CLOUD_OUTLINED,
    "address": ft.Icons.LINK,
    "path": ft.Icons.INSERT_DRIVE_FILE_OUTLINED,
}


class OwnEntries(ft.Column):
    """`show` follows the stock; on_ask is given a repository to ask the hub about.

    on_change is called when other entries are on the stock.
    """

    def __init__(
        self,
        context: ViewContext,
        on_ask: Callable[[str], object],
        on_change: Callable[[], Awaitable[object]],
    ) -> None:
        self._context = context
        self._on_ask = on_ask
        self._on_change = on_change
        self._stock: Stock | None = None
        t = context.t
        self._source = ft.TextField(
            hint_text=t("get.own.hint"),
            dense=True,
            error_max_lines=8,
            on_submit=context.guard(self._add),
            on_change=context.guard(self._forget_error),
        )
        add = ft.FilledTonalButton(t("get.own.add"), icon=ft.Icons.ADD, on_click=context.guard(self._add))
        self._rows = ft.Column(spacing=0, tight=True)
        super().__init__(
            [
                ft.Row(
                    [
                        identified(self._source, "own-source", expand=True),
                        # Beside the field, not beside the field and the sentence below it.
                        ft.Container(identified(add, "own-add"), padding=ft.Padding.only(top=4)),
                    ],
                    spacing=UNIT,
                    vertical_alignment=ft.CrossAxisAlignment.START,
                ),
                muted_text(t("get.own.note")),
                self._rows,
            ],
            spacing=UNIT,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def show(self, stock: Stock) -> None:
        """Show what was added; the caller updates."""
        self._stock = stock
        self._rows.controls = [self._row(number, entry) for number, entry in enumerate(stock.entries)]

    async def _add(self) -> None:
        text = (self._source.value or "").strip()
        if not text:
            return
        try:
            models = self._context.models
            await self._context.in_thread(add_entry, text, models.entries, models.catalog)
        except EXPECTED_ERRORS as error:
            self._say(self._context.texts.error(error))
            return
        self._source.value = ""
        refresh(self._source)
        await self._on_change()

    async def _remove(self, entry: UserEntry) -> None:
        await self._context.in_thread(self._context.models.entries.remove, entry.source)
        await self._on_change()

    async def _get(self, entry: UserEntry) -> None:
        """A path is for the conversion, which also adds GGUFs; of a repository, the hub is asked first."""
        if entry.kind == "path":
            self._context.open_convert(Path(entry.source))
            return
        if entry.kind == "hub" and entry.file is None:
            self._on_ask(entry.repo or entry.source)
            return
        await begin(self._context, entry.source)

    def _row(self, number: int, entry: UserEntry) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        get = ft.TextButton(
            t("get.own.look" if entry.kind == "path" else "get.get"), on_click=guard(lambda: self._get(entry))
        )
        remove = ft.IconButton(
            ft.Icons.DELETE_OUTLINE, tooltip=t("get.own.remove"), on_click=guard(lambda: self._remove(entry))
        )
        here = [here_mark(self._context)] if self._is_here(entry) else []
        actions = ft.Row(
            [*here, identified(get, f"own-get-{number}"), identified(remove, f"own-remove-{number}")],
            spacing=4,
            wrap=True,
            alignment=ft.MainAxisAlignment.END,
        )
        row = ft.Row(
            [
                ft.Icon(_ICONS[entry.kind], size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                ft.Container(row_layout(self._texts(entry), actions), expand=True),
            ],
            spacing=12,
        )
        return identified(ft.Container(row, padding=ft.Padding.symmetric(vertical=UNIT)), f"own-{number}")

    def _is_here(self, entry: UserEntry) -> bool:
        source = f"{entry.repo}/{entry.file}" if entry.repo and entry.file else entry.repo or entry.source
        return self._stock is not None and find_from(source, self._stock.local) is not None

    def _texts(self, entry: UserEntry) -> ft.Control:
        lines: list[ft.Control] = [
            ft.Text(entry.name, theme_style=ft.TextThemeStyle.TITLE_SMALL),
            selectable(muted_text(self._context.t(f"get.own.{entry.kind}", source=entry.source))),
        ]
        is_repository = entry.kind == "hub" and entry.file is None
        if is_repository and entry.repo is not None and self._stock is not None:
            offer = self._stock.offer(self._context.models.catalog.find(entry.repo))
            if offer is not None:
                lines.append(facts_row(self._context, offer))
        return ft.Column(lines, spacing=2, tight=True)

    def _say(self, text: str | None) -> None:
        self._source.error = text
        refresh(self._source)

    def _forget_error(self) -> None:
        if self._source.error:
            self._say(None)
