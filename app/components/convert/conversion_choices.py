"""What a recognised checkpoint becomes: type, name, prompt format, room on the disk, and the beginning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.convert.convert_words import prompt_text
from app.components.models.fit_badge import fit_sentence
from app.components.models.type_table import TypeTable
from app.i18n import window_size
from app.models.conversion import Draft
from app.models.inspection import CheckpointFacts
from app.models.result_name import NameProblem, free_name, name_problem, names_to_come
from app.views.context import ViewContext
from convert.prompt_choice import REQUESTED_FORMATS
from engine.models.fit import Verdict


class ConversionChoices(ft.Column):
    """Writes what is chosen into `draft`; on_start is given the name of the result.

    Call `check` after it is shown, and whenever other models are on the disk.
    """

    def __init__(
        self, context: ViewContext, draft: Draft, facts: CheckpointFacts, on_start: Callable[[str], object]
    ) -> None:
        assert draft.type is not None
        self._context = context
        self._draft = draft
        self._facts = facts
        self._on_start = on_start
        self._suggested = ""  # until the disk was looked at
        self._n_checks = 0
        t, guard = context.t, context.guard
        self._name = ft.TextField(
            value=draft.name if draft.name is not None else self._suggested,
            label=t("convert.name"),
            suffix=".gguf",
            on_change=guard(self._name_changed),
            error_max_lines=3,
        )
        self._disk_sign = ft.Icon(ft.Icons.SAVE_OUTLINED, size=18, color=ft.Colors.ON_SURFACE_VARIANT)
        self._disk = muted_text("", expand=True)
        self._fit = ft.Text(theme_style=ft.TextThemeStyle.BODY_SMALL, color=ft.Colors.ERROR, visible=False)
        self._prompt = self._prompt_choice()
        self._more = ft.TextButton(t("convert.more"), icon=ft.Icons.TUNE, on_click=guard(self._toggle_more))
        self._start = ft.FilledButton(
            t("convert.start"), icon=ft.Icons.PLAY_ARROW, on_click=guard(self._begin), disabled=True
        )
        buttons = ft.Row(
            [identified(self._start, "convert-start"), identified(self._more, "convert-more")],
            spacing=UNIT,
            run_spacing=UNIT,
            wrap=True,
        )
        super().__init__(
            [
                TypeTable(context, facts.types, draft.type.name, self._choose),
                self._fit,
                identified(self._name, "result-name"),
                self._prompt,
                ft.Row([self._disk_sign, identified(self._disk, "disk-need", expand=True)], spacing=UNIT),
                buttons,
            ],
            spacing=2 * UNIT,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    async def check(self) -> None:
        """Look at the disk: is the name free, and is there room."""
        draft, option = self._draft, self._draft.type
        if option is None:
            return
        self._n_checks += 1
        n_checks = self._n_checks
        library = self._context.models.library
        suggested = await self._context.in_thread(self._suggest)
        if n_checks == self._n_checks and draft.name is None:  # nobody typed meanwhile
            self._suggested = self._name.value = suggested
        name = self._name.value or ""
        problem = await self._context.in_thread(self._problem, name)
        free_bytes = await self._context.in_thread(library.free_bytes)
        if n_checks != self._n_checks:
            return  # the later one tells
        self._name.error = self._context.t(f"convert.name_{problem}") if problem is not None else None
        is_too_large = option.fit is not None and option.fit.verdict is Verdict.NO
        self._fit.value = fit_sentence(option.fit, self._context.texts) if is_too_large else ""
        self._fit.visible = is_too_large
        has_room = free_bytes is None or free_bytes >= option.size_bytes
        self._disk.value = self._disk_text(option.size_bytes, free_bytes, library.folder)
        self._disk.color = ft.Colors.ON_SURFACE_VARIANT if has_room else ft.Colors.ERROR
        self._disk_sign.color = self._disk.color
        self._start.disabled = problem is not None or not has_room
        refresh(self)

    def _suggest(self) -> str:
        models = self._context.models
        return free_name(self._draft.suggested_name, models.library.folder, names_to_come(models.jobs.all))

    def _problem(self, name: str) -> NameProblem | None:
        models = self._context.models
        return name_problem(name, models.library.folder, names_to_come(models.jobs.all))

    def _disk_text(self, needed: int, free: int | None, folder: Path) -> str:
        sizes = {"needed": window_size(needed), "free": window_size(free) if free is not None else ""}
        if free is None:
            return self._context.t("convert.disk_unknown", folder=folder, needed=sizes["needed"])
        key = "convert.disk" if free >= needed else "convert.disk_full"
        return self._context.t(key, folder=folder, **sizes)

    def _prompt_choice(self) -> ft.Control:
        t, texts = self._context.t, self._context.texts
        own = t("convert.prompt_auto", prompt=prompt_text(self._facts.prompt, texts))
        options = [
            ft.DropdownOption(name, text=own if name == "auto" else prompt_text(name, texts))
            for name in REQUESTED_FORMATS
        ]
        dropdown = ft.Dropdown(
            value=self._draft.prompt,
            label=t("convert.fact.prompt"),
            options=options,
            on_select=self._context.guard(self._choose_prompt),
            expand=True,
        )
        return ft.Column(
            [
                ft.Row([identified(dropdown, "prompt-format", expand=True)]),
                muted_text(t("convert.prompt_note")),
            ],
            spacing=4,
            tight=True,
            visible=self._draft.prompt != "auto",
        )

    def _choose_prompt(self, event: ft.Event[ft.Dropdown]) -> None:
        self._draft.prompt = event.control.value or "auto"

    def _toggle_more(self) -> None:
        self._prompt.visible = not self._prompt.visible
        refresh(self)

    def _choose(self, name: str) -> None:
        self._draft.type_name = name
        self._context.run(self.check)

    async def _name_changed(self) -> None:
        name = self._name.value or ""
        self._draft.name = name if name != self._suggested else None
        await self.check()

    def _begin(self) -> None:
        self._start.disabled = True
        refresh(self._start)
        self._on_start(self._name.value or "")
