"""What there is to get: the second half of the models screen.

One model for this machine, the whole catalog, the hub, and what a person added. Nothing here touches the
network before a button is pressed.
"""

from __future__ import annotations

from dataclasses import replace

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.refresh import refresh
from app.components.models.catalog_list import CatalogList
from app.components.models.get_dialog import ask_get, begin
from app.components.models.hub_question import HubQuestion
from app.components.models.hub_search import HubSearch
from app.components.models.own_entries import OwnEntries
from app.components.models.recommended_card import RecommendedCard
from app.models.events import JobChanged, ModelEvent
from app.models.offers import Offer
from app.models.stock import Stock, find_standings, take_stock
from app.views.context import ViewContext


class GetModels(ft.Container):
    """Filled by `load`."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._stock: Stock | None = None
        self._offline_text = ft.Text(expand=True)
        self._offline = _offline_banner(self._offline_text)
        self._recommended = RecommendedCard(context, self._get_at_once, self._ask)
        self._catalog = CatalogList(context, self._ask)
        self._question = HubQuestion(context)
        self._hub = HubSearch(context, self._ask, self._question.ask)
        self._own = OwnEntries(context, self._question.ask, self.load)
        t = context.t
        column = ft.Column(
            [
                self._offline,
                self._recommended,
                _section(t("get.catalog"), self._catalog),
                _section(t("get.hub"), self._hub),
                _section(t("get.own"), self._own),
            ],
            spacing=3 * UNIT,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )
        super().__init__(column)

    async def load(self) -> None:
        """Read what can be shown without a network."""
        self._stock = await self._context.in_thread(
            take_stock, self._context.models, self._context.service.state
        )
        self._show(self._stock)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if self._stock is None:
            return
        if not isinstance(event, JobChanged):
            self._context.run(self.load)
            return
        models = self._context.models
        before = self._stock.standings
        now = find_standings(models.catalog.models, self._stock.local, models.jobs.all)
        if any(now[name].key != before[name].key for name in now):
            self._show(replace(self._stock, standings=now))

    def _show(self, stock: Stock) -> None:
        self._stock = stock
        if stock.why_offline is not None:
            self._offline_text.value = self._context.t(f"get.offline.{stock.why_offline}")
        self._offline.visible = stock.why_offline is not None
        self._recommended.show(stock)
        self._catalog.show(stock)
        self._hub.show(stock)
        self._own.show(stock)
        refresh(self)

    async def _get_at_once(self, offer: Offer) -> None:
        await begin(self._context, offer.model.id, target=offer.chosen.name or None)

    def _ask(self, offer: Offer) -> None:
        if offer.model.is_set:
            self._question.ask(offer.model.repo)
        elif self._stock is not None:
            ask_get(self._context, offer, self._stock)


def _section(title: str, content: ft.Control) -> ft.Control:
    heading = ft.Text(title, theme_style=ft.TextThemeStyle.TITLE_SMALL, color=ft.Colors.PRIMARY)
    return ft.Column(
        [ft.Container(heading, padding=ft.Padding.symmetric(horizontal=4)), content],
        spacing=UNIT,
        tight=True,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )


def _offline_banner(text: ft.Text) -> ft.Container:
    row = ft.Row([ft.Icon(ft.Icons.CLOUD_OFF, size=20, color=ft.Colors.ON_SURFACE_VARIANT), text], spacing=12)
    return ft.Container(
        identified(row, "offline"),
        padding=ft.Padding.symmetric(horizontal=20, vertical=12),
        border_radius=16,
        bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
        visible=False,
    )
