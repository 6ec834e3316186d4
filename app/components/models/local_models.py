"""The models on this disk: the demo, the models folder, folders that were added, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import flet as ft

from app.chat.choices import DEMO
from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, muted_text
from app.components.basics.refresh import is_on_screen, refresh
from app.components.models.disk_bar import DiskBar
from app.components.models.local_actions import LocalActions
from app.components.models.local_groups import (
    disk_card,
    empty_card,
    group_heading,
    list_heading,
    missing_row,
    place_title,
)
from app.components.models.local_row import LocalRow, demo_row
from app.models.events import LibraryChanged, ModelEvent
from app.models.in_use import chosen_model
from app.models.local_shelf import Shelf, ShelfRow, read_shelf
from app.models.local_texts import matches
from app.views.context import ViewContext

WIDTH = 860
_SETTLE_S = 0.2  # several changes in a row are looked at once
_MANY = 12  # models from which on a field to find one is worth its place
_BATCH = 20  # rows that are built and sent at once, so that the window never stands still
_GAP = ft.Padding.symmetric(horizontal=2 * UNIT, vertical=4)
_HEADING_GAP = ft.Padding(left=2 * UNIT, right=2 * UNIT, top=2 * UNIT, bottom=4)


class LocalModels(ft.ListView):
    """Scrolls by itself; `top` stays above the models. Filled by `load`."""

    def __init__(self, context: ViewContext, top: ft.Control) -> None:
        self._context = context
        self._actions = LocalActions(context, self.load)
        self._disk = DiskBar(context)
        self._shelf: Shelf | None = None
        self._chosen = DEMO
        self._rows: dict[Path, tuple[object, ft.Control]] = {}
        self._n_built = 0
        self._turn = 0
        self._waits = False
        self._find = self._find_field()
        self._find_item = _item(identified(self._find, "local-find"))
        self._above = [_item(top), _item(disk_card(context, self._disk))]
        wait = ft.Container(
            ft.ProgressRing(width=24, height=24), alignment=ft.Alignment.CENTER, padding=4 * UNIT
        )
        super().__init__(
            [*self._above, wait], expand=True, spacing=0, padding=ft.Padding.only(top=4, bottom=32)
        )

    async def load(self) -> None:
        """Look at the disk and show what is there."""
        context = self._context
        formats = await context.in_thread(context.service.prompt_formats)
        shelf = await context.in_thread(read_shelf, context.models, context.service.state, formats)
        self._chosen = await context.in_thread(chosen_model, context.service)
        self._shelf = shelf
        self._disk.show(shelf.disk)
        paths = {row.model.path for row in shelf.rows}
        self._rows = {path: known for path, known in self._rows.items() if path in paths}
        await self._show(shelf)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if isinstance(event, LibraryChanged) and is_on_screen(self) and not self._waits:
            self._waits = True
            self._context.run(self._load_soon)

    async def _load_soon(self) -> None:
        await asyncio.sleep(_SETTLE_S)
        self._waits = False
        await self.load()

    async def _show(self, shelf: Shelf) -> None:
        """Show the shelf; what takes long to build and send comes in pieces, unless a newer one is shown."""
        self._turn += 1
        turn, self._n_built = self._turn, 0
        items: list[ft.Control] = []
        for item in self._items(shelf):
            items.append(item)
            if self._n_built >= _BATCH:
                self._n_built = 0
                self.controls = list(items)
                refresh(self)
                await asyncio.sleep(0)
                if turn != self._turn:
                    return
        self.controls = items
        refresh(self)

    def _items(self, shelf: Shelf) -> Iterator[ft.Control]:
        context = self._context
        yield from self._above
        yield _item(list_heading(context, shelf))
        if len(shelf.rows) >= _MANY:
            yield self._find_item
        wanted = self._find.value or "" if len(shelf.rows) >= _MANY else ""
        if not wanted:
            yield _item(
                demo_row(context, is_in_use=self._chosen.is_demo, on_use=lambda: context.use_model(None))
            )
        number = n_found = n_folders = 0
        for group in shelf.groups:
            found = []
            for row in group.rows:
                number += 1
                if matches(row, wanted, context.texts):
                    found.append((row, number))
            n_found += len(found)
            if found or not wanted:
                yield from (_item(each, _HEADING_GAP) for each in group_heading(context, group, n_folders))
            n_folders += group.kind == "folder"
            for row, row_number in found:
                yield self._row(row, row_number)
        if wanted and not n_found:
            yield _item(muted_text(context.t("library.find.none")))
        if not shelf.rows and shelf.is_whole:
            yield _item(empty_card(context))
        if shelf.missing and not wanted:
            yield _item(place_title(context.t("library.missing.title"), ft.Icons.SEARCH_OFF), _HEADING_GAP)
            for index, gone in enumerate(shelf.missing):
                yield _item(missing_row(context, gone, index, self._forget(gone.path)))

    def _forget(self, path: Path) -> Callable[[], object]:
        return lambda: self._actions.forget(path)

    def _row(self, row: ShelfRow, number: int) -> ft.Control:
        """The row's control: the one it had where nothing is different, as most are at most times."""
        path = row.model.path
        moved_from = row.model.moved_from
        is_in_use = self._chosen.path == path
        verdict = row.fit.verdict if row.fit is not None else None
        look = (replace(row, fit=None), verdict, number, is_in_use, moved_from)
        known = self._rows.get(path)
        if known is not None and known[0] == look:
            return known[1]
        self._n_built += 1
        control = _item(
            LocalRow(
                self._context,
                row,
                number,
                is_in_use=is_in_use,
                moved_from=moved_from,
                on_use=lambda: self._context.use_model(path),
                actions=self._actions.of(row, moved_from),
            )
        )
        self._rows[path] = (look, control)
        return control

    def _find_field(self) -> ft.TextField:
        async def typed() -> None:
            if self._shelf is not None:
                await self._show(self._shelf)

        return ft.TextField(
            hint_text=self._context.t("library.find"),
            prefix_icon=ft.Icons.SEARCH,
            dense=True,
            border_radius=22,
            on_change=self._context.guard(typed),
        )


def _item(content: ft.Control, gap: ft.Padding = _GAP) -> ft.Control:
    return centred(content, WIDTH, gap)
