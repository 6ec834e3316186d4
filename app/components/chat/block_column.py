"""The blocks of an answer, one below the other, each in the control that draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import flet as ft

from app.components.basics.look import UNIT, text_size
from app.components.chat.code_block import CodeBlock
from app.components.chat.inline_text import InlineText, Manner
from app.components.chat.table_block import TableBlock
from app.markdown.blocks import (
    Block,
    Code,
    FormulaBlock,
    Heading,
    Inlines,
    Item,
    Paragraph,
    Quote,
    Rule,
    Run,
    Table,
)
from app.markdown.tex import to_draw
from app.views.context import ViewContext

_CARET = Run(" \u258d")
_HEADING_SCALES = (1.5, 1.3, 1.15, 1.0, 1.0, 1.0)
_BULLET_SCALE = 0.36
_GAP_PX, _ITEM_GAP_PX = 12, 4
_ABOVE_HEADING_PX, _BELOW_HEADING_PX = 24, 8


class _Shown(Protocol):
    def show_block(self, block: Block, caret: bool) -> bool: ...


class _TextBlock(InlineText):
    """A paragraph or a heading."""

    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        super().__init__(context, _inlines_of(block, caret), _manner_of(block, is_quiet))

    def show_block(self, block: Block, caret: bool) -> bool:
        return self.show(_inlines_of(block, caret))


class _CodeBlock(CodeBlock):
    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        super().__init__(context, *_source_of(block))

    def show_block(self, block: Block, caret: bool) -> bool:
        return self.show(*_source_of(block))


class _TableBlock(TableBlock):
    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        super().__init__(context, cast("Table", block))

    def show_block(self, block: Block, caret: bool) -> bool:
        return self.show(cast("Table", block))


class _RuleBlock(ft.Container):
    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        super().__init__(height=1, bgcolor=ft.Colors.OUTLINE_VARIANT)

    def show_block(self, block: Block, caret: bool) -> bool:
        return False


class _QuoteBlock(ft.Container):
    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        self._blocks = BlockColumn(context, is_quiet=True)
        super().__init__(
            self._blocks,
            border=ft.Border(left=ft.BorderSide(3, ft.Colors.OUTLINE_VARIANT)),
            padding=ft.Padding.only(left=2 * UNIT, top=4, bottom=4),
        )
        self.show_block(block, caret)

    def show_block(self, block: Block, caret: bool) -> bool:
        return self._blocks.show(cast("Quote", block).blocks, caret)


class _ItemBlock(ft.Row):
    """An item's sign, and beside it all that is nested in it."""

    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        self._context = context
        self._is_quiet = is_quiet
        self._item: Item | None = None
        self._sign = ft.Container(alignment=ft.Alignment.TOP_RIGHT)
        self._blocks = BlockColumn(context, is_quiet=is_quiet)
        self._blocks.expand = True
        super().__init__(
            [self._sign, self._blocks], spacing=UNIT, vertical_alignment=ft.CrossAxisAlignment.START
        )
        self.show_block(block, caret)

    def show_block(self, block: Block, caret: bool) -> bool:
        item = cast("Item", block)
        before, self._item = self._item, item
        if before is None or (before.number, before.is_done) != (item.number, item.is_done):
            self._show_sign(item)
        changed = self._blocks.show(item.blocks, caret)
        return changed or before != item

    def _show_sign(self, item: Item) -> None:
        size = text_size(self._context)
        if item.is_done is not None:
            box = ft.Icons.CHECK_BOX_OUTLINED if item.is_done else ft.Icons.CHECK_BOX_OUTLINE_BLANK
            label = self._context.t("chat.task.done" if item.is_done else "chat.task.open")
            icon = ft.Icon(box, size=size * 1.2, color=ft.Colors.ON_SURFACE_VARIANT, semantics_label=label)
            self._sign.content, self._sign.padding = icon, ft.Padding.only(top=size * 0.2)
            n_signs = 1
        elif item.number is None:
            self._sign.content = _bullet(size * _BULLET_SCALE, item.depth)
            self._sign.padding = ft.Padding.only(top=size * 0.65)
            n_signs = 1
        else:
            text = f"{item.number}."
            self._sign.content = InlineText(self._context, (Run(text),), Manner(is_quiet=self._is_quiet))
            n_signs = len(text)
        # Two digits without a change of the indent; what needs more pushes its own text only.
        self._sign.width = size * max(1.5, 0.62 * n_signs + 0.1)


def _bullet(size: float, depth: int) -> ft.Container:
    """A disc, a ring or a square; drawn, since fonts have them in sizes of their own."""
    color = ft.Colors.ON_SURFACE_VARIANT
    is_ring, is_square = depth % 3 == 1, depth % 3 == 2
    return ft.Container(
        width=size,
        height=size,
        bgcolor=None if is_ring else color,
        border=ft.Border.all(1.2, color) if is_ring else None,
        shape=ft.BoxShape.RECTANGLE if is_square else ft.BoxShape.CIRCLE,
    )


