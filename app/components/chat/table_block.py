"""A table of an answer: columns as wide as they need, scrolling sideways where the text is narrower."""

from __future__ import annotations

import flet as ft

from app.components.basics.look import UNIT, text_size, text_width_px
from app.components.chat.inline_text import InlineText, Manner
from app.markdown.blocks import Alignment, Inlines, Run, Table
from app.views.context import ViewContext

_WIDEST_CELL_PX = 320
_CELL_PADDING = ft.Padding.symmetric(horizontal=12, vertical=UNIT)
_CELL_PADDING_PX = 26
_SCALE = 0.95
_ALIGNS = {"left": ft.TextAlign.LEFT, "center": ft.TextAlign.CENTER, "right": ft.TextAlign.RIGHT}


class TableBlock(ft.Container):
    """Shows one table; `show` changes it, the caller updates."""

    def __init__(self, context: ViewContext, table: Table) -> None:
        self._context = context
        self._table: Table | None = None
        self._rows = ft.Column(spacing=0, tight=True, controls=[])
        sheet = ft.Container(
            self._rows, border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT), border_radius=UNIT
        )
        super().__init__(ft.Row([sheet], scroll=ft.ScrollMode.AUTO))
        self.show(table)

    def show(self, table: Table) -> bool:
        """Show another table; returns whether it is different. A row that stays is not sent again."""
        if table == self._table:
            return False
        widths = self._widths_px(table)
        before, self._table = self._table, table
        if before is None or not self._keeps_columns(before, table):
            self._rows.controls = [self._row(table.header, table.alignments, widths, is_header=True)]
            n_kept = 0
        else:
            n_kept = next(
                (n for n, (old, new) in enumerate(zip(before.rows, table.rows, strict=False)) if old != new),
                min(len(before.rows), len(table.rows)),
            )
            del self._rows.controls[n_kept + 1 :]
        self._rows.controls += [self._row(row, table.alignments, widths) for row in table.rows[n_kept:]]
        return True

    def _widths_px(self, table: Table) -> list[float]:
        return column_widths_px(table, text_size(self._context) * _SCALE)

    def _keeps_columns(self, before: Table, after: Table) -> bool:
        heads = [(table.header, table.alignments, self._widths_px(table)) for table in (before, after)]
        return heads[0] == heads[1]

    def _row(
        self,
        cells: tuple[Inlines, ...],
        alignments: tuple[Alignment, ...],
        widths: list[float],
        *,
        is_header: bool = False,
    ) -> ft.Control:
        shown = []
        for cell, alignment, width in zip(cells, alignments, widths, strict=False):
            manner = Manner(_SCALE, is_bold=is_header, height=1.5, align=_ALIGNS[alignment])
            text = InlineText(self._context, cell, manner)
            shown.append(ft.Container(text, width=width, padding=_CELL_PADDING))
        return ft.Container(
            ft.Row(list(shown), spacing=0, vertical_alignment=ft.CrossAxisAlignment.START, tight=True),
            bgcolor=ft.Colors.SURFACE_CONTAINER if is_header else None,
            border=None if is_header else ft.Border(top=ft.BorderSide(1, ft.Colors.OUTLINE_VARIANT)),
        )


def column_widths_px(table: Table, size: float) -> list[float]:
    """How wide each column would like to be, with text of at most 320 px."""
    columns = zip(table.header, *table.rows, strict=False)
    return [
        min(max(_width_px(cell, size) for cell in column), _WIDEST_CELL_PX) + _CELL_PADDING_PX
        for column in columns
    ]


def _width_px(cell: Inlines, size: float) -> float:
    text = "".join(part.text if isinstance(part, Run) else part.tex for part in cell)
    return max(text_width_px(line, size) for line in text.split("\n"))
