"""How a GGUF comes to the other models: as a copy, as a second name, or not at all; what can't be is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import flet as ft

from app.components.basics.look import UNIT, muted_text
from app.components.basics.radio_choices import RadioChoices
from app.models.import_look import ImportLook
from app.views.context import ViewContext
from engine.models.adding import How

_WAYS: tuple[How, ...] = get_args(How)


class AddingWays(RadioChoices):
    """`show` follows a look at the file; on_change is given the way whenever it is another one."""

    def __init__(
        self, context: ViewContext, way: How, on_change: Callable[[How], object] = lambda way: None
    ) -> None:
        super().__init__(context, way, lambda: on_change(self.way))
        self._context = context
        self.rows.spacing = UNIT

    @property
    def way(self) -> How:
        """The chosen one."""
        return next(way for way in _WAYS if way == self.value)

    def show(self, look: ImportLook) -> None:
        """Offer the ways that are possible, and choose another one where the chosen one is not.

        The caller updates.
        """
        self.rows.controls = [self._row(way, look) for way in _WAYS]
        possible = look.possible(self.way)
        if possible != self.way:
            self.value = possible
            self._told()

    def _row(self, way: How, look: ImportLook) -> ft.Control:
        t, can = self._context.t, look.can(way)
        about = t(
            f"library.import.{way}.{'about' if can else 'impossible'}",
            size=look.size_bytes,
            free=look.free_bytes or 0,
        )
        return ft.Column(
            [
                self.row(way, t(f"library.import.{way}"), f"way-{way}", is_possible=can),
                ft.Container(muted_text(about), padding=ft.Padding.only(left=4 * UNIT)),
            ],
            spacing=0,
            tight=True,
        )