class _FormulaBlock(ft.Markdown):
    def __init__(self, context: ViewContext, block: Block, caret: bool, is_quiet: bool) -> None:
        super().__init__(
            extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED,
            latex_style=ft.TextStyle(size=text_size(context), color=ft.Colors.ON_SURFACE),
        )
        self.show_block(block, caret)

    def show_block(self, block: Block, caret: bool) -> bool:
        value = f"$$\n{to_draw(cast('FormulaBlock', block).tex)}\n$$"
        changed, self.value = value != self.value, value
        return changed


_MAKERS = {
    "text": _TextBlock,
    "code": _CodeBlock,
    "table": _TableBlock,
    "rule": _RuleBlock,
    "quote": _QuoteBlock,
    "item": _ItemBlock,
    "formula": _FormulaBlock,
}


class BlockColumn(ft.Column):
    """Shows blocks; `show` changes them, and leaves alone what stays. is_quiet: it steps back."""

    def __init__(self, context: ViewContext, *, is_quiet: bool = False) -> None:
        self._context = context
        self._is_quiet = is_quiet
        self._blocks: list[Block] = []
        super().__init__(spacing=0, tight=True, controls=[])

    def show(self, blocks: Sequence[Block], caret: bool) -> bool:
        """Show these blocks, the last with a caret or without; returns whether something changed."""
        changed, is_new = self.change(blocks, caret)
        return is_new or bool(changed)

    def change(self, blocks: Sequence[Block], caret: bool, start: int = 0) -> tuple[list[ft.Control], bool]:
        """As `show` for the blocks from `start` on; returns those that changed, and whether any is new."""
        changed: list[ft.Control] = []
        is_new = len(self._blocks) > len(blocks)
        del self.controls[len(blocks) :], self._blocks[len(blocks) :]
        for index in range(min(start, len(self._blocks)), len(blocks)):
            has_caret = caret and index == len(blocks) - 1
            control, is_other = self._place(index, blocks[index], has_caret)
            is_new |= is_other
            if control is not None:
                changed.append(control)
        return changed, is_new

    def _place(self, index: int, block: Block, caret: bool) -> tuple[ft.Control | None, bool]:
        kind = _kind_of(block)
        if index < len(self._blocks) and _kind_key(self._blocks[index]) == _kind_key(block):
            self._blocks[index] = block
            control = self.controls[index]
            return (control if cast("_Shown", control).show_block(block, caret) else None), False
        del self.controls[index:], self._blocks[index:]
        control = _MAKERS[kind](self._context, block, caret, self._is_quiet)
        control.margin = ft.Margin.only(top=_gap_px(block, self._blocks[-1] if self._blocks else None))
        self.controls.append(control)
        self._blocks.append(block)
        return control, True


def _kind_of(block: Block) -> str:
    match block:
        case Paragraph() | Heading():
            return "text"
        case Code():
            return "code"
        case FormulaBlock(tex=tex, is_closed=is_closed):
            return "formula" if is_closed and to_draw(tex) else "code"
        case Quote():
            return "quote"
        case Item():
            return "item"
        case Table():
            return "table"
        case Rule():
            return "rule"


def _kind_key(block: Block) -> tuple[str, object]:
    """What a control was made for, and can't change."""
    manner = _manner_of(block, is_quiet=False) if isinstance(block, Paragraph | Heading) else None
    return _kind_of(block), manner


def _gap_px(block: Block, before: Block | None) -> int:
    if before is None:
        return 0
    if isinstance(block, Heading):
        return _ABOVE_HEADING_PX
    if isinstance(before, Heading):
        return _BELOW_HEADING_PX
    if isinstance(block, Item) and (block.depth > 0 or isinstance(before, Item)):
        return _GAP_PX if _is_tall(before) else _ITEM_GAP_PX
    return _GAP_PX


def _is_tall(block: Block) -> bool:
    """Whether it has more than one paragraph and items in it."""
    if not isinstance(block, Item):
        return False
    n_paragraphs = sum(isinstance(part, Paragraph) for part in block.blocks)
    return n_paragraphs > 1 or any(not isinstance(part, Paragraph | Item) for part in block.blocks)


def _manner_of(block: Block, is_quiet: bool) -> Manner:
    scale = 0.92 if is_quiet else 1.0
    if isinstance(block, Heading):
        return Manner(scale * _HEADING_SCALES[block.level - 1], is_bold=True, is_quiet=is_quiet, height=1.4)
    if isinstance(block, Paragraph) and block.is_note:
        return Manner(0.88, is_quiet=True)
    return Manner(scale, is_quiet=is_quiet)


def _inlines_of(block: Block, caret: bool) -> Inlines:
    assert isinstance(block, Paragraph | Heading)
    return (*block.inlines, _CARET) if caret else block.inlines


def _source_of(block: Block) -> tuple[str, str]:
    """Language and code; a formula that can't be drawn, or has no end yet, is shown as what was written."""
    if isinstance(block, FormulaBlock):
        return "latex", block.source
    assert isinstance(block, Code)
    return block.language, block.text
