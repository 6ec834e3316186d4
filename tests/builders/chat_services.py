"""What tests of the chat service share: a listener that waits for events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.chat.events import ChatEvent
from app.chat.service import ChatService
from engine.backend import Backend

MakeService = Callable[[Callable[[], Backend]], ChatService]


class Recorder:
    """Keeps events; `wait` blocks until a condition holds after one of them."""

    def __init__(self, service: ChatService) -> None:
        self.events: list[ChatEvent] = []
        self._changed = threading.Condition()
        service.subscribe(self._take)

    def _take(self, event: ChatEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, condition: Callable[[], object], timeout_s: float = 20) -> None:
        """Raise TimeoutError if `condition` does not hold in time."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                if time.monotonic() > end:
                    raise TimeoutError([str(event)[:80] for event in self.events[-20:]])
                self._changed.wait(0.05)

    def of(self, kind: type[ChatEvent]) -> list[ChatEvent]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
