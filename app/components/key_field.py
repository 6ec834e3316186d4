"""The key file of an encrypted model: where people have it from, and a field for its path with a picker."""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.components.identified import identified
from app.components.look import UNIT, muted_text, selectable
from app.components.refresh import refresh
from app.views.context import ViewContext


class KeyField(ft.Column):
    """label: the file that is needed."""

    def __init__(self, context: ViewContext, label: str) -> None:
        self._context = context
        self._field = ft.TextField(
            label=label, autocorrect=False, error_max_lines=8, on_change=context.guard(self._forget_error)
        )
        row: list[ft.Control] = [identified(self._field, "key-file", expand=True)]
        if not context.is_web:  # a browser tells no paths
            pick = ft.IconButton(
                ft.Icons.FOLDER_OPEN, tooltip=context.t("get.choose_file"), on_click=context.guard(self._pick)
            )
            row.append(identified(pick, "key-file-choose"))
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
        text = (self._field.value or "").strip().strip("\"'")
        if not text:
            self._say(self._context.t("get.path.empty"))
            return None
        path = await self._context.in_thread(_find_file, text)
        if path is None:
            self._say(self._context.t("get.path.missing", path=text))
        return path

    async def _pick(self) -> None:
        files = await ft.FilePicker().pick_files(dialog_title=self._context.t("get.choose_file"))
        if files and files[0].path:
            self._field.value = files[0].path
            self._say(None)

    def _forget_error(self) -> None:
        if self._field.error:
            self._say(None)

    def _say(self, text: str | None) -> None:
        self._field.error = text
        refresh(self._field)


def _find_file(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path.absolute() if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # no name at all, or nobody's home folder
        return None
