"""Before a catalog's model is fetched: as which type, what is needed besides, and what it takes here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.fit_badge import fit_sentence
from app.components.models.key_field import KeyField
from app.components.models.type_table import TypeTable
from app.models.get_texts import disk_sentence, is_disk_short, sizes_sentence
from app.models.here import find_option
from app.models.offers import Offer, Option
from app.models.stock import Stock
from app.models.type_options import TypeOption, catalog_options
from app.views.context import ViewContext
from engine.models.fit import Fit, Verdict
from engine.models.listing import LocalModel

WIDTH = 640
_MARGIN = 2 * (16 + 24)  # what a dialog leaves free at both sides, and its padding


def dialog_width(context: ViewContext) -> float:
    """How wide a dialog's content can be."""
    return min(WIDTH, max(200, (context.page.width or WIDTH) - _MARGIN))


def dialog_title(context: ViewContext, name: str) -> ft.Control:
    """The title of a dialog that gets `name`, on several lines where it is long."""
    return ft.Container(ft.Text(context.t("get.dialog.title", name=name)), width=dialog_width(context))


async def begin(
    context: ViewContext,
    name: str,
    *,
    target: str | None = None,
    key: Path | None = None,
    tokenizer: Path | None = None,
) -> None:
    """Let getting a model begin; where it can be followed appears by itself."""
    await context.in_thread(context.models.get, name, target=target, key=key, tokenizer=tokenizer)


def ask_get(context: ViewContext, offer: Offer, stock: Stock) -> None:
    """Ask how to get a model of the catalog."""
    context.open_dialog(GetDialog(context, offer, stock))


class GetDialog(ft.AlertDialog):
    """Says what the chosen type takes, and begins when the person says so."""

    def __init__(self, context: ViewContext, offer: Offer, stock: Stock) -> None:
        self._context = context
        self._offer = offer
        self._stock = stock
        self._chosen = offer.chosen
        self._types = self._type_options()
        self._facts = ft.Column(spacing=4, tight=True)
        self._key = KeyField(context, offer.key, self._start) if offer.key else None
        self._start_button = ft.FilledButton(on_click=context.guard(self._start))
        super().__init__(
            title=dialog_title(context, offer.model.name),
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
            actions=[
                cancel_button(context, lambda: context.close_dialog(self)),
                identified(self._start_button, "get-start"),
            ],
        )
        self._show_facts()

    def _rows(self) -> list[ft.Control]:
        context, model = self._context, self._offer.model
        about, advice = (text.in_language(context.language) for text in (model.about, model.recommendation))
        rows: list[ft.Control] = [ft.Text(context.t("get.two_sentences", first=about, second=advice))]
        if len(self._types) > 1:
            chosen = self._chosen.name
            table = TypeTable(context, self._types, chosen, self._choose, width=dialog_width(context))
            rows.append(table)
        if self._offer.keeps_its_type and model.form != "gguf":
            rows.append(muted_text(context.t("get.keeps_type")))
        if self._key is not None:
            rows.append(self._key)
        rows.append(self._facts)
        return rows

    def _type_options(self) -> Sequence[TypeOption]:
        catalog = self._context.models.catalog
        architecture = catalog.architecture(self._offer.model)
        if architecture is not None and not self._offer.keeps_its_type:
            return catalog_options(architecture, self._stock.machine)
        return [
            TypeOption(option.name, size, option.fit, is_recommended=False)
            for option in self._offer.options
            if (size := option.result_bytes or option.download_bytes) is not None
        ]

    def _choose(self, name: str) -> None:
        self._chosen = self._offer.option(name)
        self._show_facts()
        refresh(self._facts, self._start_button)

    def _show_facts(self) -> None:
        context, texts, model = self._context, self._context.texts, self._offer.model
        here = self._here()
        dress_start(context, self._start_button, here)
        if here is not None:
            self._facts.controls = [here_fact(context, here)]
            return
        lines: list[ft.Control] = [fact(ft.Icons.DOWNLOAD, sizes_sentence(self._chosen, texts))]
        disk = disk_sentence(self._chosen, self._stock.free_bytes, texts)
        if disk:
            is_short = is_disk_short(self._chosen, self._stock.free_bytes)
            lines.append(fact(ft.Icons.STORAGE, disk, is_warning=is_short))
        lines.append(memory_fact(context, self._fit()))
        if self._offer.tokenizer_repo:
            text = context.t("get.tokenizer", repo=self._offer.tokenizer_repo)
            lines.append(fact(ft.Icons.ABC, text))
        if not model.prompt_verified:
            text = context.t("get.prompt_unverified_long", format=model.prompt_format)
            lines.append(fact(ft.Icons.INFO_OUTLINE, text))
        lines.append(fact(ft.Icons.DESCRIPTION_OUTLINED, context.t("get.license", license=model.license)))
        self._facts.controls = lines

    def _here(self) -> LocalModel | None:
        """The chosen type, where it is on this disk already."""
        here = self._stock.standing(self._offer.model).here
        return find_option(self._offer, self._chosen.name, here)

    def _fit(self) -> Fit | None:
        """Of the chosen type, with a smaller one to choose where it does not fit."""
        if self._chosen.name == self._offer.chosen.name:
            return self._offer.fit
        return next((each.fit for each in self._types if each.name == self._chosen.name), None)

    async def _start(self) -> None:
        here = self._here()
        if here is not None:
            self._context.close_dialog(self)
            self._context.use_model(here.path)
            return
        key = None
        if self._key is not None:
            key = await self._key.read()
            if key is None:
                return
        await begin(self._context, self._offer.model.id, target=_target(self._chosen), key=key)
        self._context.close_dialog(self)


def fact(icon: ft.IconData, text: str, *, is_warning: bool = False) -> ft.Control:
    """A line with a sign before it."""
    color = ft.Colors.ERROR if is_warning else ft.Colors.ON_SURFACE_VARIANT
    return ft.Row(
        [
            ft.Container(ft.Icon(icon, size=16, color=color), padding=ft.Padding.only(top=2)),
            ft.Text(
                text,
                theme_style=ft.TextThemeStyle.BODY_MEDIUM,
                color=ft.Colors.ERROR if is_warning else None,
                expand=True,
            ),
        ],
        spacing=12,
        vertical_alignment=ft.CrossAxisAlignment.START,
    )


def here_fact(context: ViewContext, here: LocalModel) -> ft.Control:
    """That there is nothing to get."""
    return fact(ft.Icons.CHECK, context.t("get.here_as", name=here.name))


def dress_start(context: ViewContext, button: ft.FilledButton, here: LocalModel | None) -> None:
    """Let the button get the model, or chat with it where it is `here`; the caller updates."""
    button.content = context.t("get.start" if here is None else "job.chat")
    button.icon = ft.Icons.DOWNLOAD if here is None else ft.Icons.CHAT_OUTLINED


def memory_fact(context: ViewContext, fit: Fit | None) -> ft.Control:
    """Whether it fits the memory, as a warning where it does not."""
    is_bad = fit is not None and fit.verdict is Verdict.NO
    return fact(ft.Icons.MEMORY, fit_sentence(fit, context.texts), is_warning=is_bad)


def _target(option: Option) -> str | None:
    return option.name or None
