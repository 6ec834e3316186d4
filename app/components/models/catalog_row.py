"""One model of the catalog: what it is, what it takes, whether it runs here, and the way to get it."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.models.fit_badge import badge, fit_badge
from app.models.get_texts import needs_text, sizes_text
from app.models.offers import Offer
from app.models.stock import Standing
from app.views.context import ViewContext

_STATES = {
    "under_way": ft.Icons.DOWNLOADING,
    "paused": ft.Icons.PAUSE_CIRCLE_OUTLINE,
    "failed": ft.Icons.ERROR_OUTLINE,
}


class CatalogRow(ft.Container):
    """on_get is called when the person wants it."""

    def __init__(
        self, context: ViewContext, offer: Offer, standing: Standing, on_get: Callable[[], object]
    ) -> None:
        self._context = context
        self._offer = offer
        self._standing = standing
        self._on_get = on_get
        super().__init__(identified(row_layout(self._texts(), self._actions()), f"catalog-{offer.model.id}"))

    def _texts(self) -> ft.Control:
        context, model = self._context, self._offer.model
        lines: list[ft.Control] = [
            ft.Text(model.name, theme_style=ft.TextThemeStyle.TITLE_SMALL),
            ft.Text(
                model.about.in_language(context.language),
                theme_style=ft.TextThemeStyle.BODY_MEDIUM,
                color=ft.Colors.ON_SURFACE_VARIANT,
            ),
            muted_text(model.recommendation.in_language(context.language)),
            facts_row(context, self._offer),
        ]
        return ft.Column(lines, spacing=4, tight=True)

    def _actions(self) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        model = self._offer.model
        if not model.can_be_used:
            return muted_text(t("get.unusable"), text_align=ft.TextAlign.END)
        if not self._standing.here and self._standing.job is None:
            button = ft.FilledTonalButton(t("get.get"), icon=ft.Icons.DOWNLOAD, on_click=guard(self._on_get))
            return identified(button, f"get-{model.id}", t("get.get_label", name=model.name))
        return ft.Column(
            [*self._here(), *self._under_way(), *self._again()],
            spacing=4,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.END,
        )

    def _here(self) -> list[ft.Control]:
        """To chat with what is here, whatever becomes of the rest."""
        if not self._standing.here:
            return []
        context, path = self._context, self._standing.here[0].path
        chat = ft.FilledTonalButton(
            context.t("job.chat"), on_click=context.guard(lambda: context.use_model(path))
        )
        return [
            here_mark(context),
            identified(chat, f"get-chat-{self._offer.model.id}"),
        ]

    def _under_way(self) -> list[ft.Control]:
        """What the job does, and the way on where it has stopped."""
        t, guard, state, job = self._context.t, self._context.guard, self._standing.state, self._standing.job
        if state is None or job is None:
            return []
        rows = [state_mark(t(f"get.{state}"), _STATES[state])]
        if state != "under_way":
            is_failed = state == "failed"
            resume = ft.FilledTonalButton(
                t("jobs.again" if is_failed else "strip.resume"),
                icon=ft.Icons.REFRESH if is_failed else ft.Icons.PLAY_ARROW,
                on_click=guard(lambda: self._resume(job.id)),
            )
            rows.append(identified(resume, f"get-resume-{self._offer.model.id}"))
        return rows

    def _again(self) -> list[ft.Control]:
        """Another type; of what has stopped, also the same with another key file."""
        state = self._standing.state
        if state == "under_way":
            return []
        text = self._context.t("get.again" if state is None else "get.choose_again")
        button = ft.TextButton(text, on_click=self._context.guard(self._on_get))
        return [identified(button, f"get-{self._offer.model.id}")]

    async def _resume(self, job_id: str) -> None:
        await self._context.in_thread(self._context.models.jobs.resume, job_id)


def row_layout(texts: ft.Control, actions: ft.Control) -> ft.Control:
    """What it is, and what can be done beside it; below it where there is no room."""
    return ft.ResponsiveRow(
        [
            ft.Container(texts, col={"xs": 12, "sm": 9}),
            ft.Container(actions, col={"xs": 12, "sm": 3}, alignment=ft.Alignment.CENTER_RIGHT),
        ],
        spacing=2 * UNIT,
        run_spacing=UNIT,
        vertical_alignment=ft.CrossAxisAlignment.CENTER,
    )


def facts_row(context: ViewContext, offer: Offer) -> ft.Control:
    """Sizes, fit, licence, and what is needed besides, as far as they are known."""
    t = context.t
    model = offer.model
    facts: list[ft.Control] = [muted_text(sizes_text(offer.chosen, context.texts))]
    if model.can_be_used:
        facts.append(fit_badge(context, offer.fit))
    facts.append(muted_text(t("get.license", license=model.license)))
    needs = needs_text(offer, context.texts)
    if needs:
        facts.append(
            badge(
                needs,
                ft.Icons.KEY,
                ft.Colors.SURFACE_CONTAINER_HIGHEST,
                ft.Colors.ON_SURFACE_VARIANT,
                t("get.key.where"),
            )
        )
    if model.can_be_used and not model.prompt_verified:
        facts.append(muted_text(t("get.prompt_unverified", format=model.prompt_format)))
    return ft.Row(
        facts,
        wrap=True,
        spacing=12,
        run_spacing=4,
        vertical_alignment=ft.CrossAxisAlignment.CENTER,
    )


def here_mark(context: ViewContext) -> ft.Control:
    """That the model is on this disk."""
    return state_mark(context.t("get.here"), ft.Icons.CHECK)


def state_mark(text: str, icon: ft.IconData) -> ft.Control:
    """How it stands with the model, beside what can be done about it."""
    return ft.Row(
        [
            ft.Icon(icon, size=16, color=ft.Colors.PRIMARY),
            ft.Text(text, theme_style=ft.TextThemeStyle.LABEL_LARGE, color=ft.Colors.PRIMARY),
        ],
        spacing=6,
        tight=True,
    )
