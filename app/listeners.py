"""Telling whoever listens, from any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Event = TypeVar("_Event")
_log = logging.getLogger(__name__)


class Listeners(Generic[_Event]):
    """Functions that are called with every event, on the thread that tells it; no lock is held meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[Callable[[_Event], None], ...] = ()

    def add(self, listener: Callable[[_Event], None]) -> Callable[[], None]:
        """Call `listener` with every event, until the returned function is called."""
        with self._lock:
            self._all = (*self._all, listener)

        def remove() -> None:
            with self._lock:
                self._all = tuple(each for each in self._all if each is not listener)

        return remove

    def tell(self, event: _Event) -> None:
        """Call all of them."""
        for listener in self._all:
            try:
                listener(event)
            except RuntimeError:  # the event loop of a page that is being closed
                _log.info("a listener could not take an event", exc_info=True)
