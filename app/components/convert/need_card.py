"""Something that is missing for a conversion: what it is, where to get it, and the field for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.radio_choices import RadioChoices
from app.components.basics.source_field import SourceField
from app.components.convert.convert_words import need_text
from app.components.work.job_text import error_text
from app.models.inspection import Need, NeedKind
from app.views.context import ViewContext

_FIELDS: dict[NeedKind, tuple[str, bool, bool]] = {  # identifier, whether files and folders can be chosen
    "base": ("base-path", True, True),
    "key": ("key-file", True, False),
    "config": ("tokenizer-path", False, True),
    "tokenizer": ("tokenizer-path", True, True),
}


class NeedCard(ft.Column):
    """on_path and on_choice are given a new answer, on_again nothing. `show` follows a new look at things."""

    def __init__(
        self,
        context: ViewContext,
        need: Need,
        value: Path | str | None,
        *,
        on_path: Callable[[Path | None], object],
        on_choice: Callable[[str], object],
        on_again: Callable[[], object],
    ) -> None:
        self._context = context
        self._on_choice = on_choice
        self._text = ft.Text(selectable=True)
        self._said = identified(self._text, f"need-{need.kind}")  # selectable text is none for screen readers
        self._sign = ft.Icon(ft.Icons.HELP_OUTLINE, size=20)
        title = ft.Text(
            context.t(f"convert.need.{need.kind}_title"), theme_style=ft.TextThemeStyle.TITLE_SMALL
        )
        rows: list[ft.Control] = [ft.Row([self._sign, title], spacing=UNIT), self._said]
        self._field: SourceField | None = None
        self._choices: RadioChoices | None = None
        if need.kind in _FIELDS:
            identifier, files, folders = _FIELDS[need.kind]
            self._field = SourceField(
                context,
                identifier,
                context.t(f"convert.need.{need.kind}_field"),
                on_path,
                value=value if isinstance(value, Path) else None,
                files=files,
                folders=folders,
            )
            rows.append(self._field)
        elif need.kind == "choice":
            self._choices = self._radios(need, value if isinstance(value, str) else None)
            rows.append(self._choices)
        else:
            again = ft.OutlinedButton(
                context.t("convert.again"), icon=ft.Icons.REFRESH, on_click=context.guard(on_again)
            )
            rows.append(ft.Row([identified(again, "look-again")]))
        super().__init__(rows, spacing=12, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)
        self.show(need)

    def show(self, need: Need) -> None:
        """Show whether it is still missing, and what is wrong with what was given; the caller updates."""
        self._sign.icon = ft.Icons.HELP_OUTLINE if need.is_open else ft.Icons.CHECK
        self._sign.color = ft.Colors.TERTIARY if need.is_open else ft.Colors.PRIMARY
        text = need_text(need, self._context.texts) if need.gap is not None else ""
        if text:
            self._text.value = self._said.label = text
        self._said.visible = need.is_open and bool(self._text.value)
        problem = error_text(need.problem, self._context.texts) if need.problem is not None else None
        if self._field is not None:
            self._field.show_problem(problem)

    def _radios(self, need: Need, chosen: str | None) -> RadioChoices:
        radios = RadioChoices(self._context, chosen, lambda: self._on_choice(str(radios.value)))
        radios.rows.controls = [
            radios.row(name, name, f"choice-{index}") for index, name in enumerate(need.choices)
        ]
        return radios
