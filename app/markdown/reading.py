"""Markdown into blocks, by markdown-it-py: CommonMark with GFM's tables, struck text and task boxes.

Beside these: formulas, emphasis for Chinese, footnotes, and HTML as what it is, text or code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.html_blocks import block_names
from markdown_it.ruler import RuleOptionsType
from markdown_it.token import Token

from app.markdown.blocks import (
    Alignment,
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
from app.markdown.definition_rules import definition, footnote, footnote_sign
from app.markdown.emphasis_rule import emphasis
from app.markdown.formula_rules import formula_block, formula_inline
from app.markdown.inline_reading import read_inlines
from app.markdown.path_rule import backslash_of_path

_ELEMENTS = frozenset(block_names) | {
    *("a", "abbr", "audio", "b", "br", "button", "canvas", "code", "del", "em", "font", "i", "img", "input"),
    *("ins", "kbd", "label", "mark", "pre", "q", "s", "script", "select", "small", "span", "strong", "style"),
    *("sub", "sup", "svg", "textarea", "time", "u", "var", "video"),
}
_BOXES = {"[ ] ": False, "[x] ": True, "[X] ": True}
_ALIGNMENTS: Mapping[str, Alignment] = {
    "text-align:left": "left",
    "text-align:center": "center",
    "text-align:right": "right",
}

Definitions = MutableMapping[str, Any]
"""The addresses that a text defines by name, as markdown-it keeps them; to be handed from part to part."""


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Where the last list of a text stands: the sign before its items, and the last item's number."""

    sign: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A block of the outermost level, and the source lines that it takes (from, up to).

    place: of an item, else None.
    """

    block: Block
    lines: tuple[int, int]
    place: ListPlace | None = None


def read_blocks(
    source: str, definitions: Definitions | None = None, place: ListPlace | None = None
) -> list[Placed]:
    """The blocks of a text.

    definitions: known before, and added to. place: of the item before it; a list like that goes on counting.
    """
    environment = {} if definitions is None else definitions
    tokens = _parser().parse(source, environment)
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _Reader(tokens, lines).read(place)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    interrupting: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "formula", formula_block, interrupting)
    parser.block.ruler.before("reference", "footnote", footnote, interrupting)
    parser.block.ruler.at("reference", definition)
    parser.inline.ruler.before("escape", "formula", formula_inline)
    parser.inline.ruler.before("escape", "path", backslash_of_path)
    parser.inline.ruler.before("link", "footnote_sign", footnote_sign)
    parser.inline.ruler.at("emphasis", emphasis)
    return parser


class _Reader:
    """Goes through the flat list of tokens once."""

    def __init__(self, tokens: Sequence[Token], lines: Sequence[str]) -> None:
        self._tokens = tokens
        self._lines = lines
        self._at = 0

    def read(self, place: ListPlace | None) -> list[Placed]:
        found: list[Placed] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.type in ("bullet_list_open", "ordered_list_open"):
                found += self._items(place if not found else None, depth=0)
                continue
            block = self._block(depth=0)
            begin, end = token.map or (0, 0)
            found.append(Placed(block, (begin, end)))
        return _with_whole_html(found, self._lines)

    def _items(self, place: ListPlace | None, depth: int) -> Iterator[Placed]:
        sign, number = self._open_list()
        if place is not None and place.sign == sign and number is not None and place.number is not None:
            number = place.number + 1
        while self._tokens[self._at].type == "list_item_open":
            begin, end = self._tokens[self._at].map or (0, 0)
            yield Placed(self._item(number, depth), (begin, end), ListPlace(sign, number))
            number = None if number is None else number + 1
        self._at += 1

    def _open_list(self) -> tuple[str, int | None]:
        token = self._next()
        if token.type == "bullet_list_open":
            return token.markup, None
        return token.markup, int(token.attrs.get("start", 1))

    def _item(self, number: int | None, depth: int) -> Item:
        self._at += 1
        blocks = self._blocks_until("list_item_close", depth + 1)
        return _with_box(Item(number, blocks, depth))

    def _blocks_until(self, closing: str, depth: int) -> tuple[Block, ...]:
        blocks: list[Block] = []
        while self._tokens[self._at].type != closing:
            if self._tokens[self._at].type in ("bullet_list_open", "ordered_list_open"):
                blocks += (placed.block for placed in self._items(None, depth))
            else:
                blocks.append(self._block(depth))
        self._at += 1
        return tuple(blocks)

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _inlines(self) -> Inlines:
        return read_inlines(self._next().children or [])

    def _block(self, depth: int) -> Block:
        token = self._next()
        readers: dict[str, Callable[[Token, int], Block]] = {
            "paragraph_open": self._paragraph,
            "heading_open": self._heading,
            "fence": self._fence,
            "code_block": self._indented,
            "html_block": self._html,
            "formula_block": self._formula,
            "blockquote_open": self._quote,
            "table_open": self._table,
            "hr": lambda token, depth: Rule(),
            "definition": self._definition,
            "footnote": self._footnote,
        }
        return readers[token.type](token, depth)

    def _paragraph(self, token: Token, depth: int) -> Block:
        inlines = self._inlines()
        self._at += 1
        return Paragraph(inlines)

    def _heading(self, token: Token, depth: int) -> Block:
        inlines = self._inlines()
        self._at += 1
        return Heading(int(token.tag[1]), inlines)

    def _fence(self, token: Token, depth: int) -> Block:
        language = token.info.strip().split(" ")[0].strip("{}.")
        return Code(language, token.content.removesuffix("\n"))

    def _indented(self, token: Token, depth: int) -> Block:
        return Code("", token.content.removesuffix("\n"))

    def _html(self, token: Token, depth: int) -> Block:
        text = token.content.rstrip("\n")
        return Code("html", text) if _is_html(text) else Paragraph((Run(text.strip()),))

    def _formula(self, token: Token, depth: int) -> Block:
        return FormulaBlock(token.content, token.info, token.meta["is_closed"])

    def _quote(self, token: Token, depth: int) -> Block:
        return Quote(self._blocks_until("blockquote_close", depth))

    def _definition(self, token: Token, depth: int) -> Block:
        return Paragraph(read_inlines([_text(token.content)]), is_note=True)

    def _footnote(self, token: Token, depth: int) -> Block:
        return Paragraph((Run(f"[{token.info}] "), *self._inlines()), is_note=True)

    def _table(self, token: Token, depth: int) -> Block:
        rows: list[tuple[Inlines, ...]] = []
        alignments: list[Alignment] = []
        while (part := self._next()).type != "table_close":
            if part.type == "tr_open":
                rows.append(())
            elif part.type in ("th_open", "td_open"):
                if part.type == "th_open":
                    alignments.append(_ALIGNMENTS.get(str(part.attrs.get("style", "")), "left"))
                rows[-1] = (*rows[-1], self._inlines())
        return Table(tuple(alignments), rows[0], tuple(rows[1:]))


def _text(content: str) -> Token:
    token = Token("text", "", 0)
    token.content = content
    return token


def _is_html(text: str) -> bool:
    """Whether it begins with a comment, a declaration or an element that exists."""
    name = text.lstrip("</ ").split(">")[0].split()
    return text.startswith(("<!", "<?")) or bool(name and name[0].rstrip("/").lower() in _ELEMENTS)


def _with_box(item: Item) -> Item:
    """A task's box is the item's, not a part of its text."""
    first = item.blocks[0] if item.blocks else None
    if not isinstance(first, Paragraph) or not first.inlines or not isinstance(first.inlines[0], Run):
        return item
    run = first.inlines[0]
    if run.is_code or run.href or run.text[:4] not in _BOXES:
        return item
    inlines = (replace(run, text=run.text[4:]), *first.inlines[1:])
    return replace(item, blocks=(Paragraph(inlines), *item.blocks[1:]), is_done=_BOXES[run.text[:4]])


def _with_whole_html(placed: list[Placed], lines: Sequence[str]) -> list[Placed]:
    """A page of HTML ends at every blank line for CommonMark; a person wrote, and copies, one."""
    found: list[Placed] = []
    for part in placed:
        before = found[-1] if found else None
        if before is None or not _is_markup(before.block) or not _goes_on(part.block):
            found.append(part)
            continue
        begin, end = before.lines[0], part.lines[1]
        text = "\n".join(lines[begin:end]).rstrip("\n")
        found[-1] = Placed(Code("html", text), (begin, end))
    return found


def _is_markup(block: Block) -> bool:
    return isinstance(block, Code) and block.language == "html" and block.text.lstrip()[:1] == "<"


def _goes_on(block: Block) -> bool:
    return isinstance(block, Code) and (_is_markup(block) or not block.language)
