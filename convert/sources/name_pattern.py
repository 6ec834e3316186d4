"""Regular expressions that come out of a file, matched against names of modules without backtracking.

A pattern of strangers must not be able to keep a processor busy for years, as `(a+)+$` does with Python's
`re`. So it is turned into a set of states that are followed side by side: a name takes time in proportion to
its length and the pattern's. Known are literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `{m,n}`, `^` and
`$`; nothing that looks around or back. Single characters are left to `re`. Source: the syntax of Python's
`re`; Thompson, "Regular expression search algorithm", 1968.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

MAX_PATTERN_LENGTH = 500
_MAX_STATES = 2000
_MAX_DEPTH = 20

_ATOM = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]|\\[dDsSwW]|\\[^a-zA-Z0-9]|[^\\\[\](){}*+?|^$]", re.DOTALL)
_REPEAT = re.compile(r"(?:[*+?]|\{(?P<low>\d{1,3})?(?P<comma>,)?(?P<high>\d{1,3})?\})\??")
_LIMITS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}

_Matcher = Callable[[str], object]
# What a state asks for before its successors are reached.
_Test = _Matcher | Literal["start", "end"] | None


@dataclass(frozen=True)
class NamePattern:
    """A pattern as PEFT uses it in rank_pattern and alpha_pattern.

    tests, following: by state, what it needs and where it leads; the last state is the match.
    """

    tests: tuple[_Test, ...]
    following: tuple[tuple[int, ...], ...]
    first: int

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Raises `ValueError` for what is not known here, or is no pattern, or too long."""
        if len(text) > MAX_PATTERN_LENGTH:
            raise ValueError(text)
        parser = _Parser(text)
        first = parser.build()
        return cls(tuple(parser.tests), tuple(tuple(states) for states in parser.following), first)

    def matches(self, module: str) -> bool:
        """Whether it matches all of the name, or all that follows one of its dots."""
        states: set[int] = set()
        for place, character in enumerate(module):
            if place == 0 or module[place - 1] == ".":
                states = self._reach([self.first], place, module, states)
            reached: list[int] = []
            for state in states:
                test = self.tests[state]
                if callable(test) and test(character):
                    reached.extend(self.following[state])
            states = self._reach(reached, place + 1, module, set())
        if not module or module.endswith("."):
            states = self._reach([self.first], len(module), module, states)
        return len(self.tests) - 1 in states

    def _reach(self, begun: Iterable[int], place: int, module: str, states: set[int]) -> set[int]:
        """`states` and those that lie before the next character, from the states `begun` on."""
        waiting = list(begun)
        while waiting:
            state = waiting.pop()
            if state in states:
                continue
            states.add(state)
            test = self.tests[state]
            if test is None or (test == "start" and place == 0) or (test == "end" and place == len(module)):
                waiting.extend(self.following[state])
        return states


class _Parser:
    """Builds the states from the pattern's end to its beginning: each part is given what follows it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._depth = 0
        self.tests: list[_Test] = []
        self.following: list[list[int]] = []

    def build(self) -> int:
        """The first state; the last one is the match."""
        part = self._read_alternatives()
        if self._place != len(self._text):
            raise ValueError(self._text)
        end = self._state(None, [])
        first = part(end)
        # The match is the last state, and nothing else is.
        self.tests.append(None)
        self.following.append([])
        self.following[end].append(len(self.tests) - 1)
        return first

    def _state(self, test: _Test, following: list[int]) -> int:
        if len(self.tests) >= _MAX_STATES:
            raise ValueError(self._text)
        self.tests.append(test)
        self.following.append(following)
        return len(self.tests) - 1

    def _read_alternatives(self) -> Callable[[int], int]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(self._text)
        choices = [self._read_sequence()]
        while self._text.startswith("|", self._place):
            self._place += 1
            choices.append(self._read_sequence())
        self._depth -= 1
        return lambda then: self._state(None, [choice(then) for choice in choices])

    def _read_sequence(self) -> Callable[[int], int]:
        parts: list[Callable[[int], int]] = []
        while self._place < len(self._text) and self._text[self._place] not in "|)":
            parts.append(self._read_repeated())

        def build(then: int) -> int:
            for part in reversed(parts):
                then = part(then)
            return then

        return build

    def _read_repeated(self) -> Callable[[int], int]:
        character = self._text[self._place]
        if character in "^$":
            self._place += 1
            test: Literal["start", "end"] = "start" if character == "^" else "end"
            return lambda then: self._state(test, [then])
        part = self._read_group() if character == "(" else self._read_atom()
        match = _REPEAT.match(self._text, self._place)
        if match is None:
            return part
        self._place = match.end()
        low, high = self._limits(match)
        return lambda then: self._repeat(part, low, high, then)

    def _limits(self, match: re.Match[str]) -> tuple[int, int | None]:
        if self._place < len(self._text) and self._text[self._place] in "*+?{":
            raise ValueError(self._text)  # a repeated repeat, or a possessive one
        if match[0][0] in _LIMITS:
            return _LIMITS[match[0][0]]
        if match["low"] is None and match["high"] is None:
            raise ValueError(self._text)
        low = int(match["low"] or 0)
        high = (int(match["high"]) if match["high"] else None) if match["comma"] else low
        if high is not None and high < low:
            raise ValueError(self._text)
        return low, high

    def _repeat(self, part: Callable[[int], int], low: int, high: int | None, then: int) -> int:
        if high is None:
            again = self._state(None, [then])
            self.following[again].append(part(again))
            then = again
        else:
            for _ in range(high - low):
                then = self._state(None, [then, part(then)])
        for _ in range(low):
            then = part(then)
        return then

    def _read_group(self) -> Callable[[int], int]:
        self._place += 3 if self._text.startswith("(?:", self._place) else 1
        part = self._read_alternatives()  # of any other "(?" the question mark is no atom
        if not self._text.startswith(")", self._place):
            raise ValueError(self._text)
        self._place += 1
        return part

    def _read_atom(self) -> Callable[[int], int]:
        match = _ATOM.match(self._text, self._place)
        if match is None:
            raise ValueError(self._text)
        self._place = match.end()
        try:
            test = re.compile(match[0]).fullmatch
        except re.error as error:
            raise ValueError(self._text) from error
        return lambda then: self._state(test, [then])
