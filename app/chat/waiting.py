"""Questions that wait for the engine, in the order they came.

Only in memory: every question is in the history already, where it stays an unanswered one after a crash.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Request:
    """What to do: answer the question `message_id` (also once more), or continue the answer `message_id`."""

    kind: Literal["answer", "continue"]
    conversation_id: int
    message_id: int


class WaitingRequests:
    """First in, first out; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def add(self, request: Request, replacing: int | None = None) -> bool:
        """Append; False when the same is waiting already.

        replacing: the id of a message whose request, if it waits, has this one in its place.
        """
        with self._lock:
            if any(waiting.message_id == request.message_id for waiting in self._requests):
                return False
            for index, waiting in enumerate(self._requests):
                if waiting.message_id == replacing and waiting.kind == "answer":
                    self._requests[index] = request
                    return True
            self._requests.append(request)
            return True

    def take(self) -> Request | None:
        """Remove and return the first; None when there is none."""
        with self._lock:
            return self._requests.pop(0) if self._requests else None

    def remove(self, message_id: int) -> Request | None:
        """Remove and return the request for a message; None when it does not wait (any more)."""
        with self._lock:
            found = next((each for each in self._requests if each.message_id == message_id), None)
            if found is not None:
                self._requests.remove(found)
            return found

    def message_ids(self, conversation_id: int) -> tuple[int, ...]:
        """The messages of one conversation whose requests wait, first first."""
        with self._lock:
            return tuple(
                each.message_id for each in self._requests if each.conversation_id == conversation_id
            )

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._requests.clear()
