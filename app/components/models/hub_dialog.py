"""What can be had of a repository on the hub: one of its GGUFs, or its checkpoint, converted."""

from __future__ import annotations

from collections.abc import Sequence

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.checkpoint_types import CheckpointTypes
from app.components.models.get_dialog import (
    begin,
    dialog_title,
    dialog_width,
    dress_start,
    fact,
    here_fact,
    memory_fact,
)
from app.components.models.key_field import KeyField
from app.i18n import window_size
from app.models.here import find_in_repository
from app.models.hub_offers import HubOffer
from app.views.context import ViewContext
from engine.models.hub import Repository
from engine.models.listing import LocalModel
from engine.models.machine import Machine


class HubDialog(ft.AlertDialog):
    """Says what the choice takes, and begins when the person says so. local: the models of this disk."""

    def __init__(
        self,
        context: ViewContext,
        repository: Repository,
        offers: Sequence[HubOffer],
        free_bytes: int | None,
        machine: Machine,
        local: Sequence[LocalModel] = (),
    ) -> None:
        self._context = context
        self._repository = repository
        self._offers = tuple(offers)
        self._free_bytes = free_bytes
        self._machine = machine
        self._local = local
        self._chosen = self._offers[0] if self._offers else None
        self._choices = ft.Column(spacing=0, tight=True)
        self._facts = ft.Column(spacing=4, tight=True)
        self._key = KeyField(context, context.t("get.key.label"), self._submit)
        self._types = CheckpointTypes(
            context, repository, machine, self._types_changed, width=dialog_width(context)
        )
        t = context.t
        self._start_button = ft.FilledButton(on_click=context.guard(self._start))
        actions: list[ft.Control] = []
        if not self._offers:
            close = ft.TextButton(t("gui.close"), on_click=context.guard(lambda: context.close_dialog(self)))
            actions.append(close)
        else:
            actions.append(cancel_button(context, lambda: context.close_dialog(self)))
            actions.append(identified(self._start_button, "get-start"))
        super().__init__(
            title=dialog_title(context, repository.name),
            scrollable=True,
            inset_padding=DIALOG_INSET,
            content=ft.Container(
                ft.Column(
                    self._rows(),
                    tight=True,
                    spacing=2 * UNIT,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
                width=dialog_width(context),
            ),
            actions=actions,
            on_dismiss=context.guard(self._types.stop),
        )
        self._show_chosen()

    def _rows(self) -> list[ft.Control]:
        t = self._context.t
        if not self._offers:
            return [ft.Text(t("get.hub.nothing"))]
        rows: list[ft.Control] = []
        if len(self._offers) > 1:
            rows += [ft.Text(t("get.hub.which")), self._choices]
        return [*rows, self._types, self._key, self._facts]

    def _choice(self, number: int, offer: HubOffer) -> ft.Control:
        is_chosen = offer is self._chosen
        size = window_size(offer.size_bytes) if offer.size_bytes is not None else "–"
        texts = [
            ft.Text(offer.label, theme_style=ft.TextThemeStyle.TITLE_SMALL),
            muted_text(self._context.t(f"get.hub.offer.{offer.kind}", size=size)),
        ]
        sign = ft.Icon(
            ft.Icons.RADIO_BUTTON_CHECKED if is_chosen else ft.Icons.RADIO_BUTTON_UNCHECKED,
            color=ft.Colors.PRIMARY if is_chosen else ft.Colors.ON_SURFACE_VARIANT,
            size=20,
        )
        row = ft.Container(
            ft.Row([sign, ft.Column(list(texts), spacing=2, tight=True, expand=True)], spacing=12),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=10),
            border_radius=12,
            bgcolor=ft.Colors.SECONDARY_CONTAINER if is_chosen else None,
            ink=True,
            on_click=self._context.guard(lambda: self._choose(offer)),
        )
        return identified(row, f"hub-offer-{number}", button=True, selected=is_chosen, checked=is_chosen)

    def _choose(self, offer: HubOffer) -> None:
        self._chosen = offer
        self._show_chosen()
        refresh(self)

    def _show_chosen(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        self._choices.controls = [self._choice(number, offer) for number, offer in enumerate(self._offers)]
        self._types.show(chosen if chosen.kind == "checkpoint" else None)
        self._show_facts(chosen)

    def _types_changed(self) -> None:
        if self._chosen is not None:
            self._show_facts(self._chosen)
        refresh(self._facts, self._key, self._start_button)

    def _show_facts(self, chosen: HubOffer) -> None:
        here = self._here(chosen)
        self._key.visible = chosen.needs_key and here is None
        self._facts.controls = self._fact_rows(chosen) if here is None else [here_fact(self._context, here)]
        dress_start(self._context, self._start_button, here)
        self._start_button.disabled = here is None and not self._types.can_start

    def _here(self, chosen: HubOffer) -> LocalModel | None:
        """The chosen model, where it is on this disk already."""
        return find_in_repository(self._repository.name, chosen, self._types.target, self._local)

    def _fact_rows(self, chosen: HubOffer) -> list[ft.Control]:
        t = self._context.t
        size = chosen.size_bytes
        rows: list[ft.Control] = []
        if size is not None:
            key = "get.hub.converts" if chosen.kind == "checkpoint" else "get.sentence.same"
            rows.append(fact(ft.Icons.DOWNLOAD, t(key, download=size)))
        option = self._types.option
        kept = size if chosen.kind == "gguf" else option.size_bytes if option is not None else None
        if kept is not None and self._free_bytes is not None:
            is_short = kept > self._free_bytes
            key = "get.disk.short" if is_short else "get.disk.enough"
            text = t(key, needed=kept, free=self._free_bytes)
            rows.append(fact(ft.Icons.STORAGE, text, is_warning=is_short))
        available = self._machine.available_bytes
        if option is not None:
            rows.append(memory_fact(self._context, option.fit))
        elif kept is not None and available is not None and kept > available:
            text = t("get.hub.too_large", needed=kept, free=available)
            rows.append(fact(ft.Icons.MEMORY, text, is_warning=True))
        license_id = self._repository.license
        text = t("get.license", license=license_id) if license_id else t("get.license_unknown")
        rows.append(fact(ft.Icons.DESCRIPTION_OUTLINED, text))
        if self._repository.is_gated:
            rows.append(fact(ft.Icons.LOCK_OUTLINE, t("get.hub.gated_long")))
        return rows

    async def _submit(self) -> None:
        if not self._start_button.disabled:
            await self._start()

    async def _start(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        here = self._here(chosen)
        if here is not None:
            self._context.close_dialog(self)
            self._context.use_model(here.path)
            return
        key = None
        if chosen.needs_key:
            key = await self._key.read()
            if key is None:
                return
        repo = self._repository.name
        name = f"{repo}/{chosen.path}" if chosen.path else repo
        target = self._types.target if chosen.kind == "checkpoint" else None
        await begin(self._context, name, target=target, key=key, tokenizer=self._types.tokenizer)
        self._context.close_dialog(self)
