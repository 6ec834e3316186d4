"""The parts of a written answer: blocks, and in them runs of text; nothing written is missing in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Alignment = Literal["left", "center", "right"]


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one style; a line break is a newline in it. href: where a link leads, as it was written."""

    text: str
    is_bold: bool = False
    is_italic: bool = False
    is_struck: bool = False
    is_code: bool = False
    is_raised: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Formula:
    """TeX inside a line, without its delimiters; `source` has them. The styles are those around it."""

    tex: str
    source: str
    is_bold: bool = False
    is_display: bool = False


Inline = Run | Formula
Inlines = tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines of text. is_note: a footnote or the address of a link, which steps back."""

    inlines: Inlines
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """level: 1 to 6."""

    level: int
    inlines: Inlines


@dataclass(frozen=True, slots=True)
class Code:
    """Code exactly as it was written, without its fence. language: "" where none is named."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class FormulaBlock:
    """A formula on lines of its own, without its delimiters; `source` has them.

    is_closed: its end is written; one without is shown as what it is so far.
    """

    tex: str
    source: str
    is_closed: bool = True


@dataclass(frozen=True, slots=True)
class Quote:
    """What stands behind `>`."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list. number: None for a bullet. is_done: of a task's box, None where there is none."""

    number: int | None
    blocks: tuple[Block, ...]
    depth: int = 0
    is_done: bool | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """header and rows: cells of inlines; every row has as many as the header."""

    alignments: tuple[Alignment, ...]
    header: tuple[Inlines, ...]
    rows: tuple[tuple[Inlines, ...], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Block = Paragraph | Heading | Code | FormulaBlock | Quote | Item | Table | Rule
