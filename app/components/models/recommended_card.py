"""The model to take on this machine: why, what it takes, and one button that gets it."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.models.fit_badge import fit_badge
from app.models.get_texts import disk_sentence, is_disk_short, none_fits_text, reason_text, sizes_sentence
from app.models.offers import Offer, lightest, recommend, smaller_download
from app.models.stock import Stock
from app.views.context import ViewContext


class RecommendedCard(ft.Container):
    """`show` follows the stock; on_get is given the offer to begin with at once, on_ask one to ask about."""

    def __init__(
        self, context: ViewContext, on_get: Callable[[Offer], object], on_ask: Callable[[Offer], object]
    ) -> None:
        self._context = context
        self._on_get = on_get
        self._on_ask = on_ask
        self._column = ft.Column(spacing=UNIT, tight=True)
        super().__init__(
            self._column,
            padding=20,
            border_radius=16,
            bgcolor=ft.Colors.SECONDARY_CONTAINER,
        )

    def show(self, stock: Stock) -> None:
        """Show what to take now; the caller updates."""
        offer = recommend(stock.offers)
        self._column.controls = self._none(stock) if offer is None else self._offer(offer, stock)

    def _none(self, stock: Stock) -> list[ft.Control]:
        text = none_fits_text(lightest(stock.offers), self._context.texts)
        return [self._title(self._context.t("get.recommended")), ft.Text(text)]

    def _offer(self, offer: Offer, stock: Stock) -> list[ft.Control]:
        context, texts = self._context, self._context.texts
        name = ft.Row(
            [
                ft.Text(offer.model.name, theme_style=ft.TextThemeStyle.TITLE_LARGE),
                fit_badge(context, offer.fit),
            ],
            wrap=True,
            spacing=12,
            run_spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.CENTER,
        )
        standing = stock.standing(offer.model)
        rows = [self._title(context.t("get.recommended")), name, ft.Text(reason_text(offer, texts))]
        if standing.here:
            path = standing.here[0].path
            chat = ft.FilledButton(
                context.t("job.chat"),
                icon=ft.Icons.CHAT_BUBBLE_OUTLINE,
                on_click=context.guard(lambda: context.use_model(path)),
            )
            here = ft.Text(context.t("get.recommended.here"), color=ft.Colors.ON_SECONDARY_CONTAINER)
            return [*rows, here, ft.Row([identified(chat, "get-chat-recommended")])]
        if standing.state is not None:
            return [*rows, ft.Text(context.t(f"get.recommended.{standing.state}"))]
        return [*rows, *self._what_it_takes(offer, stock), self._buttons(offer, stock)]

    def _what_it_takes(self, offer: Offer, stock: Stock) -> list[ft.Control]:
        texts = self._context.texts
        disk = disk_sentence(offer.chosen, stock.free_bytes, texts)
        color = ft.Colors.ERROR if is_disk_short(offer.chosen, stock.free_bytes) else None
        lines: list[ft.Control] = [ft.Text(sizes_sentence(offer.chosen, texts))]
        if disk:
            lines.append(ft.Text(disk, color=color))
        lines.append(muted_text(self._context.t("get.license", license=offer.model.license)))
        return lines

    def _buttons(self, offer: Offer, stock: Stock) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        get = ft.FilledButton(
            t("get.get_name", name=offer.model.name),
            icon=ft.Icons.DOWNLOAD,
            on_click=guard(lambda: self._on_get(offer)),
        )
        buttons: list[ft.Control] = [identified(get, "get-recommended")]
        smaller = smaller_download(offer, stock.offers)
        if smaller is not None:
            text = t("get.smaller", name=smaller.model.name, download=smaller.chosen.download_bytes)
            buttons.append(
                identified(ft.TextButton(text, on_click=guard(lambda: self._on_ask(smaller))), "get-smaller")
            )
        return ft.Row(buttons, wrap=True, spacing=UNIT, run_spacing=UNIT)

    def _title(self, text: str) -> ft.Control:
        return ft.Text(
            text, theme_style=ft.TextThemeStyle.LABEL_LARGE, color=ft.Colors.ON_SECONDARY_CONTAINER
        )
