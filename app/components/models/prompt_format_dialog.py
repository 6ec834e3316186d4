"""How questions are put to one model: as its file says, in a format chosen by name, or by a template file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.radio_choices import RadioChoices
from app.components.basics.refresh import refresh
from app.components.basics.source_field import SourceField
from app.errors import TemplateFileNotReadable, TemplateFileNotText
from app.models.local_shelf import ShelfRow
from app.models.local_texts import format_name, prompt_text
from app.prompt_choice import read_template, try_template
from app.views.context import ViewContext
from engine.errors import ChatTemplateFailed
from engine.prompt import BASE, PROMPT_FORMATS, TEMPLATE

_WIDTH = 480
_AS_FILE, _OTHER_TEMPLATE = "as-file", "other-template"


async def choose_prompt_format(
    context: ViewContext, row: ShelfRow, on_changed: Callable[[], object] = lambda: None
) -> None:
    """Ask, and keep the answer for this model; then `on_changed`, which may be a coroutine function."""
    chosen = await context.in_thread(context.service.prompt_format, row.model.path)
    state = context.service.state
    is_loaded = state.model is not None and state.model.path == row.model.path
    likely = state.info.likely_format if is_loaded and state.info is not None else None
    context.open_dialog(PromptFormatDialog(context, row, chosen, likely, on_changed))


class PromptFormatDialog(ft.AlertDialog):
    """chosen: a format's name, a template's path, or None for what the file says. likely: the name of the
    format that the vocabulary was made for, where that is known.
    """

    def __init__(
        self,
        context: ViewContext,
        row: ShelfRow,
        chosen: str | None,
        likely: str | None,
        on_changed: Callable[[], object],
    ) -> None:
        self._context = context
        self._on_changed = on_changed
        self._row = row
        self._likely = likely
        is_template = chosen is not None and chosen not in PROMPT_FORMATS
        self._path = Path(chosen) if chosen is not None and is_template else None
        self._field = SourceField(
            context, "template", context.t("format.file"), self._take, value=self._path, folders=False
        )
        self._field.visible = is_template
        shown = _OTHER_TEMPLATE if is_template else chosen or _AS_FILE
        self._choices = RadioChoices(context, shown, self._changed)
        self._choices.rows.controls = [
            self._choices.row(value, text, f"format-{value}") for value, text in self._offered()
        ]
        rows: list[ft.Control] = [muted_text(context.t("format.about")), self._choices, self._field]
        column = ft.Column(rows, tight=True, spacing=UNIT)
        super().__init__(
            title=ft.Text(context.t("format.title", name=row.model.name)),
            scrollable=True,
            inset_padding=DIALOG_INSET,
            content=ft.Container(identified(column, "prompt-format"), width=_WIDTH),
            actions=[
                cancel_button(context, lambda: context.close_dialog(self)),
                identified(
                    ft.FilledButton(context.t("gui.ok"), on_click=context.guard(self._accept)),
                    "prompt-format-ok",
                ),
            ],
        )

    def _offered(self) -> list[tuple[str, str]]:
        """Values and words, the file's own way first."""
        t, texts = self._context.t, self._context.texts
        summary = self._row.model.summary
        own = prompt_text(summary.prompt_format, texts) if summary is not None else ""
        names = [name for name in PROMPT_FORMATS if name not in (TEMPLATE, BASE.name)]
        return [
            (_AS_FILE, t("format.as_file", own=own)),
            *((name, self._name(name)) for name in names),
            (BASE.name, t("format.base")),
            (_OTHER_TEMPLATE, t("format.other_template")),
        ]

    def _name(self, name: str) -> str:
        shown = format_name(name)
        return self._context.t("format.likely", name=shown) if name == self._likely else shown

    def _changed(self) -> None:
        self._field.visible = self._choices.value == _OTHER_TEMPLATE
        refresh(self)

    def _take(self, path: Path | None) -> None:
        self._path = path
        self._field.show_problem(None)
        refresh(self._field)

    async def _accept(self) -> None:
        context, value = self._context, self._choices.value
        chosen = None if value == _AS_FILE else value
        if value == _OTHER_TEMPLATE:
            problem = await context.in_thread(self._problem)
            if problem is not None:
                self._field.show_problem(problem)
                refresh(self._field)
                return
            chosen = str(self._path)
        context.close_dialog(self)
        await context.in_thread(context.service.choose_prompt_format, self._row.model.path, chosen)
        context.run(self._on_changed)

    def _problem(self) -> str | None:
        """Why the template can't be taken."""
        if self._path is None:
            return self._context.t("format.no_file")
        try:
            try_template(read_template(self._path))
        except ChatTemplateFailed as error:
            return self._context.t("format.fails", reason=error.detail)
        except (TemplateFileNotReadable, TemplateFileNotText) as error:
            return self._context.texts.error(error)
        return None
