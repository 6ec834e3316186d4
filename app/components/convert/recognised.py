"""What a source was recognised as: its name, one sentence, and the facts worth knowing."""

from __future__ import annotations

from collections.abc import Sequence

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.convert.convert_words import prompt_text, reason_text, what_text
from app.components.models.fit_badge import fit_badge
from app.i18n import window_size
from app.models.inspection import CheckpointFacts, GgufFacts, Given
from app.models.local_texts import parameters_text
from app.models.result_name import suggest_name
from app.views.context import ViewContext
from convert.recipes import AUTO

_LABEL_WIDTH = 120


def recognised_card(context: ViewContext, given: Given, facts: CheckpointFacts | GgufFacts) -> ft.Control:
    """A card about the source in `given`, under the name its result would have."""
    t = context.t
    name = suggest_name(given, AUTO)
    if isinstance(facts, GgufFacts):
        name = facts.path.name
        summary = facts.summary
        sentence = t("convert.what_gguf", parameters=parameters_text(summary.n_parameters, context.texts))
        rows = [
            (t("convert.fact.type"), ft.Text(summary.quantization)),
            (t("convert.fact.files"), ft.Text(_files_text(context, facts.n_files, facts.size_bytes))),
            (t("convert.fact.prompt"), ft.Text(prompt_text(summary.prompt_format, context.texts))),
            (t("convert.types.fit"), ft.Row([fit_badge(context, facts.fit)])),
        ]
        license_id = summary.license
    else:
        sentence = what_text(facts, context.texts)
        prompt = t(
            "convert.fact.prompt_value",
            prompt=prompt_text(facts.prompt, context.texts),
            reason=reason_text(facts, context.texts),
        )
        rows = [
            (
                t("convert.fact.files"),
                ft.Text(_files_text(context, len(facts.files), facts.size_bytes)),
            ),
            (t("convert.fact.stored"), ft.Text(", ".join(facts.stored))),
            (t("convert.fact.prompt"), ft.Text(prompt)),
        ]
        if facts.notes:
            notes = [ft.Text(context.texts.note(note)) for note in facts.notes]
            rows.append((t("convert.fact.notes"), ft.Column(list[ft.Control](notes), spacing=4, tight=True)))
        license_id = facts.license
    if license_id:
        rows.append((t("convert.fact.license"), ft.Text(license_id)))
    return identified(_card(context, name, sentence, rows), "recognised")


def _card(
    context: ViewContext, name: str, sentence: str, rows: Sequence[tuple[str, ft.Control]]
) -> ft.Control:
    sign = ft.Icon(ft.Icons.CHECK_CIRCLE_OUTLINE, color=ft.Colors.PRIMARY, size=22)
    title = ft.Column(
        [
            ft.Text(name, theme_style=ft.TextThemeStyle.TITLE_MEDIUM),
            ft.Text(sentence, color=ft.Colors.ON_SURFACE_VARIANT),
        ],
        spacing=2,
        tight=True,
        expand=True,
    )
    head = ft.Row([sign, title], spacing=12, vertical_alignment=ft.CrossAxisAlignment.START)
    return ft.Column([head, *(_fact(context, *row) for row in rows)], spacing=UNIT, tight=True)


def _fact(context: ViewContext, label: str, value: ft.Control) -> ft.Control:
    if context.is_narrow:
        return ft.Column([muted_text(label), value], spacing=0, tight=True)
    return ft.Row(
        [
            ft.Container(muted_text(label), width=_LABEL_WIDTH, padding=ft.Padding.only(top=2)),
            ft.Container(value, expand=True),
        ],
        spacing=12,
        vertical_alignment=ft.CrossAxisAlignment.START,
    )


def _files_text(context: ViewContext, n_files: int, size_bytes: int) -> str:
    key = "convert.fact.one_file" if n_files == 1 else "convert.fact.n_files"
    return context.t(key, n=n_files, size=window_size(size_bytes))
