"""How the chosen model answers where neither a conversation nor its persona says otherwise."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.chat.choices import ModelChoice
from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.components.settings.sampling_knobs import SamplingKnobs
from app.components.settings.settings_section import note
from app.settings import Settings
from app.views.context import ViewContext
from engine.partial_sampling import PartialSampling, ResolvedSampling, Source


class ModelSamplingSection(ft.Column):
    """Empty until `load`; on_saved is given the settings after every change."""

    def __init__(self, context: ViewContext, on_saved: Callable[[Settings], None]) -> None:
        super().__init__(spacing=12)
        self._context = context
        self._on_saved = on_saved
        self._general = self._about_general()

    async def load(self) -> None:
        """Read what the chosen model wants, and offer to change it."""
        choice, wants = await self._context.in_thread(self._read)
        self._fill(choice, wants)
        refresh(self)

    def _read(self) -> tuple[ModelChoice, ResolvedSampling]:
        service = self._context.service
        choice = service.chosen_model()
        return choice, service.model_sampling(choice, with_own=False)

    def _fill(self, choice: ModelChoice, wants: ResolvedSampling) -> None:
        context = self._context
        own = context.settings.settings.sampling_of(choice.key)

        def save(sampling: PartialSampling) -> None:
            context.run(self._save, choice.key, sampling)

        knobs = SamplingKnobs(context, own, wants, Source.OWN, save)

        def reset() -> None:
            knobs.reset()
            refresh(knobs)

        name = context.t("demo.name") if choice.is_demo else choice.name
        self._general.visible = context.settings.settings.is_general(choice.key)
        button = ft.TextButton(context.t("settings.reset_sampling"), on_click=context.guard(reset))
        self.controls = [
            note(context.t("settings.model_sampling", model=name)),
            self._general,
            knobs,
            ft.Row([identified(button, "model-sampling-reset")], alignment=ft.MainAxisAlignment.END),
        ]

    def _about_general(self) -> ft.Control:
        """Whence values come that were set for all models, and the way out of them for every model."""
        context = self._context
        button = ft.TextButton(context.t("settings.forget_general"), on_click=context.guard(self._forget))
        return ft.Column(
            [
                identified(ft.Text(context.t("settings.general_sampling")), "general-sampling"),
                ft.Row([identified(button, "forget-general-sampling")], alignment=ft.MainAxisAlignment.END),
            ],
            spacing=0,
        )

    async def _forget(self) -> None:
        settings = await self._context.in_thread(self._context.settings.forget_general_sampling)
        self._on_saved(settings)
        await self.load()

    async def _save(self, key: str, sampling: PartialSampling) -> None:
        settings = await self._context.in_thread(self._context.settings.set_sampling, key, sampling)
        self._general.visible = settings.is_general(key)
        refresh(self._general)
        self._on_saved(settings)
