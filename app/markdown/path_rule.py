"""Windows paths in a text: a backslash in one escapes nothing. A rule for markdown-it-py."""

from __future__ import annotations

import re

from markdown_it.rules_inline import StateInline

_PATH_BEFORE = re.compile(r"(?:^|[\s\"'(（“：，])(?:[A-Za-z]:|\\\\[\w.-]+)\S*$")
_LONGEST = 260  # characters of a path, Windows' own limit


def backslash_of_path(state: StateInline, silent: bool) -> bool:
    """Keeps the backslash that CommonMark's `escape` would take from `C:\\[temp\\]`."""
    at = state.pos
    if state.src[at] != "\\" or not _PATH_BEFORE.search(state.src[max(0, at - _LONGEST) : at]):
        return False
    if not silent:
        state.append_pending("\\")
    state.pos = at + 1
    return True
