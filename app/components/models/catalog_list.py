"""All models of the catalog, with chips and a field that leave some of them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.catalog_row import CatalogRow
from app.models.offers import FAMILIES, CatalogFilter, Family, Offer
from app.models.stock import Stock
from app.views.context import ViewContext

_SHOWN_AT_FIRST = 6


class CatalogList(ft.Column):
    """`show` follows the stock; on_get is given the offer that the person wants."""

    def __init__(self, context: ViewContext, on_get: Callable[[Offer], object]) -> None:
        self._context = context
        self._on_get = on_get
        self._stock: Stock | None = None
        self._filter = CatalogFilter()
        self._shows_all = False
        self._chips = ft.Row(wrap=True, spacing=UNIT, run_spacing=UNIT)
        self._rows = ft.Column(spacing=0, tight=True)
        self._text = ft.TextField(
            hint_text=context.t("get.filter.text"),
            prefix_icon=ft.Icons.SEARCH,
            dense=True,
            on_change=context.guard(self._typed),
        )
        super().__init__(
            [
                identified(self._text, "catalog-text"),
                self._chips,
                ft.Container(
                    self._rows,
                    padding=ft.Padding.symmetric(horizontal=20, vertical=UNIT),
                    border_radius=16,
                    bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
                ),
            ],
            spacing=12,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def show(self, stock: Stock) -> None:
        """Show what is on the stock now; the caller updates."""
        self._stock = stock
        self._fill()

    def _fill(self) -> None:
        if self._stock is None:
            return
        self._chips.controls = list(self._filter_chips())
        found = self._filter.apply(self._stock.offers, self._context.models.catalog)
        shown = found if self._shows_all or not self._filter.is_all else found[:_SHOWN_AT_FIRST]
        rows: list[ft.Control] = []
        for offer in shown:
            if rows:
                rows.append(ft.Divider(height=1, color=ft.Colors.OUTLINE_VARIANT))
            rows.append(self._row(offer, self._stock))
        if not found:
            rows.append(ft.Container(muted_text(self._context.t("get.filter.none")), padding=UNIT))
        if len(shown) < len(found):
            more = ft.TextButton(
                self._context.t("get.filter.more", n=len(found)),
                icon=ft.Icons.EXPAND_MORE,
                on_click=self._context.guard(self._show_all),
            )
            rows.append(ft.Row([identified(more, "catalog-all")]))
        self._rows.controls = rows

    def _row(self, offer: Offer, stock: Stock) -> ft.Control:
        row = CatalogRow(self._context, offer, stock.standing(offer.model), lambda: self._on_get(offer))
        row.padding = ft.Padding.symmetric(vertical=14)
        return row

    def _filter_chips(self) -> list[ft.Control]:
        t, shown = self._context.t, self._filter
        chips = [
            self._chip("all", t("get.filter.all"), shown.is_all, CatalogFilter()),
            self._chip("fits", t("get.filter.fits"), shown.fits, replace(shown, fits=not shown.fits)),
            self._chip(
                "no-key",
                t("get.filter.no_key"),
                shown.needs_no_key,
                replace(shown, needs_no_key=not shown.needs_no_key),
            ),
        ]
        for family in FAMILIES:
            is_in = family in shown.families
            wanted = replace(shown, families=_toggled(shown.families, family))
            chips.append(self._chip(family.lower(), family, is_in, wanted))
        return chips

    def _chip(self, name: str, text: str, selected: bool, wanted: CatalogFilter) -> ft.Control:
        def choose() -> None:
            if wanted.is_all:
                self._text.value = ""
            self._filter = wanted
            self._fill()
            refresh(self)

        chip = ft.Chip(
            ft.Text(text), selected=selected, show_checkmark=False, on_select=self._context.guard(choose)
        )
        return identified(chip, f"filter-{name}")

    def _typed(self) -> None:
        self._filter = replace(self._filter, text=(self._text.value or "").strip())
        self._fill()
        refresh(self._chips, self._rows)

    def _show_all(self) -> None:
        self._shows_all = True
        self._fill()
        refresh(self._rows)


def _toggled(families: tuple[Family, ...], family: Family) -> tuple[Family, ...]:
    if family in families:
        return tuple(each for each in families if each != family)
    return (*families, family)
