"""All models of the catalog in their groups, with chips and a field that leave some of them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.catalog_row import CatalogRow
from app.models.offers import FAMILIES, CatalogFilter, Family, Offer
from app.models.stock import Stock
from app.views.context import ViewContext
from engine.models.catalog import Group

_SHOWN_AT_FIRST: dict[Group, int] = {"belle": 6, "small": 4}


class CatalogList(ft.Column):
    """`show` follows the stock; on_get is given the offer that the person wants."""

    def __init__(self, context: ViewContext, on_get: Callable[[Offer], object]) -> None:
        self._context = context
        self._on_get = on_get
        self._stock: Stock | None = None
        self._filter = CatalogFilter()
        self._shown_whole: set[Group] = set()
        self._chips = ft.Row(wrap=True, spacing=UNIT, run_spacing=UNIT)
        self._groups = ft.Column(
            spacing=2 * UNIT, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH
        )
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
                self._groups,
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
        groups: list[ft.Control] = []
        for group in _SHOWN_AT_FIRST:
            offers = [offer for offer in found if offer.model.group == group]
            if offers:
                groups.append(self._group(group, offers, self._stock))
        if not groups:
            groups.append(_card([ft.Container(muted_text(self._context.t("get.filter.none")), padding=UNIT)]))
        self._groups.controls = groups

    def _group(self, group: Group, offers: Sequence[Offer], stock: Stock) -> ft.Control:
        """One group under its name; a long one begins short."""
        t = self._context.t
        is_whole = group in self._shown_whole or not self._filter.is_all
        shown = offers if is_whole else offers[: _SHOWN_AT_FIRST[group]]
        rows: list[ft.Control] = []
        for offer in shown:
            if rows:
                rows.append(ft.Divider(height=1, color=ft.Colors.OUTLINE_VARIANT))
            rows.append(self._row(offer, stock))
        if len(shown) < len(offers):
            more = ft.TextButton(
                t("get.filter.more", n=len(offers)),
                icon=ft.Icons.EXPAND_MORE,
                on_click=self._context.guard(lambda: self._show_whole(group)),
            )
            rows.append(ft.Row([identified(more, f"catalog-all-{group}")]))
        heading = ft.Column(
            [
                ft.Text(t(f"get.group.{group}"), theme_style=ft.TextThemeStyle.TITLE_MEDIUM),
                muted_text(t(f"get.group.{group}.about")),
            ],
            spacing=2,
            tight=True,
        )
        return ft.Column(
            [ft.Container(heading, padding=ft.Padding.symmetric(horizontal=4)), _card(rows)],
            spacing=UNIT,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

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
            name = t("get.group.small") if family == "small" else family
            chips.append(self._chip(family.lower(), name, is_in, wanted))
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
        refresh(self._chips, self._groups)

    def _show_whole(self, group: Group) -> None:
        self._shown_whole.add(group)
        self._fill()
        refresh(self._groups)


def _card(rows: list[ft.Control]) -> ft.Control:
    return ft.Container(
        ft.Column(rows, spacing=0, tight=True),
        padding=ft.Padding.symmetric(horizontal=20, vertical=UNIT),
        border_radius=16,
        bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
    )


def _toggled(families: tuple[Family, ...], family: Family) -> tuple[Family, ...]:
    if family in families:
        return tuple(each for each in families if each != family)
    return (*families, family)
