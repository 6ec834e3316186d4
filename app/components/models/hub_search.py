"""Searching the hub: a field, a button, and what was found. Nothing is sent before the button is pressed."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, selectable
from app.components.basics.refresh import refresh
from app.components.models.catalog_row import facts_row, here_mark, row_layout
from app.components.models.hub_question import show_hub_error
from app.i18n import EXPECTED_ERRORS
from app.models.here import find_from
from app.models.hub_offers import family_of, kind_of, license_of
from app.models.offers import Offer
from app.models.stock import Stock
from app.views.context import ViewContext
from engine.models.hub import SearchResult

_LONGEST_QUERY = 200


class HubSearch(ft.Column):
    """on_get is given the offer of a result that the catalog knows, on_ask the name of another repository.

    `show` follows the stock.
    """

    def __init__(
        self, context: ViewContext, on_get: Callable[[Offer], object], on_ask: Callable[[str], object]
    ) -> None:
        self._context = context
        self._on_get = on_get
        self._on_ask = on_ask
        self._stock: Stock | None = None
        self._found: tuple[SearchResult, ...] | None = None
        self._is_busy = False
        t = context.t
        self._query = ft.TextField(
            hint_text=t("get.hub.hint"),
            dense=True,
            max_length=_LONGEST_QUERY,
            counter="",
            on_submit=context.guard(self._search),
        )
        self._button = ft.FilledTonalButton(
            t("get.hub.search"), icon=ft.Icons.TRAVEL_EXPLORE, on_click=context.guard(self._search)
        )
        self._ring = ft.ProgressBar(height=2, visible=False)
        self._error = ft.Text(color=ft.Colors.ERROR)
        self._error_box = identified(selectable(self._error), "hub-error", visible=False)
        self._results = ft.Column(spacing=0, tight=True)
        row = ft.Row(
            [identified(self._query, "hub-query", expand=True), identified(self._button, "hub-search")],
            spacing=UNIT,
        )
        super().__init__(
            [
                row,
                ft.Container(self._ring, height=2),
                self._error_box,
                muted_text(t("get.hub.note")),
                self._results,
            ],
            spacing=UNIT,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def show(self, stock: Stock) -> None:
        """Show what was found beside what is known of it; the caller updates."""
        self._stock = stock
        self._fill()

    async def _search(self) -> None:
        query = (self._query.value or "").strip()
        if not query or self._is_busy:
            return
        self._set_busy(True)
        try:
            self._found = await self._context.in_thread(self._context.models.search, query)
        except EXPECTED_ERRORS as error:
            show_hub_error(self._error, error, self._context)
            self._error_box.visible = True
        finally:
            self._set_busy(False)
        self._fill()
        refresh(self)

    def _get(self, result: SearchResult) -> None:
        offer = self._offer_of(result)
        if offer is not None:
            self._on_get(offer)
        else:
            self._on_ask(result.name)

    def _offer_of(self, result: SearchResult) -> Offer | None:
        return self._stock.offer(self._context.models.catalog.find(result.name)) if self._stock else None

    def _fill(self) -> None:
        found = self._found
        if found is None:
            return
        if not found:
            self._results.controls = [muted_text(self._context.t("get.hub.none"))]
            return
        rows: list[ft.Control] = []
        for number, result in enumerate(found):
            if rows:
                rows.append(ft.Divider(height=1, color=ft.Colors.OUTLINE_VARIANT))
            rows.append(self._row(number, result))
        self._results.controls = [
            ft.Container(
                ft.Column(rows, spacing=0, tight=True),
                padding=ft.Padding.symmetric(horizontal=20, vertical=UNIT),
                border_radius=16,
                bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
            )
        ]

    def _row(self, number: int, result: SearchResult) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        get = ft.FilledTonalButton(
            t("get.get"), icon=ft.Icons.DOWNLOAD, on_click=guard(lambda: self._get(result))
        )
        label = t("get.get_label", name=result.name)
        offer = self._offer_of(result)
        button = identified(get, f"hub-get-{number}", label, visible=offer is None or offer.model.can_be_used)
        is_here = self._stock is not None and find_from(result.name, self._stock.local) is not None
        actions = ft.Column(
            [here_mark(self._context), button] if is_here else [button],
            spacing=4,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.END,
        )
        row = row_layout(self._texts(result, offer), actions)
        return identified(ft.Container(row, padding=ft.Padding.symmetric(vertical=12)), f"hub-{number}")

    def _texts(self, result: SearchResult, offer: Offer | None) -> ft.Control:
        """What the catalog knows of it, else what the hub says."""
        context, t = self._context, self._context.t
        facts = [t("get.hub.downloads", n=result.n_downloads)]
        license_id = license_of(result)
        if license_id is not None and offer is None:
            facts.append(t("get.license", license=license_id))
        if result.is_gated:
            facts.append(t("get.hub.gated"))
        family = family_of(result)
        about = t(f"get.hub.kind.{kind_of(result)}", family=family.title if family is not None else "")
        lines: list[ft.Control] = [
            selectable(ft.Text(result.name, theme_style=ft.TextThemeStyle.TITLE_SMALL)),
            ft.Text(
                about if offer is None else offer.model.about.in_language(context.language),
                color=ft.Colors.ON_SURFACE_VARIANT,
            ),
            muted_text(" · ".join(facts)),
        ]
        if offer is not None:
            lines.append(facts_row(context, offer))
        if offer is not None and not offer.model.can_be_used:
            lines.append(muted_text(t("get.unusable")))
        return ft.Column(lines, spacing=4, tight=True)

    def _set_busy(self, is_busy: bool) -> None:
        """Show whether the hub is being searched."""
        self._is_busy = is_busy
        self._ring.visible = is_busy
        self._button.disabled = is_busy
        if is_busy:
            self._error_box.visible = False
        refresh(self)
