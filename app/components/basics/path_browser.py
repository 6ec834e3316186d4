"""A look through this disk's folders, for the browser view, whose own dialog would not tell a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.browsing import Entry, Folder, list_folder, nearest_folder, starting_places
from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.refresh import refresh
from app.errors import FolderNotReadable
from app.i18n import window_size
from app.views.context import ViewContext

_WIDTH, _HEIGHT = 560, 440


class PathBrowser(ft.AlertDialog):
    """on_choose is given the file or folder. files, folders: what can be chosen. Open it with `open_at`."""

    def __init__(
        self,
        context: ViewContext,
        title: str,
        on_choose: Callable[[Path], object],
        *,
        files: bool,
        folders: bool,
    ) -> None:
        self._context = context
        self._on_choose = on_choose
        self._files = files
        self._folder = Path.home()
        self._n_looks = 0
        t, guard = context.t, context.guard
        self._up = ft.IconButton(ft.Icons.ARROW_UPWARD, tooltip=t("browse.up"), on_click=guard(self._go_up))
        self._place = ft.Text(
            theme_style=ft.TextThemeStyle.BODY_MEDIUM,
            max_lines=2,
            overflow=ft.TextOverflow.ELLIPSIS,
            expand=True,
        )
        self._places = ft.Row(spacing=UNIT, scroll=ft.ScrollMode.AUTO)
        self._problem = ft.Text(color=ft.Colors.ERROR, visible=False)
        self._list = ft.ListView(expand=True, spacing=0)
        choose = ft.FilledButton(t("browse.choose_folder"), on_click=guard(self._choose_folder))
        super().__init__(
            title=ft.Text(title),
            content=ft.Container(
                ft.Column(
                    [
                        self._places,
                        ft.Row([identified(self._up, "browse-up"), self._place], spacing=UNIT),
                        ft.Divider(height=1),
                        self._problem,
                        self._list,
                    ],
                    spacing=UNIT,
                ),
                width=_WIDTH,
                height=_HEIGHT,
            ),
            actions=[
                cancel_button(context, lambda: context.close_dialog(self)),
                identified(choose, "browse-choose", visible=folders),
            ],
            inset_padding=DIALOG_INSET,
        )

    async def open_at(self, path: Path | None) -> None:
        """Show the folder at or above `path`; None is the home folder."""
        places, start = await self._context.in_thread(_begin, path)
        self._places.controls = [
            ft.Chip(ft.Text(self._name(place)), on_click=self._context.guard(self._opener(place)))
            for place in places
        ]
        await self._look(start)
        self._context.open_dialog(self)

    async def _go_to(self, path: Path) -> None:
        await self._look(path)
        refresh(self)  # which may have been closed meanwhile

    async def _look(self, path: Path) -> None:
        """Read a folder; one that can't be read leaves the dialog where it is, and says why."""
        self._n_looks += 1
        n_looks = self._n_looks
        try:
            folder = await self._context.in_thread(list_folder, path)
        except FolderNotReadable as error:
            self._problem.value = self._context.texts.error(error)
            self._problem.visible = True
            return
        if n_looks == self._n_looks:  # the last one counts
            self._problem.visible = False
            self._show(folder)

    def _show(self, folder: Folder) -> None:
        t = self._context.t
        self._folder = folder.path
        self._place.value = str(folder.path)
        self._up.disabled = folder.parent is None
        shown = [entry for entry in folder.entries if entry.is_folder or self._files]
        self._list.controls = [
            identified(self._row(entry), f"browse-{index}", entry.path.name, button=True)
            for index, entry in enumerate(shown)
        ]
        empty = t("browse.empty" if self._files else "browse.no_folders")
        if not shown:
            self._list.controls.append(ft.Container(muted_text(empty), padding=2 * UNIT))
        if folder.n_more:
            more = muted_text(t("browse.more", n=folder.n_more))
            self._list.controls.append(ft.Container(more, padding=2 * UNIT))

    def _row(self, entry: Entry) -> ft.Control:
        icon = ft.Icons.FOLDER_OUTLINED if entry.is_folder else ft.Icons.INSERT_DRIVE_FILE_OUTLINED
        name = ft.Text(entry.path.name, max_lines=1, overflow=ft.TextOverflow.ELLIPSIS, expand=True)
        size = "" if entry.size_bytes is None else window_size(entry.size_bytes)
        choose = self._opener(entry.path) if entry.is_folder else self._chooser(entry.path)
        return ft.Container(
            ft.Row([ft.Icon(icon, size=20, color=ft.Colors.ON_SURFACE_VARIANT), name, muted_text(size)]),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=10),
            border_radius=UNIT,
            ink=True,
            on_click=self._context.guard(choose),
        )

    def _opener(self, path: Path) -> Callable[[], object]:
        return lambda: self._go_to(path)

    def _chooser(self, path: Path) -> Callable[[], object]:
        def choose() -> None:
            self._context.close_dialog(self)
            self._context.run(self._on_choose, path)

        return choose

    async def _go_up(self) -> None:
        await self._go_to(self._folder.parent)

    def _choose_folder(self) -> None:
        self._chooser(self._folder)()

    def _name(self, place: Path) -> str:
        if place == Path.home():
            return self._context.t("browse.home")
        return place.name or (self._context.t("browse.computer") if place == Path("/") else str(place))


def _begin(path: Path | None) -> tuple[tuple[Path, ...], Path]:
    return starting_places(), nearest_folder(path)
