"""The models on this disk: the demo, the models folder, folders that were added, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import flet as ft

from app.chat.choices import DEMO, ModelChoice, find_choice
from app.chat.service import ChatService
from app.components.disk_bar import DiskBar
from app.components.folder_dialog import ask_folder
from app.components.identified import identified
from app.components.local_actions import LocalActions
from app.components.local_row import LocalRow, demo_row, dress, row_layout
from app.components.look import UNIT, centred, muted_text
from app.components.refresh import is_on_screen, refresh
from app.errors import ModelIsFolder, ModelNotFound
from app.models.events import LibraryChanged, ModelEvent
from app.models.local_shelf import Shelf, ShelfGroup, ShelfRow, read_shelf
from app.views.context import ViewContext
from engine.models.listing import MissingModel

WIDTH = 860
_SETTLE_S = 0.2  # several changes in a row are looked at once
_GAP = ft.Padding.symmetric(horizontal=2 * UNIT, vertical=4)
_HEADING_GAP = ft.Padding(left=2 * UNIT, right=2 * UNIT, top=2 * UNIT, bottom=4)


class LocalModels(ft.ListView):
    """Scrolls by itself; `top` stays above the models. Filled by `load`."""

    def __init__(self, context: ViewContext, top: ft.Control) -> None:
        self._context = context
        self._top = top
        self._actions = LocalActions(context)
        self._disk = DiskBar(context)
        self._moved: dict[Path, Path] = {}  # the library tells it only once
        self._waits = False
        super().__init__(expand=True, spacing=0, padding=ft.Padding.only(top=4, bottom=32))
        self._begin()

    async def load(self) -> None:
        """Look at the disk and show what is there."""
        context = self._context
        state = context.service.state
        loaded = state.model.path if state.model is not None and state.phase == "ready" else None
        shelf = await context.in_thread(read_shelf, context.models, loaded)
        chosen = await context.in_thread(chosen_model, context.service)
        self._show(shelf, chosen)
        refresh(self)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if isinstance(event, LibraryChanged) and is_on_screen(self) and not self._waits:
            self._waits = True
            self._context.run(self._load_soon)

    async def _load_soon(self) -> None:
        await asyncio.sleep(_SETTLE_S)
        self._waits = False
        await self.load()

    def _begin(self) -> None:
        wait = ft.Container(
            ft.ProgressRing(width=24, height=24), alignment=ft.Alignment.CENTER, padding=4 * UNIT
        )
        self.controls = [_item(self._top), wait]

    def _show(self, shelf: Shelf, chosen: ModelChoice) -> None:
        context = self._context
        self._moved |= {
            row.model.path: row.model.moved_from for row in shelf.rows if row.model.moved_from is not None
        }
        self._disk.show(shelf.disk)
        self.controls = [_item(self._top), _item(self._disk_card()), _item(self._heading(shelf))]
        use_demo = context.guard(lambda: context.use_model(None))
        self.controls.append(_item(demo_row(context, is_in_use=chosen.is_demo, on_use=use_demo)))
        number = 1
        for group in shelf.groups:
            self.controls += [_item(each, _HEADING_GAP) for each in self._group_heading(group)]
            for row in group.rows:
                self.controls.append(_item(self._row(row, number, chosen)))
                number += 1
        if not shelf.rows:
            self.controls.append(_item(self._empty()))
        if shelf.missing:
            title = _title(context.t("library.missing.title"), ft.Icons.SEARCH_OFF)
            self.controls.append(_item(title, _HEADING_GAP))
            self.controls += [_item(self._missing(gone, n)) for n, gone in enumerate(shelf.missing)]

    def _row(self, row: ShelfRow, number: int, chosen: ModelChoice) -> ft.Control:
        path = row.model.path
        moved_from = self._moved.get(path)
        return LocalRow(
            self._context,
            row,
            number,
            is_in_use=chosen.path == path,
            moved_from=moved_from,
            on_use=lambda: self._context.use_model(path),
            actions=self._actions.of(row, moved_from),
        )

    def _disk_card(self) -> ft.Control:
        context = self._context
        folder = context.models.library.folder
        path = ft.Row(
            [
                muted_text(
                    context.t("library.disk.folder", path=str(folder)),
                    expand=True,
                    max_lines=2,
                    overflow=ft.TextOverflow.ELLIPSIS,
                    tooltip=str(folder),
                ),
                ft.IconButton(
                    ft.Icons.CONTENT_COPY,
                    icon_size=16,
                    tooltip=context.t("library.copy"),
                    on_click=context.guard(lambda: context.copy(str(folder))),
                ),
            ],
            spacing=4,
        )
        return ft.Container(
            ft.Column(
                [ft.Container(self._disk, padding=ft.Padding.only(right=UNIT)), path], spacing=4, tight=True
            ),
            padding=ft.Padding(2 * UNIT, 2 * UNIT, UNIT, UNIT),
            border_radius=16,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
        )

    def _heading(self, shelf: Shelf) -> ft.Control:
        context = self._context
        n = len(shelf.rows)
        text = context.t("library.count.none")
        if n:
            text = context.t(
                "library.count.one" if n == 1 else "library.count.many",
                n=n,
                size=sum(row.model.size_bytes for row in shelf.rows),
            )
        add = ft.TextButton(
            context.t("library.folder.button"),
            icon=ft.Icons.CREATE_NEW_FOLDER_OUTLINED,
            on_click=context.guard(lambda: ask_folder(context)),
        )
        count = ft.Text(text, theme_style=ft.TextThemeStyle.TITLE_SMALL, color=ft.Colors.PRIMARY, expand=True)
        return ft.Container(
            ft.Row([count, identified(add, "add-folder")]),
            padding=ft.Padding(left=4, top=UNIT, right=0, bottom=0),
        )

    def _group_heading(self, group: ShelfGroup) -> Sequence[ft.Control]:
        """The models folder needs none; an added folder says which it is, and can be left."""
        context = self._context
        if group.kind == "models":
            return ()
        if group.folder is None:
            icon = ft.Icons.CLOUD_OUTLINED if group.kind == "hf-cache" else ft.Icons.PLACE_OUTLINED
            return (_title(context.t(f"library.group.{group.kind}"), icon),)
        folder = group.folder

        async def leave() -> None:
            await context.in_thread(context.models.remove_folder, folder)

        stop = ft.TextButton(context.t("library.folder.leave"), on_click=context.guard(leave))
        number = (
            context.models.library.folders.index(folder) if folder in context.models.library.folders else 0
        )
        parts: list[ft.Control] = [
            ft.Row(
                [
                    ft.Container(
                        _title(context.t("library.group.folder", path=str(folder)), ft.Icons.FOLDER_OUTLINED),
                        expand=True,
                    ),
                    identified(stop, f"leave-folder-{number}"),
                ]
            )
        ]
        if not group.rows:
            key = "library.folder.empty" if group.is_there else "library.folder.gone"
            parts.append(ft.Container(muted_text(context.t(key)), padding=ft.Padding.only(left=4)))
        return (ft.Column(parts, spacing=0, tight=True),)

    def _missing(self, gone: MissingModel, number: int) -> ft.Control:
        context = self._context
        forget = ft.OutlinedButton(
            context.t("library.action.forget"),
            on_click=context.guard(lambda: self._actions.forget(gone.path)),
        )
        about: list[ft.Control] = [
            ft.Text(gone.name, theme_style=ft.TextThemeStyle.TITLE_MEDIUM, max_lines=2),
            muted_text(context.t("library.missing.about", path=str(gone.path), size_bytes=gone.size_bytes)),
        ]
        row = ft.Container(
            identified(row_layout(about, identified(forget, f"forget-{number}")), f"missing-{number}")
        )
        dress(row)
        return row

    def _empty(self) -> ft.Control:
        context, t = self._context, self._context.t
        get = ft.FilledButton(
            t("library.empty.get"),
            icon=ft.Icons.DOWNLOAD,
            on_click=context.guard(lambda: context.open_models("get")),
        )
        convert = ft.OutlinedButton(
            t("library.empty.convert"),
            icon=ft.Icons.AUTORENEW,
            on_click=context.guard(lambda: context.open_convert(None)),
        )
        return identified(
            ft.Container(
                ft.Column(
                    [
                        ft.Icon(ft.Icons.INVENTORY_2_OUTLINED, size=40, color=ft.Colors.PRIMARY),
                        ft.Text(t("library.empty.title"), theme_style=ft.TextThemeStyle.TITLE_MEDIUM),
                        ft.Text(
                            t("library.empty.about"),
                            text_align=ft.TextAlign.CENTER,
                            color=ft.Colors.ON_SURFACE_VARIANT,
                        ),
                        ft.Row(
                            [
                                identified(get, "empty-get"),
                                identified(convert, "empty-convert"),
                            ],
                            wrap=True,
                            spacing=UNIT,
                            run_spacing=UNIT,
                            alignment=ft.MainAxisAlignment.CENTER,
                        ),
                    ],
                    spacing=12,
                    horizontal_alignment=ft.CrossAxisAlignment.CENTER,
                ),
                padding=4 * UNIT,
                alignment=ft.Alignment.CENTER,
            ),
            "local-empty",
        )


def chosen_model(service: ChatService) -> ModelChoice:
    """The model that answers, or that would: from the settings. May wait for the disk."""
    if service.state.model is not None:
        return service.state.model
    try:
        return find_choice(service.settings.settings.default_model, service.home)
    except (ModelNotFound, ModelIsFolder):
        return DEMO


def _item(content: ft.Control, gap: ft.Padding = _GAP) -> ft.Control:
    return centred(content, WIDTH, gap)


def _title(text: str, icon: ft.IconData) -> ft.Control:
    return ft.Container(
        ft.Row(
            [
                ft.Icon(icon, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                ft.Text(
                    text,
                    theme_style=ft.TextThemeStyle.TITLE_SMALL,
                    max_lines=2,
                    overflow=ft.TextOverflow.ELLIPSIS,
                    expand=True,
                ),
            ],
            spacing=UNIT,
        ),
        padding=ft.Padding(4, 0, 0, 0),
    )
