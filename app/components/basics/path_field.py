"""A path to type or to choose, with what is wrong with it below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import flet as ft

from app.components.basics.choose_path import choose_path
from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.refresh import refresh
from app.models.typed_path import parse_typed_path
from app.views.context import ViewContext


class PathField(ft.Column):
    """on_change is called when the path is another one, on_submit with Enter. kind: what can be chosen."""

    def __init__(
        self,
        context: ViewContext,
        label: str,
        identifier: str,
        *,
        kind: Literal["file", "folder"],
        on_change: Callable[[], Any],
        on_submit: Callable[[], Any],
    ) -> None:
        self._context = context
        self._kind: Literal["file", "folder"] = kind
        self._on_change = on_change
        self._field = ft.TextField(
            label=label,
            autofocus=not context.is_touch,  # there a keyboard would cover half of the dialog
            on_change=context.guard(self._changed),
            on_submit=context.guard(on_submit),
        )
        choose = ft.OutlinedButton(
            context.t("library.choose_folder" if kind == "folder" else "library.choose_file"),
            icon=ft.Icons.FOLDER_OPEN_OUTLINED,
            on_click=context.guard(self._choose),
        )
        super().__init__(
            [
                ft.Row([identified(self._field, identifier, expand=True)]),
                identified(choose, f"{identifier}-choose"),
            ],
            spacing=UNIT,
            tight=True,
        )

    @property
    def path(self) -> Path | None:
        """What was typed; None for nothing."""
        return parse_typed_path(self._field.value or "")

    def show_error(self, text: str | None) -> None:
        """Say below the field what is wrong with it."""
        self._field.error = text
        refresh(self._field)

    async def _changed(self) -> None:
        if self._field.error is not None:
            self.show_error(None)
        result = self._on_change()
        if result is not None:
            await result

    async def _choose(self) -> None:
        title = self._context.t(f"convert.choose_{self._kind}")
        await choose_path(self._context, title, self._kind, self._chosen, self.path)

    async def _chosen(self, path: Path) -> None:
        self._field.value = str(path)
        refresh(self._field)
        await self._changed()
