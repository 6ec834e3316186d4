"""An answer's Markdown: one control a block, so that what is finished is never sent again.

Formulas and highlighting are the renderer's; images are never fetched, links are shown before they open.
"""

from __future__ import annotations

from typing import Protocol, cast

import flet as ft

from app.components.basics.look import markdown_style, text_size
from app.components.basics.refresh import refresh
from app.components.chat.code_block import CodeBlock
from app.components.chat.link_dialog import show_link
from app.components.chat.markdown_stream import Block, BlockKind, MarkdownStream, code_of, formula_of
from app.components.chat.safe_markdown import without_images
from app.components.chat.table_block import TableBlock
from app.views.context import ViewContext

_CARET = "\u258d"


class _Shown(Protocol):
    def show_block(self, block: Block, caret: bool) -> bool: ...


class _TextBlock(ft.Markdown):
    def __init__(self, context: ViewContext, block: Block, caret: bool, *, is_quiet: bool) -> None:
        super().__init__(
            extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED,
            soft_line_break=True,
            md_style_sheet=markdown_style(context, is_list=block.kind is BlockKind.ITEM, is_quiet=is_quiet),
            latex_style=ft.TextStyle(size=text_size(context), color=ft.Colors.ON_SURFACE),
            on_tap_link=context.guard(lambda event: show_link(context, str(event.data or ""))),
        )
        self.show_block(block, caret)

    def show_block(self, block: Block, caret: bool) -> bool:
        source = f"$$\n{formula_of(block)}\n$$" if block.kind is BlockKind.MATH else block.text.strip("\n")
        value = without_images(source) + (f" {_CARET}" if caret else "")
        changed = value != self.value
        self.value = value
        return changed


class _CodeBlock(CodeBlock):
    def __init__(self, context: ViewContext, block: Block) -> None:
        super().__init__(context, *_source_of(block))

    def show_block(self, block: Block, caret: bool) -> bool:
        return self.show(*_source_of(block))


class _TableBlock(TableBlock):
    def __init__(self, context: ViewContext, block: Block) -> None:
        super().__init__(context, block.text, lambda event: show_link(context, str(event.data or "")))

    def show_block(self, block: Block, caret: bool) -> bool:
        return self.show(block.text)


def _source_of(block: Block) -> tuple[str, str]:
    """Language and code; a formula without its end is shown as what it is: its source."""
    return code_of(block) if block.kind is BlockKind.CODE else ("latex", formula_of(block))


def _control_kind(block: Block) -> str:
    if block.kind is BlockKind.CODE or (block.kind is BlockKind.MATH and not block.is_closed):
        return "code"
    return block.kind.value


def _space_above(kind: str, previous: str | None) -> int:
    if previous is None:
        return 0
    return 4 if kind == previous == BlockKind.ITEM else 12


class MarkdownView(ft.SelectionArea):
    """Shows a text that may grow. `append` only remembers, `render` brings it to the screen.

    is_quiet: it steps back behind other text.
    """

    def __init__(
        self, context: ViewContext, text: str = "", *, is_growing: bool = False, is_quiet: bool = False
    ) -> None:
        self._context = context
        self._is_quiet = is_quiet
        self._stream = MarkdownStream(text)
        self._is_growing = is_growing
        self._n_final = 0  # controls whose block is finished
        self._kinds: list[str] = []
        self._column = ft.Column(spacing=0, tight=True, controls=[])
        super().__init__(self._column)
        self._apply()

    @property
    def text(self) -> str:
        """The whole text, exact."""
        return self._stream.text

    @property
    def n_growing_chars(self) -> int:
        """How much one `render` sends again, about."""
        return sum(len(block.text) for block in self._stream.tail)

    def append(self, piece: str) -> None:
        """Add to the text, without showing it yet."""
        self._stream.append(piece)

    def set_text(self, text: str, *, is_growing: bool) -> None:
        """Change the text, without showing it yet; one that only grew keeps the finished blocks."""
        self._is_growing = is_growing
        known = self._stream.text
        if text.startswith(known):
            self._stream.append(text[len(known) :])
        else:
            self._stream = MarkdownStream(text)
            self._n_final = 0

    def render_quietly(self) -> None:
        """Bring the controls up to date without sending them: the caller updates."""
        self._apply()

    def render(self) -> None:
        """Show the text as it is now."""
        changed, is_new = self._apply()
        if is_new:
            refresh(self._column)
            return
        for control in changed:
            refresh(control)

    def _apply(self) -> tuple[list[ft.Control], bool]:
        """Bring the controls up to date; returns those that changed, and whether there are new ones."""
        finished = [block for block in self._stream.finished if not block.is_blank]
        tail = [block for block in self._stream.tail if not block.is_blank]
        changed: list[ft.Control] = []
        is_new = False
        blocks = [*finished, *tail]
        for index in range(self._n_final, len(blocks)):
            caret = self._is_growing and index == len(blocks) - 1
            control, is_other = self._place(index, blocks[index], caret)
            is_new |= is_other
            if control is not None:
                changed.append(control)
        if len(self._kinds) > len(blocks):
            del self._column.controls[len(blocks) :], self._kinds[len(blocks) :]
            is_new = True
        # The newest finished block may still carry the caret.
        self._n_final = max(0, min(len(finished), len(blocks) - 1))
        return changed, is_new

    def _place(self, index: int, block: Block, caret: bool) -> tuple[ft.Control | None, bool]:
        kind = _control_kind(block)
        if index < len(self._kinds) and self._kinds[index] == kind:
            control = self._column.controls[index]
            return (control if cast("_Shown", control).show_block(block, caret) else None), False
        del self._column.controls[index:], self._kinds[index:]
        control = self._make(kind, block, caret)
        previous = self._kinds[-1] if self._kinds else None
        control.margin = ft.Margin.only(top=_space_above(kind, previous))
        self._column.controls.append(control)
        self._kinds.append(kind)
        return control, True

    def _make(self, kind: str, block: Block, caret: bool) -> ft.LayoutControl:
        if kind == "code":
            return _CodeBlock(self._context, block)
        if kind == "table":
            return _TableBlock(self._context, block)
        return _TextBlock(self._context, block, caret, is_quiet=self._is_quiet)
