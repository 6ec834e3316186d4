"""From the bytes of generated tokens to text that can be shown: whole characters only, never a stop string.

Knows nothing about tokens or models. Whatever way the bytes are split, the text that comes out is the same.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from engine.turns import is_turn


class TextStream:
    """Decodes UTF-8 piece by piece and holds back what may still become a stop string.

    Of several stop strings the one that is complete first ends the text, which is then cut before it. Bytes
    that can never become a character turn into U+FFFD; a character that is merely incomplete is waited for.

    turns: strings that begin with a newline, and a turn of the person's, see `engine.turns`; the text is cut
    before such a turn, and held back until it is clear whether it is one. At the beginning of the text the
    newline may be missing. goes_on: this text continues one that was perhaps ended by such a string; if only
    white space precedes the first one now, it is text like any other.
    """

    def __init__(
        self, stop_strings: Sequence[str] = (), turns: Sequence[str] = (), *, goes_on: bool = False
    ) -> None:
        self._stop_strings = tuple(stop for stop in stop_strings if stop)
        self._turns = tuple(turns)
        self._first_line_turns = () if goes_on else tuple(turn.removeprefix("\n") for turn in turns)
        self._passes_next = goes_on
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._n_passed = 0  # characters held that are text whatever they spell
        self._held_turn: str | None = None  # what is held begins with it
        self._parts: list[str] = []
        self.stopped_by: str | None = None
        """The stop string or turn that was met."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; nothing comes out after it."""
        return self.stopped_by is not None

    @property
    def is_whole(self) -> bool:
        """Whether all that came in has come out: no half character, no beginning of a stop string."""
        return not self._held and not self._decoder.getstate()[0]

    @property
    def text(self) -> str:
        """All text that came out so far."""
        return "".join(self._parts)

    def push(self, data: bytes) -> str:
        """Take the bytes of one token and return the text that is now certain, often none."""
        if self.stopped:
            return ""
        decoded = self._decoder.decode(data)
        return self._release(decoded) if decoded else ""

    def finish(self, *, cut: bool) -> str:
        """Return what was held back, now that no more bytes come.

        `cut`: the answer was broken off, so a character that is incomplete is dropped, and so is what may be
        a turn; otherwise the model itself left it so, and it shows, unless nothing follows the turn's name.
        """
        if self.stopped:
            return ""
        released = "" if cut else self._release(self._decoder.decode(b"", final=True))
        if not self.stopped:
            name = self._held_turn
            is_dropped = name is not None and (cut or not self._held[len(name) :].strip())
            rest = "" if is_dropped else self._held
            released += rest
            self._parts.append(rest)
            self._held = ""
        return released

    def _release(self, decoded: str) -> str:
        held = self._held + decoded
        cut = self._cut(held)
        released, self._held = held[:cut], "" if self.stopped else held[cut:]
        self._n_passed = max(0, self._n_passed - cut)
        self._passes_next = self._passes_next and not released.strip()
        self._parts.append(released)
        return released

    def _cut(self, held: str) -> int:
        """How much of `held` is text for certain."""
        self._held_turn = None
        while True:
            stop, turn = self._first(held, self._stop_strings), self._first_turn(held)
            met = min((found for found in (stop, turn) if found is not None), default=None)
            if met is None:
                return max(len(held) - self._possible_stop_length(held), self._n_passed)
            end, start, name = met
            if self._passes_next and not held[:start].strip():
                self._passes_next = False
                self._n_passed = end
                continue
            verdict = True if met is stop else is_turn(held[end : stop[0] if stop else None])
            if verdict is False:
                self._n_passed = end
                continue
            if verdict is None and stop is None:
                self._held_turn = name
                return start
            _, cut, self.stopped_by = stop if verdict is None and stop else met
            return cut

    def _first(self, held: str, stops: Sequence[str]) -> tuple[int, int, str] | None:
        """End, start and string of the one that is complete first; a longer one wins if two end together."""
        starts = ((held.find(stop, self._n_passed), stop) for stop in stops)
        return min(((start + len(stop), start, stop) for start, stop in starts if start >= 0), default=None)

    def _first_turn(self, held: str) -> tuple[int, int, str] | None:
        for turn in self._first_line():
            if held.startswith(turn):
                return len(turn), 0, turn
        return self._first(held, self._turns)

    def _first_line(self) -> tuple[str, ...]:
        """Turns that need no newline here."""
        return () if self._n_passed or any(self._parts) else self._first_line_turns

    def _possible_stop_length(self, held: str) -> int:
        """Length of the longest end of `held` that begins a stop string."""
        if any(turn.startswith(held) for turn in self._first_line()):
            return len(held)
        longest = 0
        for stop in (*self._stop_strings, *self._turns):
            for length in range(min(len(stop) - 1, len(held)), longest, -1):
                if held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
