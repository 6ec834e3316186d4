"""Whether the newest text is followed, and when new text is brought to the screen. Knows no controls.

In a list that is anchored at its end, text that grows below moves what is read above it; so while a person
reads further up, new text is held back until they return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AT_END_PX = 48.0
FLUSH_INTERVAL_S = 0.06
_SLOWEST_FLUSH_S = 0.3
_CHARS_AT_FULL_SPEED = 2_000


class Following:
    """Where the person reads: at the end, or further up.

    is_at_end: the newest text is followed. has_news: something came while it was not.
    """

    def __init__(self) -> None:
        self.is_at_end = True
        self.has_news = False

    def on_scroll(self, distance_px: float) -> bool:
        """The list was scrolled to this distance from its end; returns whether `is_at_end` changed."""
        was_at_end = self.is_at_end
        self.is_at_end = distance_px <= AT_END_PX
        if self.is_at_end:
            self.has_news = False
        return was_at_end != self.is_at_end

    def on_news(self) -> bool:
        """Something is new below; returns whether that is to be shown as news (the first time)."""
        if self.is_at_end or self.has_news:
            return False
        self.has_news = True
        return True

    def return_to_end(self) -> None:
        """The person chose the newest text."""
        self.is_at_end, self.has_news = True, False


class Coalescer:
    """Calls `flush` soon after `touch`, at most once an interval; the first time at once.

    interval_s: asked before each wait, so that it may depend on what one flush costs. To be used on one
    event loop.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        interval_s: Callable[[], float],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._flush = flush
        self._interval_s = interval_s
        self._loop = loop or asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")

    def touch(self) -> None:
        """There is something new."""
        if self._timer is not None:
            return
        wait_s = self._last + self._interval_s() - self._loop.time()
        if wait_s <= 0:
            self.flush()
        else:
            self._timer = self._loop.call_later(wait_s, self.flush)

    def flush(self) -> None:
        """Flush now."""
        self.cancel()
        self._last = self._loop.time()
        self._flush()

    def cancel(self) -> None:
        """Forget a flush that is waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def flush_interval_s(n_chars: int) -> float:
    """How long to gather text when one update resends `n_chars`: a huge code block is sent less often."""
    return min(_SLOWEST_FLUSH_S, FLUSH_INTERVAL_S * max(1.0, n_chars / _CHARS_AT_FULL_SPEED))
