"""From the bytes of generated tokens to text that can be shown: whole characters only, never a stop string.

Knows nothing about tokens or models. Whatever way the bytes are split, the text that comes out is the same.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Decodes UTF-8 piece by piece and holds back what may still become a stop string.

    Of several stop strings the one that is complete first ends the text, which is then cut before it; those
    of `leading` end it only at its very beginning. Bytes that can never become a character turn into U+FFFD;
    a character that is merely incomplete is waited for. `passes_first`: a stop string that only white space
    precedes is text like any other; whoever goes on with a text that it ended gets beyond it so.
    """

    def __init__(
        self, stop_strings: Sequence[str] = (), leading: Sequence[str] = (), *, passes_first: bool = False
    ) -> None:
        self._stop_strings = tuple(stop for stop in stop_strings if stop)
        self._leading = tuple(leading)
        self._passes_first = passes_first
        self._n_passed = 0  # characters held that are text whatever they spell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._parts: list[str] = []
        self._is_blank = True  # all that came out so far
        self.stopped_by: str | None = None
        """The stop string that was met."""

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

        `cut`: the answer was broken off, so a character that is incomplete is dropped; otherwise the model
        itself left it incomplete, and it shows as U+FFFD.
        """
        if self.stopped:
            return ""
        released = "" if cut else self._release(self._decoder.decode(b"", final=True))
        if not self.stopped:
            released += self._held
            self._parts.append(self._held)
            self._held = ""
        return released

    def _release(self, decoded: str) -> str:
        held = self._held + decoded
        found = self._first_stop(held)
        if found is not None and self._passes_first and self._is_blank and not held[: found[0]].strip():
            self._passes_first = False
            self._n_passed = found[0] + len(found[1])
            found = self._first_stop(held)
        if found is None:
            cut = max(len(held) - self._possible_stop_length(held), self._n_passed)
        else:
            cut, self.stopped_by = found
        released, self._held = held[:cut], "" if self.stopped else held[cut:]
        self._n_passed = 0
        self._is_blank = self._is_blank and not released.strip()
        self._parts.append(released)
        return released

    def _first_stop(self, held: str) -> tuple[int, str] | None:
        """Where the stop string that is complete first begins; a longer one wins if two end together."""
        starts = [(held.find(stop, self._n_passed), stop) for stop in self._stop_strings]
        starts += [(0, stop) for stop in self._leading_now() if held.startswith(stop)]
        found = [(start + len(stop), start, stop) for start, stop in starts if start >= 0]
        return min(found)[1:] if found else None

    def _leading_now(self) -> tuple[str, ...]:
        return self._leading if not any(self._parts) and not self._n_passed else ()

    def _possible_stop_length(self, held: str) -> int:
        """Length of the longest end of `held` that begins a stop string."""
        if any(stop.startswith(held) for stop in self._leading_now()):
            return len(held)
        longest = 0
        for stop in self._stop_strings:
            for length in range(min(len(stop) - 1, len(held)), longest, -1):
                if held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
