"""Searching the hub: a field, a button, and what was found. Nothing is sent before the button is pressed."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text, selectable
from app.components.basics.refresh import refresh
from app.components.models.hub_dialog import ask_repository
from app.i18n import EXPECTED_ERRORS, ExpectedError
from app.models.hub_offers import kind_of, license_of, repository_offers
from app.models.offers import Offer, make_offers
from app.views.context import ViewContext
from engine.models.fetch_errors import Offline
from engine.models.hub import SearchResult

_LONGEST_QUERY = 200


class HubSearch(ft.Column):
    """on_get is given the offer of a result that the catalog knows; others are asked about here."""

    def __init__(self, context: ViewContext, on_get: Callable[[Offer], object]) -> None:
        self._context = context
        self._on_get = on_get
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

    async def _search(self) -> None:
        query = (self._query.value or "").strip()
        if not query or self._is_busy:
            return
        found: tuple[SearchResult, ...] | None = None
        with _Busy(self):
            try:
                found = await self._context.in_thread(self._context.models.search, query)
            except EXPECTED_ERRORS as error:
                self._show_error(error)
        if found is not None:
            self._show(found)
        refresh(self)

    async def _get(self, result: SearchResult) -> None:
        models = self._context.models
        known = models.catalog.find(result.name)
        if known is not None:
            machine = await self._context.in_thread(models.machine)
            offers = make_offers(models.catalog, machine)
            self._on_get(next(offer for offer in offers if offer.model is known))
            return
        if self._is_busy:
            return
        with _Busy(self):
            try:
                await ask_about(self._context, result.name)
            except EXPECTED_ERRORS as error:
                self._show_error(error)
        refresh(self)

    def _show(self, found: tuple[SearchResult, ...]) -> None:
        self._error_box.visible = False
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
        known = self._context.models.catalog.find(result.name)
        if known is not None:
            about = known.about.in_language(self._context.language)
        else:
            about = t(f"get.hub.kind.{kind_of(result)}")
        facts = [t("get.hub.downloads", n=result.n_downloads)]
        license_id = license_of(result)
        if license_id is not None:
            facts.append(t("get.license", license=license_id))
        if result.is_gated:
            facts.append(t("get.hub.gated"))
        texts = ft.Column(
            [
                selectable(ft.Text(result.name, theme_style=ft.TextThemeStyle.TITLE_SMALL)),
                ft.Text(about, color=ft.Colors.ON_SURFACE_VARIANT),
                muted_text(" · ".join(facts)),
            ],
            spacing=4,
            tight=True,
            expand=True,
        )
        get = ft.FilledTonalButton(
            t("get.get"), icon=ft.Icons.DOWNLOAD, on_click=guard(lambda: self._get(result))
        )
        label = t("get.get_label", name=result.name)
        row = ft.Row([texts, identified(get, f"hub-get-{number}", label)], spacing=12)
        return identified(ft.Container(row, padding=ft.Padding.symmetric(vertical=12)), f"hub-{number}")

    def _show_error(self, error: ExpectedError) -> None:
        if isinstance(error, Offline):
            self._error.value = self._context.t("get.hub.offline")
            self._error.tooltip = error.reason
        else:
            self._error.value = self._context.texts.error(error)
            self._error.tooltip = None
        self._error_box.visible = True

    def set_busy(self, is_busy: bool) -> None:
        """Show whether the hub is being asked."""
        self._is_busy = is_busy
        self._ring.visible = is_busy
        self._button.disabled = is_busy
        if is_busy:
            self._error_box.visible = False
        refresh(self)


class _Busy:
    """While the hub is asked."""

    def __init__(self, owner: HubSearch) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._owner.set_busy(True)

    def __exit__(self, *unused: object) -> None:
        self._owner.set_busy(False)


async def ask_about(context: ViewContext, repo: str) -> None:
    """Ask the hub for a repository's files, and the person which to get. Raises FetchErrors."""
    repository = await context.in_thread(context.models.repository, repo)
    free_bytes = await context.in_thread(context.models.library.free_bytes)
    machine = await context.in_thread(context.models.machine)
    offers = repository_offers(repository)
    ask_repository(context, repository, offers, free_bytes, machine)
