"""How a GGUF comes to the other models: as a copy, as a second name, or not at all; what can't be is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.models.import_look import ImportLook
from app.views.context import ViewContext
from engine.models.adding import How

_WAYS: tuple[How, ...] = get_args(How)


class AddingWays(ft.RadioGroup):
    """`show` follows a look at the file; on_change is given the way whenever it is another one."""

    def __init__(
        self, context: ViewContext, way: How, on_change: Callable[[How], object] = lambda way: None
    ) -> None:
        self._context = context
        self._told = on_change
        self._rows = ft.Column(tight=True, spacing=UNIT)
        super().__init__(self._rows, value=way, on_change=context.guard(self._changed))

    @property
    def way(self) -> How:
        """The chosen one."""
        return next(way for way in _WAYS if way == self.value)

    def show(self, look: ImportLook) -> None:
        """Offer the ways that are possible, and choose another one where the chosen one is not.

        The caller updates.
        """
        self._rows.controls = [self._row(way, look) for way in _WAYS]
        possible = look.possible(self.way)
        if possible != self.way:
            self.value = possible
            self._changed()

    def _row(self, way: How, look: ImportLook) -> ft.Control:
        t, can = self._context.t, look.can(way)
        about = t(
            f"library.import.{way}.{'about' if can else 'impossible'}",
            size=look.size_bytes,
            free=look.free_bytes or 0,
        )
        radio = ft.Radio(value=way, label=t(f"library.import.{way}"), disabled=not can)
        return ft.Column(
            [
                identified(radio, f"way-{way}"),
                ft.Container(muted_text(about), padding=ft.Padding.only(left=4 * UNIT)),
            ],
            spacing=0,
            tight=True,
        )

    def _changed(self) -> None:
        self._told(self.way)
