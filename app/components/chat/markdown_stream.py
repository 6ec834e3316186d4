"""A growing Markdown text as blocks: finished ones, which never change again, and the last, still growing.

A screen that shows one control a block sends a finished block once, so that a token costs what the last block
costs and not what the answer has become. Block boundaries follow CommonMark and GFM as far as they can be
decided line by line; where this differs from the renderer, text is only ever cut at a line's beginning.

Knows text only: no controls, no rendering.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from enum import StrEnum


class BlockKind(StrEnum):
    """What a block is shown as; `ITEM` is one item of a list with all that is nested in it."""

    TEXT = "text"
    ITEM = "item"
    CODE = "code"
    TABLE = "table"
    MATH = "math"


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the source, exact, blank lines before and after included.

    is_closed: a fence or formula has its end; always True for the other kinds.
    """

    kind: BlockKind
    text: str
    is_closed: bool = True

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to show."""
        return not self.text.strip()


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n]*)")
_ITEM = re.compile(r"( {0,3})([-*+]|\d{1,9}[.)])([ \t]|$)")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_QUOTE = re.compile(r" {0,3}>")
_DELIMITER_ROW = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_MATH = re.compile(r" {0,3}(\$\$|\\\[)")
_MATH_ENDS = {"$$": "$$", "\\[": "\\]"}


class _OpenBlock:
    """The lines of one block while its end is not known."""

    def __init__(self) -> None:
        self.kind = BlockKind.TEXT
        self.lines: list[str] = []
        self.is_closed = True
        self.marker = ""  # of a fence, or the end of a formula
        self.indent = 0  # of a list item's content
        self.has_content = False
        self.after_blank = False

    def snapshot(self) -> _OpenBlock:
        same = copy(self)
        same.lines = self.lines[:]
        return same

    def block(self) -> Block:
        return Block(self.kind, "".join(self.lines), self.is_closed)


class _Splitter:
    """Takes whole lines and gives out blocks as soon as they are over."""

    def __init__(self) -> None:
        self._open = _OpenBlock()
        self._done: list[Block] = []

    def snapshot(self) -> _Splitter:
        same = _Splitter()
        same._open = self._open.snapshot()
        return same

    def take_done(self) -> list[Block]:
        done, self._done = self._done, []
        return done

    def end(self) -> list[Block]:
        self._finish()
        return self.take_done()

    def feed(self, line: str) -> None:
        handlers = {
            BlockKind.CODE: self._feed_code,
            BlockKind.MATH: self._feed_math,
            BlockKind.TABLE: self._feed_table,
            BlockKind.ITEM: self._feed_item,
            BlockKind.TEXT: self._feed_text,
        }
        handlers[self._open.kind](line)

    def _finish(self) -> None:
        if self._open.lines:
            self._done.append(self._open.block())
        self._open = _OpenBlock()

    def _keep(self, line: str) -> None:
        self._open.lines.append(line)

    def _feed_code(self, line: str) -> None:
        self._keep(line)
        bare = line.strip()
        marker = self._open.marker
        is_fence = len(bare) >= len(marker) and set(bare) == {marker[0]}
        if is_fence and len(line) - len(line.lstrip(" ")) < 4:
            self._open.is_closed = True
            self._finish()

    def _feed_math(self, line: str) -> None:
        if not line.strip():  # a formula has no blank line: this was none
            self._open.kind, self._open.is_closed = BlockKind.TEXT, True
            self._feed_text(line)
            return
        self._keep(line)
        if line.rstrip().endswith(self._open.marker):
            self._open.is_closed = True
            self._finish()

    def _feed_table(self, line: str) -> None:
        if "|" in line:
            self._keep(line)
        elif not line.strip():
            self._keep(line)
            self._finish()
        else:
            self._finish()
            self._feed_text(line)

    def _feed_item(self, line: str) -> None:
        if not line.strip():
            self._keep(line)
            self._open.after_blank = True
            return
        indent = len(line) - len(line.lstrip(" "))
        is_inside = indent >= self._open.indent or (indent > 1 and not _ITEM.match(line))
        is_lazy = not self._open.after_blank and not _starts_block(line)
        if is_inside or is_lazy:
            self._keep(line)
            self._open.after_blank = False
        else:
            self._finish()
            self._feed_text(line)

    def _feed_text(self, line: str) -> None:
        if not line.strip():
            self._keep(line)
            if self._open.has_content:
                self._finish()
            return
        if _DELIMITER_ROW.match(line) and "|" in line and self._turn_into_table(line):
            return
        if self._open.has_content and _starts_block(line):
            self._finish()
        self._begin_or_continue(line)

    def _turn_into_table(self, line: str) -> bool:
        lines = self._open.lines
        if not self._open.has_content or "|" not in lines[-1]:
            return False
        header = lines.pop()
        if any(before.strip() for before in lines):
            self._finish()
        self._open.kind, self._open.has_content = BlockKind.TABLE, True
        self._open.lines += [header, line]
        return True

    def _begin_or_continue(self, line: str) -> None:
        block = self._open
        begins = not block.has_content
        self._keep(line)
        block.has_content = True
        if not begins:
            return
        if fence := _FENCE.match(line):
            if not _is_inline_code(fence):
                block.kind, block.marker, block.is_closed = BlockKind.CODE, fence[1], False
        elif math := _MATH.match(line):
            self._begin_math(line, math)
        elif _HEADING.match(line) or _RULE.match(line):
            self._finish()
        elif item := _ITEM.match(line):
            block.kind, block.indent = BlockKind.ITEM, len(item[1]) + len(item[2]) + 1

    def _begin_math(self, line: str, start: re.Match[str]) -> None:
        end = _MATH_ENDS[start[1]]
        rest = line[start.end() :].rstrip()
        if end in rest and not rest.endswith(end):
            return  # a formula inside a sentence
        self._open.kind, self._open.marker = BlockKind.MATH, end
        self._open.is_closed = len(rest) > len(end) and rest.endswith(end)
        if self._open.is_closed:
            self._finish()


def _is_inline_code(fence: re.Match[str]) -> bool:
    return fence[1][0] == "`" and "`" in fence[2]


def _starts_block(line: str) -> bool:
    """Whether this line ends a paragraph before it."""
    if fence := _FENCE.match(line):
        return not _is_inline_code(fence)
    if _RULE.match(line):
        return not line.lstrip().startswith("-")  # under a paragraph, that is a heading's underline
    return any(pattern.match(line) for pattern in (_HEADING, _QUOTE, _MATH)) or _starts_list(line)


def _starts_list(line: str) -> bool:
    item = _ITEM.match(line)
    return bool(item and line[item.end() :].strip() and (not item[2][0].isdigit() or int(item[2][:-1]) < 100))


class MarkdownStream:
    """Text that grows at its end, as blocks.

    finished: blocks that will not change any more. tail: blocks as they would be if the text ended here; all
    of them may still change. The texts of `finished` and `tail` one after another are the text.
    """

    def __init__(self, text: str = "") -> None:
        self.finished: list[Block] = []
        self.tail: tuple[Block, ...] = ()
        self._splitter = _Splitter()
        self._line = ""  # the last line, as far as it is there
        if text:
            self.append(text)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, as they are now."""
        return (*self.finished, *self.tail)

    @property
    def text(self) -> str:
        """The whole text, exact."""
        return "".join(block.text for block in self.blocks)

    def append(self, piece: str) -> None:
        """Add to the text."""
        *lines, self._line = (self._line + piece).split("\n")
        for line in lines:
            self._splitter.feed(line + "\n")
        self.finished += self._splitter.take_done()
        self.tail = self._provisional()

    def _provisional(self) -> tuple[Block, ...]:
        splitter = self._splitter.snapshot()
        if self._line:
            splitter.feed(self._line)
        return tuple(splitter.end())


def code_of(block: Block) -> tuple[str, str]:
    """The language ("" where none is named) and the code of a `CODE` block, without its fences."""
    opening, _, body = block.text.lstrip("\n").partition("\n")
    fence = _FENCE.match(opening)
    language = fence[2].strip().split(" ")[0].strip("{}.") if fence else ""
    indent = len(opening) - len(opening.lstrip(" "))
    lines = body.rstrip("\n").split("\n") if block.is_closed else body.split("\n")
    if block.is_closed:
        lines = lines[:-1]
    return language, "\n".join(_without_indent(line, indent) for line in lines)


def formula_of(block: Block) -> str:
    """The TeX source of a `MATH` block, without its delimiters."""
    bare = block.text.strip()
    bare = bare.removeprefix("$$").removeprefix("\\[")
    return bare.removesuffix("$$").removesuffix("\\]").strip() if block.is_closed else bare.strip()


def _without_indent(line: str, indent: int) -> str:
    n_spaces = len(line) - len(line.lstrip(" "))
    return line[min(indent, n_spaces) :]
