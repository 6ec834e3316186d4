"""When Enter sends: decided from how the text of a plain text field changed, not from the key itself.

An input method that confirms a candidate with Enter reports the key too, but inserts no newline; so exactly
one inserted newline is what a real Enter leaves behind. Shift is known from the page's key events, which come
before the change. Knows no controls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_KEY_IS_RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class Typed:
    """What became of a change. text: what the field is to hold. submitted: what is to be sent, or None."""

    text: str
    submitted: str | None = None


class EnterKey:
    """Follows one text field. Tell it of every key and every change of the field's text, in order.

    newline_without_key: a newline that no key event announced stays in the text (a phone's keyboard, where
    Return breaks the line and the button sends).
    """

    def __init__(
        self, *, newline_without_key: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._text = ""
        self._sent: str | None = None
        self._newline_without_key = newline_without_key
        self._now = now
        self._enter: tuple[float, bool] | None = None  # when, and whether a modifier was held

    @property
    def text(self) -> str:
        """The text as it was after the last change."""
        return self._text

    def set_text(self, text: str) -> None:
        """The text was replaced by the app itself."""
        self._text = text
        self._sent = None

    def on_key(self, key: str, *, shift: bool, other_modifier: bool = False) -> None:
        """A key went down."""
        if key in ("Enter", "Numpad Enter"):
            self._enter = (self._now(), shift or other_modifier)

    def on_change(self, text: str) -> Typed:
        """The person changed the text."""
        text = text.replace("\r\n", "\n")
        late = self._typed_behind_sent(text)
        if late is not None:
            self._text = late
            return Typed(late)
        before, self._text = self._text, text
        if not _is_one_newline(before, text) or self._keeps_newline():
            self._sent = None
            return Typed(text)
        self._text, self._sent = "", before
        return Typed("", submitted=before)

    def _typed_behind_sent(self, text: str) -> str | None:
        """What was typed after Enter, while the field had not been emptied yet."""
        if self._sent is None or not text.startswith(self._sent + "\n"):
            return None
        return text[len(self._sent) + 1 :]

    def _keeps_newline(self) -> bool:
        enter, self._enter = self._enter, None
        if enter is None or self._now() - enter[0] > _KEY_IS_RECENT_S:
            return self._newline_without_key
        return enter[1]


def _is_one_newline(before: str, after: str) -> bool:
    """Whether `after` is `before` with one newline in it, in place of a selection or of nothing."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    limit = min(len(before), len(after)) - start
    while end < limit and before[len(before) - 1 - end] == after[len(after) - 1 - end]:
        end += 1
    return after[start : len(after) - end] == "\n"
