"""Whether a line `Human:` in an answer of BELLE's is the next turn, made up by the model, or any other line.

BELLE was trained on whole dialogues: where it misses its end token, it goes on with `Human:`, a question, an
empty line and `Assistant:`. A line of that name in a list or a quotation is followed by something else. Only
text that is held back meanwhile can tell. Knows nothing of tokens and streams.
"""

from __future__ import annotations

import re

_REPLY = re.compile(r"\n[ \t]*Assistant[:：]")
_NEXT_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*(\S)")
_NAME = "Assistant"
_MAX_QUESTION_CHARS = 400


def is_turn(following: str) -> bool | None:
    """Whether a turn was begun by what stands before `following`; None while one can't tell.

    It is one if `Assistant:` begins a line of the same paragraph, or the next paragraph. If neither is there
    within 400 characters, it is none: a long list is lost more easily than a made-up question shown.
    """
    is_long = len(following) >= _MAX_QUESTION_CHARS
    question = following[:_MAX_QUESTION_CHARS]
    paragraph = _NEXT_PARAGRAPH.search(question)
    reply = _REPLY.search(question)
    if reply is not None and (paragraph is None or reply.start() < paragraph.end()):
        return True
    next_words = question[paragraph.start(1) :] if paragraph is not None else ""
    may_become_reply = len(next_words) <= len(_NAME) and _NAME.startswith(next_words)
    if paragraph is None or may_become_reply:
        return False if is_long else None
    return False
