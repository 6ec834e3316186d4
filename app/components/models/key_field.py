"""The key file of an encrypted model: where people have it from, and a field for its path with a picker."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.choose_path import choose_path
from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, selectable
from app.components.basics.refresh import refresh
from app.models.typed_path import parse_typed_path
from app.views.context import ViewContext


class KeyField(ft.Column):
    """label: the file that is needed. on_submit: called when Enter is pressed in it."""

    def __init__(self, context: ViewContext, label: str, on_submit: Callable[[], object]) -> None:
        self._context = context
        self._field = ft.TextField(
            label=label,
            autocorrect=False,
            error_max_lines=8,
            on_change=context.guard(self._forget_error),
            on_submit=context.guard(on_submit),
        )
        pick = ft.IconButton(
            ft.Icons.FOLDER_OPEN, tooltip=context.t("get.choose_file"), on_click=context.guard(self._pick)
        )
        row: list[ft.Control] = [
            identified(self._field, "key-file", expand=True),
            identified(pick, "key-file-choose"),
        ]
        super().__init__(
            [
                selectable(muted_text(context.t("get.key.where"))),
                ft.Row(row, spacing=UNIT, vertical_alignment=ft.CrossAxisAlignment.START),
            ],
            spacing=12,
            tight=True,
        )

    async def read(self) -> Path | None:
        """The file; None, and a sentence below the field, where there is none."""
        path = parse_typed_path(self._field.value or "")
        if path is None:
            self._say(self._context.t("get.path.empty"))
            return None
        if not await self._context.in_thread(os.path.isfile, path):
            self._say(self._context.t("get.path.missing", path=path))
            return None
        return path.absolute()

    async def _pick(self) -> None:
        def chosen(path: Path) -> None:
            self._field.value = str(path)
            self._say(None)

        typed = parse_typed_path(self._field.value or "")
        await choose_path(self._context, self._context.t("get.choose_file"), "file", chosen, typed)

    def _forget_error(self) -> None:
        if self._field.error:
            self._say(None)

    def _say(self, text: str | None) -> None:
        self._field.error = text
        refresh(self._field)
