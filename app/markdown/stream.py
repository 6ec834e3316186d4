"""A growing Markdown text as blocks: finished ones, and those at its end that may still change.

A screen that shows one control a block sends a finished block once, so that a token costs what the last block
costs and not what the answer has become. Only a definition of a link changes finished blocks: those that name
it. Knows text only: no controls, no rendering.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass

from app.markdown.blocks import Block, FormulaBlock
from app.markdown.reading import Definitions, ListPlace, Placed, read_blocks

_NEWLINE = re.compile(r"\r\n?|\n")


@dataclass(slots=True)
class _Finished:
    """A block that is over; `source` is what it was read from, `place` that of the item before it."""

    block: Block
    source: str
    place: ListPlace | None


class MarkdownStream:
    """Text that grows at its end, as blocks."""

    def __init__(self, text: str = "") -> None:
        self._begin()
        if text:
            self.append(text)

    def _begin(self) -> None:
        self._finished: list[_Finished] = []
        self._tail: tuple[Block, ...] = ()
        self._past: list[str] = []  # the source of the finished blocks
        self._rest = ""  # and what follows
        self._place: ListPlace | None = None
        self._definitions: Definitions = {}
        self._changed_from = 0
        self._is_ended = False
        self._is_read = True

    @property
    def text(self) -> str:
        """The whole text, exact."""
        return "".join(self._past) + self._rest

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, as they are now."""
        self._read()
        return (*(part.block for part in self._finished), *self._tail)

    @property
    def n_finished(self) -> int:
        """How many of `blocks` are over."""
        self._read()
        return len(self._finished)

    @property
    def n_growing_chars(self) -> int:
        """Characters that the next look at `blocks` reads: the unfinished end, and what came since."""
        return len(self._rest)

    def take_changed_from(self) -> int:
        """The first block that may look different since the last call."""
        self._read()
        changed, self._changed_from = self._changed_from, len(self._finished)
        return changed

    def append(self, piece: str) -> None:
        """Add to the text, which is read when somebody looks; one that was over, from its beginning."""
        if self._is_ended:
            piece = self.text + piece
            self._begin()
        self._rest += piece
        self._is_read = False

    def _read(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        self._changed_from = min(self._changed_from, len(self._finished))
        # Half of a line break would be one.
        source = self._rest.removesuffix("\r")
        placed = read_blocks(source, deepcopy(self._definitions), self._place)
        n_over = _n_over(placed, n_lines=len(_NEWLINE.findall(source)))
        if n_over:
            self._finish(placed[n_over].lines[0])
            placed = read_blocks(self._rest.removesuffix("\r"), deepcopy(self._definitions), self._place)
        self._tail = tuple(part.block for part in placed)

    def end(self) -> None:
        """The text is over: all its blocks are finished, and all its definitions are known."""
        self._changed_from = min(self._changed_from, len(self._finished))
        self._is_ended, self._is_read, self._tail = True, True, ()
        if self._rest:
            self._finish(len(_NEWLINE.split(self._rest)))

    def _finish(self, n_lines: int) -> None:
        """The first lines of the rest are over."""
        ends = [*(found.end() for found in _NEWLINE.finditer(self._rest)), len(self._rest)]
        source, self._rest = self._rest[: ends[n_lines - 1]], self._rest[ends[n_lines - 1] :]
        self._past.append(source)
        known = set(self._definitions.get("references", {}))
        placed = read_blocks(source, self._definitions, self._place)
        lines = [source[begin:end] for begin, end in zip([0, *ends], ends[:n_lines], strict=False)]
        for part in placed:
            self._finished.append(_Finished(part.block, "".join(lines[slice(*part.lines)]), self._place))
            self._place = part.place
        if new := set(self._definitions.get("references", {})) - known:
            self._read_again(new)

    def _read_again(self, labels: set[str]) -> None:
        """Blocks that name one of these definitions were read without it."""
        for index, part in enumerate(self._finished):
            folded = part.source.upper()
            if not any(f"[{label}]" in folded for label in labels):
                continue
            placed = read_blocks(part.source, deepcopy(self._definitions), part.place)
            if len(placed) == 1 and placed[0].block != part.block:
                part.block = placed[0].block
                self._changed_from = min(self._changed_from, index)


def _n_over(placed: list[Placed], n_lines: int) -> int:
    """How many blocks at the beginning can't change any more.

    All before the last, which may still grow; the one before it too, while the last is but the beginning of a
    line, or a formula without an end: it may still become a part of it. n_lines: how many lines are complete.
    """
    if not placed:
        return 0
    last = placed[-1]
    is_open = isinstance(last.block, FormulaBlock) and not last.block.is_closed
    return max(0, len(placed) - (1 if last.lines[0] < n_lines and not is_open else 2))
