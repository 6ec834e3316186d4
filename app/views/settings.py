"""The settings screen: appearance, answers, personas, data, about. Every change is saved at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import flet as ft

from app.components.basics.dialogs import ask_confirmation
from app.components.basics.identified import identified
from app.components.basics.refresh import refresh
from app.components.settings.about_section import about_section
from app.components.settings.data_section import DataSection
from app.components.settings.model_sampling import ModelSamplingSection
from app.components.settings.personas_section import PersonasSection
from app.components.settings.settings_section import row, section
from app.i18n import window_size
from app.models.candidates import Candidate, read_candidates
from app.models.fit_texts import fit_word
from app.models.problem_kinds import problem_kind
from app.settings import Settings
from app.views.context import ViewContext
from engine.models.fit import Verdict

_WIDTH = 760
_FONT_STEPS = 13  # 0.7 to 2.0 by tenths


class SettingsView(ft.Container):
    """on_saved is given the settings after every change; on_shortcuts shows the sheet."""

    def __init__(
        self,
        context: ViewContext,
        folder: Path,
        *,
        on_saved: Callable[[Settings], None],
        on_close: Callable[[], None],
        on_shortcuts: Callable[[], None],
        on_quit: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._on_saved = on_saved
        self._on_close = on_close
        self._on_shortcuts = on_shortcuts
        self._on_quit = on_quit
        self._data = DataSection(context, folder)
        self._models = ft.Dropdown(
            on_select=context.guard(lambda event: self._choose_model(event.control.value))
        )
        self._sampling = ModelSamplingSection(context, on_saved)
        self._sections = ft.Column(scroll=ft.ScrollMode.AUTO, expand=True)
        self._fill()
        super().__init__(
            content=ft.Column([self._header(), self._sections], spacing=0),
            expand=True,
            bgcolor=ft.Colors.SURFACE,
        )

    async def load(self) -> None:
        """Read what is on disk: models and numbers."""
        await self._load_models()
        await self._sampling.load()
        await self._data.load()

    async def _choose_model(self, key: str) -> None:
        await self._context.in_thread(self._context.service.choose_model, key)
        await self._sampling.load()

    async def _load_models(self) -> None:
        """Offer the models; the one that the settings name is chosen, loaded or not."""
        context, service = self._context, self._context.service
        candidates = await context.in_thread(read_candidates, service, context.models)
        chosen = await context.in_thread(service.chosen_model)
        self._models.options = [self._model_option(candidate) for candidate in candidates]
        self._models.value = chosen.key
        refresh(self._models)

    def _model_option(self, candidate: Candidate) -> ft.DropdownOption:
        """With its size, and with what speaks against it."""
        t, choice, row = self._context.t, candidate.choice, candidate.row
        facts = [t("settings.demo_model") if choice.is_demo else choice.name]
        if choice.size_bytes is not None:
            facts.append(window_size(choice.size_bytes))
        if row is not None and row.model.problem is not None:
            facts.append(t(f"library.problem.{problem_kind(row.model.problem)}"))
        elif row is not None and row.fit is not None and row.fit.verdict is Verdict.NO:
            facts.append(fit_word(row.fit, self._context.texts))
        return ft.DropdownOption(choice.key, text=" · ".join(facts), disabled=not candidate.is_usable)

    def _header(self) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        return ft.Container(
            ft.Row(
                [
                    identified(
                        ft.IconButton(
                            ft.Icons.ARROW_BACK, tooltip=t("gui.back"), on_click=guard(self._on_close)
                        ),
                        "back",
                    ),
                    ft.Text(t("settings.title"), theme_style=ft.TextThemeStyle.TITLE_LARGE, expand=True),
                ],
                spacing=8,
            ),
            padding=ft.Padding.symmetric(horizontal=8, vertical=8),
        )

    def _fill(self) -> None:
        t = self._context.t
        sections = [
            section(t("settings.appearance"), self._appearance()),
            section(t("settings.answers"), self._answers()),
            section(t("settings.personas"), [PersonasSection(self._context, self._persona_changed)]),
            section(t("settings.data"), [self._data]),
            section(t("settings.about"), [about_section(self._context)]),
            self._bottom(),
        ]
        column = ft.Column(sections, spacing=24, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)
        self._sections.controls = [
            ft.Container(
                ft.Container(column, width=_WIDTH),
                alignment=ft.Alignment.TOP_CENTER,
                padding=ft.Padding(left=16, right=16, top=8, bottom=32),
            )
        ]

    def _appearance(self) -> Sequence[ft.Control]:
        t = self._context.t
        settings = self._context.settings.settings
        percent = ft.Text(f"{settings.font_scale:.0%}", theme_style=ft.TextThemeStyle.LABEL_LARGE)

        def move(event: ft.Event[ft.Slider]) -> None:
            percent.value = f"{event.control.value or 1:.0%}"
            percent.update()

        scale = ft.Slider(
            value=settings.font_scale,
            min=0.7,
            max=2.0,
            divisions=_FONT_STEPS,
            padding=ft.Padding.symmetric(vertical=4),
            on_change=self._context.guard(move),
            on_change_end=self._context.guard(
                lambda event: self._save(font_scale=round(event.control.value, 1))
            ),
        )
        size = ft.Row([identified(scale, "font-size", t("settings.font_size"), expand=True), percent])
        return [
            row(
                t("settings.language"), self._choice("language", ("system", "zh-CN", "en"), settings.language)
            ),
            row(t("settings.theme"), self._choice("theme", ("system", "light", "dark"), settings.theme)),
            row(t("settings.font_size"), size),
            row(
                t("settings.statistics"),
                ft.Switch(
                    value=settings.show_statistics,
                    on_change=self._context.guard(
                        lambda event: self._save(show_statistics=bool(event.control.value))
                    ),
                ),
            ),
        ]

    def _choice(self, name: str, values: Sequence[str], chosen: str) -> ft.Control:
        def choose(event: ft.Event[ft.SegmentedButton]) -> None:
            self._save(**{name: event.control.selected[0]})

        buttons = ft.SegmentedButton(
            segments=[ft.Segment(value, label=self._context.t(f"settings.{value}")) for value in values],
            selected=[chosen],
            show_selected_icon=False,
            on_change=self._context.guard(choose),
        )
        return identified(buttons, name, self._context.t(f"settings.{name}"))

    def _answers(self) -> Sequence[ft.Control]:
        context = self._context
        settings = context.settings.settings
        personas = context.service.personas.all(context.language)
        persona = ft.Dropdown(
            value=settings.persona,
            options=[ft.DropdownOption(each.id, text=each.name) for each in personas],
            on_select=context.guard(lambda event: self._save(persona=event.control.value)),
        )
        return [
            row(context.t("settings.model"), identified(self._models, "default-model")),
            row(context.t("settings.persona"), persona),
            self._sampling,
        ]

    def _bottom(self) -> ft.Control:
        t, guard = self._context.t, self._context.guard
        buttons: list[ft.Control] = [
            ft.OutlinedButton(
                t("settings.reset"), icon=ft.Icons.SETTINGS_BACKUP_RESTORE, on_click=guard(self._ask_reset)
            ),
        ]
        if not self._context.is_phone:
            shortcuts = ft.OutlinedButton(
                t("settings.shortcuts"), icon=ft.Icons.KEYBOARD_OUTLINED, on_click=guard(self._on_shortcuts)
            )
            buttons.insert(0, shortcuts)
        if self._context.in_browser:
            buttons.append(
                ft.OutlinedButton(
                    t("settings.quit"), icon=ft.Icons.POWER_SETTINGS_NEW, on_click=guard(self._on_quit)
                )
            )
        return ft.Row(buttons, wrap=True, spacing=12, run_spacing=12)

    def _ask_reset(self) -> None:
        async def reset() -> None:
            self._on_saved(await self._context.in_thread(self._context.settings.reset))

        t = self._context.t
        ask_confirmation(
            self._context, t("settings.reset"), t("settings.reset_text"), t("settings.reset"), reset
        )

    def _persona_changed(self) -> None:
        self._on_saved(self._context.settings.settings)

    def _save(self, **changes: Any) -> None:
        async def save() -> None:
            self._on_saved(await self._context.in_thread(self._context.settings.update, **changes))

        self._context.run(save)
