"""Footnotes, and addresses of links that stand apart: blocks that are shown where they were written.

CommonMark shows nothing of a link's definition; a person would miss what the model wrote there. Rules for
markdown-it-py.
"""

from __future__ import annotations

import re

from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.reference import reference
from markdown_it.rules_inline import StateInline

_NOTE = re.compile(r"\[\^([^\]\s]+)\]:[ \t]*")
_NOTE_SIGN = re.compile(r"\[\^([^\]\s]+)\]")


def definition(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """markdown-it's `reference`, with a token `definition` that holds the lines."""
    if not reference(state, start_line, end_line, silent):
        return False
    if not silent:
        token = state.push("definition", "", 0)
        token.content = state.getLines(start_line, state.line, state.blkIndent, False).strip()
        token.map = [start_line, state.line]
    return True


def footnote(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """`[^1]: text`, up to a blank line or the next one: a token `footnote` with an `inline` one behind it."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    found = (
        None if state.is_code_block(start_line) else _NOTE.match(state.src, begin, state.eMarks[start_line])
    )
    if found is None:
        return False
    if silent:
        return True
    line = start_line + 1
    while line < end_line and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        at = state.bMarks[line] + state.tShift[line]
        if _NOTE.match(state.src, at, state.eMarks[line]):
            break
        line += 1
    text = state.getLines(start_line, line, state.blkIndent, False).strip()
    token = state.push("footnote", "", 0)
    token.info, token.map = found[1], [start_line, line]
    inline = state.push("inline", "", 0)
    inline.content, inline.map, inline.children = text[len(found[0]) :], token.map, []
    state.line = line
    return True


def footnote_sign(state: StateInline, silent: bool) -> bool:
    """`[^1]` in a text: a token `footnote_sign`."""
    found = _NOTE_SIGN.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("footnote_sign", "", 0).content = found[1]
    state.pos = found.end()
    return True
