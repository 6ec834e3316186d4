"""What a person sees of blocks, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

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


def visible_text(blocks: Sequence[Block]) -> str:
    """The texts of all blocks, one below the other; formulas as their source."""
    return "\n".join(map(_text, blocks))


def _text(block: Block) -> str:
    match block:
        case Paragraph(inlines) | Heading(_, inlines):
            return _line(inlines)
        case Code(_, text):
            return text
        case FormulaBlock():
            return block.source
        case Quote(blocks) | Item(blocks=blocks):
            return visible_text(blocks)
        case Table():
            return "\n".join(" ".join(map(_line, row)) for row in (block.header, *block.rows))
        case Rule():
            return ""


def _line(inlines: Inlines) -> str:
    return "".join(part.text if isinstance(part, Run) else part.source for part in inlines)
