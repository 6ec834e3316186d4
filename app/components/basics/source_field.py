"""A field for a path on this disk: typed, pasted, or chosen. Knows nothing of what is at the path."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import flet as ft

from app.components.basics.choose_path import choose_path
from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.refresh import refresh
from app.models.typed_path import parse_typed_path
from app.views.context import ViewContext

_PAUSE_S = 0.6  # after the last key, until what was typed is looked at


class SourceField(ft.Column):
    """on_path is given the path when it is another one than before, None for an emptied field.

    While somebody types, only what is really there is passed on; Enter, or leaving the field, passes all.
    files, folders: what the dialogs may offer.
    """

    def __init__(
        self,
        context: ViewContext,
        identifier: str,
        label: str,
        on_path: Callable[[Path | None], object],
        *,
        value: Path | None = None,
        files: bool = True,
        folders: bool = True,
        hint: str | None = None,
    ) -> None:
        self._context = context
        self._on_path = on_path
        self._path = value
        self._n_changes = 0
        guard = context.guard
        self._field = ft.TextField(
            value=str(value) if value is not None else "",
            label=label,
            hint_text=hint,
            autocorrect=False,
            enable_suggestions=False,
            on_change=guard(self._changed),
            on_submit=guard(self._submitted),
            on_blur=guard(self._submitted),
            expand=True,
        )
        self._problem = identified(
            ft.Text(theme_style=ft.TextThemeStyle.BODY_SMALL, color=ft.Colors.ERROR, selectable=True),
            f"{identifier}-problem",
            visible=False,
        )
        prefix = "" if identifier == "source" else f"{identifier}-"
        buttons: list[ft.Control] = []
        if files:
            buttons.append(self._button("file", ft.Icons.INSERT_DRIVE_FILE_OUTLINED, prefix))
        if folders and not context.is_phone:  # a phone hands over files only
            buttons.append(self._button("folder", ft.Icons.FOLDER_OPEN, prefix))
        rows: list[ft.Control] = [ft.Row([identified(self._field, identifier, expand=True)]), self._problem]
        rows.append(ft.Row(buttons, spacing=UNIT, run_spacing=UNIT, wrap=True))
        super().__init__(rows, spacing=UNIT, tight=True)

    def show(self, path: Path | None) -> None:
        """Show a path without passing it on; the caller updates."""
        self._path = path
        self._field.value = str(path) if path is not None else ""

    def show_problem(self, text: str | None) -> None:
        """What is wrong with the path, below the field; the caller updates."""
        problem = self._problem.content
        assert isinstance(problem, ft.Text)
        problem.value = self._problem.label = text or ""
        self._problem.visible = bool(text)
        self._field.border_color = ft.Colors.ERROR if text else None

    async def _changed(self) -> None:
        self._n_changes += 1
        n_changes = self._n_changes
        await asyncio.sleep(_PAUSE_S)
        path = parse_typed_path(self._field.value or "")
        if n_changes != self._n_changes or path is None or path == self._path:
            return
        if await self._context.in_thread(os.path.exists, path) and n_changes == self._n_changes:
            self._take(path)

    def _submitted(self) -> None:
        self._n_changes += 1
        self._take(parse_typed_path(self._field.value or ""))

    def _take(self, path: Path | None) -> None:
        path = path.absolute() if path is not None else None  # it is kept, and read from another folder
        if path != self._path:
            self._path = path
            self._on_path(path)

    def _button(self, kind: Literal["file", "folder"], icon: ft.IconData, prefix: str) -> ft.Control:
        async def choose() -> None:
            await choose_path(self._context, words, kind, self._chosen, self._path)

        words = self._context.t(f"convert.choose_{kind}")
        button = ft.OutlinedButton(words, icon=icon, on_click=self._context.guard(choose))
        return identified(button, f"{prefix}choose-{kind}")

    def _chosen(self, path: Path) -> None:
        self._field.value = str(path)
        refresh(self._field)
        self._take(path)
