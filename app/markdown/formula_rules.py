"""Formulas in Markdown: `$…$`, `$$…$$`, `\\(…\\)`, `\\[…\\]`; told from money, variables, brackets.

Dollars follow pandoc's rules (pandoc.org/MANUAL.html, tex_math_dollars), with any neighbour that is no Latin
letter or digit allowed, since Chinese has no blanks. Rules for markdown-it-py.
"""

from __future__ import annotations

import re

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_ENDS = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_OPENING = re.compile(r"\$\$?|\\[(\[]")
_SIGNS = re.compile(r"[\\^_=+<>{}|*/′'≤≥≈±×÷√∑∫∂∞∈-]")
# Words of two letters and more, or any Chinese: what only prose has outside of commands and \text{…}.
_WORDS = re.compile(r"[A-Za-z]{3,}|[A-Za-z]{2,}[ ,.]|[ ,.][A-Za-z]{2,}|[\u3400-\u9fff\u3000-\u303f]")
_AFTER_BLOCK = re.compile(r"[ \t]*[.,;:。，；：]?[ \t]*$")


def formula_inline(state: StateInline, silent: bool) -> bool:
    """Rule for the text of a block; its tokens are of type `formula`, `info` is their source."""
    opening = _OPENING.match(state.src, state.pos)
    if opening is None:
        return False
    found = _find_end(state.src, state.pos, state.posMax, opening[0])
    if found is None:
        return False
    tex, end = found
    if not silent:
        token = state.push("formula", "math", 0)
        token.content = tex.strip()
        token.info = state.src[state.pos : end]
        token.markup = opening[0]
    state.pos = end
    return True


def _find_end(text: str, start: int, limit: int, opening: str) -> tuple[str, int] | None:
    """The formula's source without delimiters, and where it ends; None where none begins."""
    ending = _ENDS[opening]
    begin = start + len(opening)
    is_single = opening == "$"
    if is_single and (begin >= limit or text[begin].isspace() or _is_word(text, start - 1)):
        return None
    at = begin
    while (at := text.find(ending, at, limit)) >= 0:
        if _is_escaped(text, at):
            at += 1
            continue
        after = at + len(ending)
        tex = text[begin:at]
        if is_single and (tex[-1:].isspace() or (after < limit and _is_word(text, after))):
            return None
        return None if _is_prose(tex) else (tex, after)
    return None


def _is_word(text: str, at: int) -> bool:
    return at >= 0 and text[at].isascii() and text[at].isalnum()


def _is_escaped(text: str, at: int) -> bool:
    n_backslashes = 0
    while n_backslashes < at and text[at - 1 - n_backslashes] == "\\":
        n_backslashes += 1
    return n_backslashes % 2 == 1


def _is_prose(tex: str) -> bool:
    return not tex.strip() or (_SIGNS.search(tex) is None and _WORDS.search(tex) is not None)


def formula_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Rule for formulas on lines of their own; its tokens are of type `formula_block`.

    A blank line ends the attempt, except inside an environment. One that the text does not end yet is a block
    already (`meta["is_closed"]` says which): its end may still be written.
    """
    if state.is_code_block(start_line):
        return False
    first = _line(state, start_line)
    opening = first[:2]
    if opening not in ("$$", "\\["):
        return False
    found = _find_last_line(state, start_line, end_line, _ENDS[opening], first[2:])
    if found is None:
        return False
    last_line, is_closed = found
    lines = [_line(state, line) for line in range(start_line, last_line + 1)]
    source = "\n".join(lines)
    tex = source[2 : source.rindex(_ENDS[opening])] if is_closed else source[2:]
    # The first line decides: what a later one says would change blocks that are over already.
    if _is_prose(next((line for line in tex.split("\n") if line.strip()), "")):
        return False
    if silent:
        return True
    token = state.push("formula_block", "math", 0)
    token.content = "\n".join(line for line in tex.split("\n") if line.strip()).strip()
    token.info = source
    token.map = [start_line, last_line + 1]
    token.meta = {"is_closed": is_closed}
    state.line = last_line + 1
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _find_last_line(
    state: StateBlock, start_line: int, end_line: int, ending: str, rest: str
) -> tuple[int, bool] | None:
    """The line that ends the formula and whether it is closed there; None where it is none."""
    depth = 0
    line, text = start_line, rest
    while True:
        if ending in text:
            return (line, True) if _AFTER_BLOCK.match(text, text.index(ending) + len(ending)) else None
        depth += text.count("\\begin{") - text.count("\\end{")
        line += 1
        if line >= end_line:
            return (line - 1, False) if end_line == state.lineMax else None
        text = _line(state, line)
        is_outside = bool(text) and state.sCount[line] < state.blkIndent
        if is_outside or (not text.strip() and depth <= 0):
            return None
