"""Everything that is known about a model on this disk, in words, with its paths to copy."""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text, selectable
from app.models.local_shelf import ShelfRow
from app.models.local_texts import Detail, details
from app.views.context import ViewContext

_WIDTH = 560


def show_details(context: ViewContext, row: ShelfRow, moved_from: Path | None = None) -> None:
    """Open the dialog."""
    lines = [_line(context, detail) for detail in details(row, context.texts, moved_from)]
    content = ft.Column(lines, spacing=12, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)
    dialog = ft.AlertDialog(
        title=ft.Text(row.model.name, theme_style=ft.TextThemeStyle.TITLE_LARGE),
        scrollable=True,
        inset_padding=DIALOG_INSET,
        content=ft.Container(identified(content, "local-details"), width=_WIDTH),
        actions=[
            ft.TextButton(
                context.t("gui.close"), on_click=context.guard(lambda: context.close_dialog(dialog))
            )
        ],
    )
    context.open_dialog(dialog)


def _line(context: ViewContext, detail: Detail) -> ft.Control:
    text = ft.Text(detail.value, theme_style=ft.TextThemeStyle.BODY_MEDIUM)
    value: ft.Control = selectable(text, expand=detail.is_path)
    if detail.is_path:
        copy = ft.IconButton(
            ft.Icons.CONTENT_COPY,
            icon_size=16,
            width=4 * UNIT,
            height=4 * UNIT,
            padding=0,
            tooltip=context.t("library.copy"),
            on_click=context.guard(lambda: context.copy(detail.value)),
        )
        value = ft.Row([value, copy], spacing=4)
    top = 7 if detail.is_path else 2  # the letters of both on one line
    return ft.ResponsiveRow(
        [
            ft.Container(muted_text(detail.label), col={"xs": 12, "sm": 3}, padding=ft.Padding.only(top=top)),
            ft.Container(value, col={"xs": 12, "sm": 9}),
        ],
        spacing=UNIT,
        run_spacing=2,
    )
