"""Emphasis that Chinese text can use.

CommonMark tells an opening `**` from a closing one by the blanks and punctuation beside it. Chinese has no
blanks between words, so `**注意：**请` would not close. Here a Chinese, Japanese or Korean character counts
as a blank does there (github.com/tats-u/markdown-cjk-friendly, specification.md).
"""

from __future__ import annotations

import re
import unicodedata

from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter

_CJK = re.compile(
    "[\u1100-\u11ff\u20a9\u2e80-\u303f\u3040-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\ufe30-\ufe4f\uff01-\uffee\U00016fe0-\U00018dff\U0001aff0-\U0001b16f\U00020000-\U0003fffd]"
)


def emphasis(state: StateInline, silent: bool) -> bool:
    """Takes the place of markdown-it's rule of this name for `*` and `_`."""
    marker = state.src[state.pos]
    if silent or marker not in "_*":
        return False
    end = state.pos
    while end < state.posMax and state.src[end] == marker:
        end += 1
    before = state.src[state.pos - 1] if state.pos > 0 else " "
    after = state.src[end] if end < state.posMax else " "
    can_open, can_close = _sides(before, after, can_split_word=marker == "*")
    length = end - state.pos
    for _ in range(length):
        state.push("text", "", 0).content = marker
        token = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), length, token, -1, can_open, can_close))
    state.pos = end
    return True


def _sides(before: str, after: str, *, can_split_word: bool) -> tuple[bool, bool]:
    """Whether a run of markers between these two characters may open and may close."""
    is_left = not after.isspace() and (not _is_mark(after) or before.isspace() or _is_mark_or_cjk(before))
    is_right = not before.isspace() and (not _is_mark(before) or after.isspace() or _is_mark_or_cjk(after))
    if can_split_word:
        return is_left, is_right
    return is_left and (not is_right or _is_mark(before)), is_right and (not is_left or _is_mark(after))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _is_mark_or_cjk(character: str) -> bool:
    return _is_mark(character) or _CJK.match(character) is not None
