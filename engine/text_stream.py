"""From the bytes of generated tokens to text that can be shown: whole characters only, never a stop string.

Knows nothing about tokens or models. Whatever way the bytes are split, the text that comes out is the same.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Decodes UTF-8 piece by piece and holds back what may still become a stop string.

    Of several stop strings the one that is complete first ends the text, which is then cut before it. Bytes
    that can never become a character turn into U+FFFD; a character that is merely incomplete is waited for.
    """

    def __init__(self, stop_strings: Sequence[str] = ()) -> None:
        self._stop_strings = tuple(stop for stop in stop_strings if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._parts: list[str] = []
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; nothing comes out after it."""
        return self._stopped

    @property
    def text(self) -> str:
        """All text that came out so far."""
        return "".join(self._parts)

    def push(self, data: bytes) -> str:
        """Take the bytes of one token and return the text that is now certain, often none."""
        if self._stopped:
            return ""
        decoded = self._decoder.decode(data)
        return self._release(decoded) if decoded else ""

    def finish(self, *, cut: bool) -> str:
        """Return what was held back, now that no more bytes come.

        `cut`: the answer was broken off, so a character that is incomplete is dropped; otherwise the model
        itself left it incomplete, and it shows as U+FFFD.
        """
        if self._stopped:
            return ""
        released = "" if cut else self._release(self._decoder.decode(b"", final=True))
        if not self._stopped:
            released += self._held
            self._parts.append(self._held)
            self._held = ""
        return released

    def _release(self, decoded: str) -> str:
        held = self._held + decoded
        cut = self._first_stop(held)
        if cut is None:
            cut = len(held) - self._possible_stop_length(held)
        else:
            self._stopped = True
        released, self._held = held[:cut], "" if self._stopped else held[cut:]
        self._parts.append(released)
        return released

    def _first_stop(self, held: str) -> int | None:
        """Where the stop string that is complete first begins; a longer one wins if two end together."""
        starts = ((held.find(stop), stop) for stop in self._stop_strings)
        found = [(start + len(stop), start) for start, stop in starts if start >= 0]
        return min(found)[1] if found else None

    def _possible_stop_length(self, held: str) -> int:
        """Length of the longest end of `held` that begins a stop string."""
        longest = 0
        for stop in self._stop_strings:
            for length in range(min(len(stop) - 1, len(held)), longest, -1):
                if held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
