"""A table of an answer: as wide as the text, or wider and scrolling sideways where its cells need that."""

from __future__ import annotations

import re
from collections.abc import Callable

import flet as ft

from app.components.basics.look import markdown_style, text_size, text_width_px
from app.components.chat.safe_markdown import without_images
from app.views.context import ViewContext

_WIDEST_CELL_PX = 320
_CELL_PADDING_PX = 26


class TableBlock(ft.Container):
    """Shows one table in Markdown; `show` changes it."""

    def __init__(
        self, context: ViewContext, source: str, on_link: Callable[[ft.Event[ft.Markdown]], object]
    ) -> None:
        self._context = context
        self._markdown = ft.Markdown(
            extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED,
            md_style_sheet=markdown_style(context),
            on_tap_link=context.guard(on_link),
        )
        self._sheet = ft.Container(self._markdown)
        super().__init__(ft.Row([self._sheet], scroll=ft.ScrollMode.AUTO))
        self.show(source)

    def show(self, source: str) -> bool:
        """Change what is shown; returns whether it is different. The caller updates."""
        value = without_images(source.strip("\n"))
        if value == self._markdown.value:
            return False
        self._markdown.value = value
        self._sheet.width = natural_width_px(source, text_size(self._context))
        return True


def natural_width_px(source: str, size: float) -> float:
    """How wide the table would like to be, with cells of at most 320 px; columns are equally wide."""
    rows = [_cells(line) for line in source.strip().split("\n") if "|" in line]
    n_columns = max((len(row) for row in rows), default=1)
    widest = max((text_width_px(cell.strip(), size) for row in rows for cell in row), default=0.0)
    return n_columns * (min(widest, _WIDEST_CELL_PX) + _CELL_PADDING_PX)


def _cells(line: str) -> list[str]:
    bare = line.strip().removeprefix("|").removesuffix("|")
    return [] if re.fullmatch(r"[\s|:-]*", bare) else re.split(r"(?<!\\)\|", bare)
