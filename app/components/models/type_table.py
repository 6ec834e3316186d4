"""The types that a model can be taken as: size, quality in words, memory, and how each does on this machine.

A table where there is room, else rows of two lines. Knows nothing of where the options come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.fit_badge import fit_badge
from app.components.models.type_words import quality_text
from app.i18n import window_size
from app.models.type_options import TypeOption
from app.views.context import ViewContext
from engine.models.fit import Fit

_TABLE_WIDTH = 560  # below it, rows of two lines
_BESIDE_THE_TABLE = 96
_RADIO = 28
_COLUMNS = (("type", 4), ("size", 2), ("memory", 2), ("quality", 5), ("fit", 3))


class TypeTable(ft.Column):
    """on_choose is given the name of the type a person chose.

    width: of the place it is in, where that is not the whole screen; later it follows its real width.
    """

    def __init__(
        self,
        context: ViewContext,
        options: Sequence[TypeOption],
        chosen: str,
        on_choose: Callable[[str], object],
        *,
        width: float | None = None,
    ) -> None:
        self._context = context
        self._options = tuple(options)
        self._chosen = chosen
        self._on_choose = on_choose
        self._is_narrow = (width or _room(context)) < _TABLE_WIDTH
        self._shows_all = not any(each.name == chosen and each.is_offered for each in options)
        super().__init__(
            spacing=0,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            on_size_change=context.guard(self._resized),
        )
        self._fill()

    def _fill(self) -> None:
        shown = [option for option in self._options if self._shows_all or option.is_offered]
        rows: list[ft.Control] = [] if self._is_narrow else [self._head()]
        rows += [self._row(option) for option in shown]
        if len(shown) < len(self._options):
            text = self._context.t("convert.types.all", n=len(self._options))
            button = ft.TextButton(
                text, icon=ft.Icons.EXPAND_MORE, on_click=self._context.guard(self._show_all)
            )
            rows.append(ft.Row([identified(button, "types-all")]))
        self.controls = rows

    def _resized(self, event: ft.LayoutSizeChangeEvent[ft.LayoutControl]) -> None:
        is_narrow = event.width < _TABLE_WIDTH
        if is_narrow != self._is_narrow and event.width > 0:
            self._is_narrow = is_narrow
            self._fill()
            refresh(self)

    def _show_all(self) -> None:
        self._shows_all = True
        self._fill()
        refresh(self)

    def _choose(self, name: str) -> None:
        if name != self._chosen:
            self._chosen = name
            self._fill()
            refresh(self)
            self._on_choose(name)

    def _head(self) -> ft.Control:
        cells: list[ft.Control] = [
            ft.Container(muted_text(self._context.t(f"convert.types.{key}")), expand=share)
            for key, share in _COLUMNS
        ]
        return ft.Container(
            ft.Row([ft.Container(width=_RADIO), *cells], spacing=UNIT),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=UNIT),
        )

    def _row(self, option: TypeOption) -> ft.Control:
        is_chosen = option.name == self._chosen
        content = self._two_lines(option) if self._is_narrow else self._cells(option)
        row = ft.Container(
            ft.Row([_radio(is_chosen), content], spacing=UNIT),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=10),
            border_radius=12,
            bgcolor=ft.Colors.SECONDARY_CONTAINER if is_chosen else None,
            ink=True,
            on_click=self._context.guard(lambda: self._choose(option.name)),
        )
        return identified(row, f"type-{option.name}", button=True, selected=is_chosen, checked=is_chosen)

    def _cells(self, option: TypeOption) -> ft.Control:
        cells = (
            ft.Row(self._name(option), spacing=UNIT, run_spacing=2, wrap=True),
            ft.Text(window_size(option.size_bytes)),
            ft.Text(_memory_text(option.fit)),
            muted_text(quality_text(option.name, self._context.texts)),
            ft.Row([fit_badge(self._context, option.fit)]),
        )
        return ft.Row(
            [ft.Container(cell, expand=share) for cell, (_, share) in zip(cells, _COLUMNS, strict=True)],
            spacing=UNIT,
            expand=True,
        )

    def _two_lines(self, option: TypeOption) -> ft.Control:
        t = self._context.t
        memory = t("convert.types.memory_value", size=_memory_text(option.fit)) if option.fit else ""
        quality = quality_text(option.name, self._context.texts)
        facts = " · ".join(part for part in (window_size(option.size_bytes), memory, quality) if part)
        name, *recommended = self._name(option)
        badge = fit_badge(self._context, option.fit)
        first = ft.Row([ft.Container(name, expand=True), badge], spacing=UNIT)
        lines: list[ft.Control] = [first, *(ft.Row([each]) for each in recommended), muted_text(facts)]
        return ft.Column(lines, spacing=2, tight=True, expand=True)

    def _name(self, option: TypeOption) -> list[ft.Control]:
        key = "convert.types.auto" if option.name == "auto" else None
        name: list[ft.Control] = [
            ft.Text(
                self._context.t(key) if key else option.name,
                theme_style=ft.TextThemeStyle.TITLE_SMALL,
            )
        ]
        if option.is_recommended:
            name.append(
                ft.Container(
                    ft.Text(
                        self._context.t("convert.types.recommended"),
                        theme_style=ft.TextThemeStyle.LABEL_SMALL,
                        color=ft.Colors.ON_PRIMARY,
                    ),
                    bgcolor=ft.Colors.PRIMARY,
                    border_radius=UNIT,
                    padding=ft.Padding.symmetric(horizontal=6, vertical=2),
                )
            )
        return name


def _room(context: ViewContext) -> float:
    """About how wide the table can be on a screen of its own."""
    page_width = context.page.width or 0
    sidebar = 0 if context.is_narrow else context.settings.settings.sidebar_width
    return page_width - sidebar - _BESIDE_THE_TABLE


def _radio(is_chosen: bool) -> ft.Control:
    return ft.Container(
        ft.Icon(
            ft.Icons.RADIO_BUTTON_CHECKED if is_chosen else ft.Icons.RADIO_BUTTON_UNCHECKED,
            color=ft.Colors.PRIMARY if is_chosen else ft.Colors.ON_SURFACE_VARIANT,
            size=20,
        ),
        width=_RADIO,
    )


def _memory_text(fit: Fit | None) -> str:
    return window_size(fit.need.total) if fit is not None else "–"
