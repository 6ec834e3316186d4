"""A radio group whose words wrap: a radio's own label stays on one line, however narrow the window is."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.views.context import ViewContext


class RadioChoices(ft.RadioGroup):
    """rows: where the choices made by `row` belong, among others. on_change follows every choice."""

    def __init__(
        self, context: ViewContext, value: str | None, on_change: Callable[[], object] = lambda: None
    ) -> None:
        self._guard = context.guard
        self._told = on_change
        self.rows = ft.Column(spacing=0, tight=True)
        super().__init__(self.rows, value=value, on_change=context.guard(on_change))

    def row(self, value: str, text: str, identifier: str, *, is_possible: bool = True) -> ft.Control:
        """A radio with its words, which choose it as well; one node, with one name, for screen readers."""

        def choose() -> None:
            if is_possible and self.value != value:
                self.value = value
                refresh(self)
                self._told()

        words = ft.GestureDetector(
            ft.Text(text, color=None if is_possible else ft.Colors.OUTLINE),
            on_tap=self._guard(choose),
            mouse_cursor=ft.MouseCursor.CLICK if is_possible else None,
            expand=True,
        )
        row = ft.Row([ft.Radio(value=value), words], spacing=0)
        return identified(ft.MergeSemantics(row, disabled=not is_possible), identifier)
