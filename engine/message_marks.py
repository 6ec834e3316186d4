"""Where the texts of messages are in what a chat template wrote.

A template is run once as it is and once with marks around every message's text; the marks tell which
characters came from a message and must not become control tokens, and where earlier answers are. Templates
that take a text apart lose marks; then only spellings of control tokens inside messages are broken by a mark,
which survives nearly everything, and a mark at the end of a text tells that the text is there at all. What
comes out is always the text of the plain run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Characters of private use. They are taken out of messages first, so that no message can set a mark.
_OPEN, _NUMBERED, _CLOSE, _BREAK = "\U0010fdd0", "\U0010fdd1", "\U0010fdd2", "\U0010fdd3"
_RESERVED = str.maketrans("", "", _OPEN + _NUMBERED + _CLOSE + _BREAK)
_MARKED = re.compile(f"{_OPEN}([0-9]+){_NUMBERED}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Place:
    """Characters `start` to `end` of a rendered text; `number` is the message's, -1 where that is unknown."""

    start: int
    end: int
    number: int


Run = Callable[[Sequence[str]], str]
"""Renders the conversation with these texts in the place of the messages' own. Raises ChatTemplateFailed."""


def without_marks(text: str) -> str:
    """`text` without characters that are used as marks."""
    return text.translate(_RESERVED)


def find_places(run: Run, texts: Sequence[str], plain: str) -> tuple[Place, ...] | None:
    """The places of `texts` in `plain`, which is `run(texts)`, ascending; None where marks change the result.

    White space around a text is not part of its place: templates strip it.
    """
    marked = run([_enclosed(text, number) for number, text in enumerate(texts)])
    places: list[Place] = []
    parts: list[str] = []
    at, length = 0, 0
    for match in _MARKED.finditer(marked):
        before, text = marked[at : match.start()], match[2]
        start = length + len(before)
        places.append(Place(start, start + len(text), int(match[1])))
        parts += [before, text]
        at, length = match.end(), start + len(text)
    unmarked = "".join([*parts, marked[at:]])
    return tuple(places) if unmarked == plain else None


def find_spellings(
    run: Run, texts: Sequence[str], plain: str, controls: Sequence[str]
) -> tuple[Place, ...] | None:
    """Where in `plain` messages spell one of `controls`; None where breaking the spellings changes it."""
    spelt = sorted((control for control in controls if any(control in text for text in texts)), key=len)
    if not spelt:
        return ()
    pattern = re.compile("|".join(re.escape(control) for control in reversed(spelt)))
    broken = run([pattern.sub(_broken, text) for text in texts])
    if broken.replace(_BREAK, "") != plain:
        return None
    places = []
    for n_before, match in enumerate(re.finditer(_BREAK, broken)):
        start = match.start() - n_before - 1
        spelling = pattern.match(plain, start)
        if spelling is None:
            return None
        places.append(Place(start, spelling.end(), -1))
    return tuple(places)


def find_end(run: Run, texts: Sequence[str], numbers: Sequence[int]) -> int | None:
    """How many characters follow the last of the texts `numbers`; None if the template leaves one out.

    A template may change a text, as those do that take commands such as `/no_think` out of it.
    """
    ended = list(texts)
    for number in numbers:
        core = texts[number].rstrip()
        if core:
            ended[number] = f"{core}{_OPEN}{number}{_NUMBERED}{texts[number][len(core) :]}"
    written = run(ended)
    marks = [f"{_OPEN}{number}{_NUMBERED}" for number in numbers if texts[number].strip()]
    if any(mark not in written for mark in marks):
        return None
    return len(written) - written.rindex(_NUMBERED) - 1 if marks else 0


def _enclosed(text: str, number: int) -> str:
    core = text.strip()
    if not core:
        return text
    start = text.index(core)
    return f"{text[:start]}{_OPEN}{number}{_NUMBERED}{core}{_CLOSE}{text[start + len(core) :]}"


def _broken(match: re.Match[str]) -> str:
    return match[0][0] + _BREAK + match[0][1:]
