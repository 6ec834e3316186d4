"""Waiting for a hub that ends at once when a person cancels, however long the answer takes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import Self, TypeVar

_T = TypeVar("_T")
_LOOK_S = 0.1
_WATCH_S = 0.2


def ask(question: Callable[[], _T], is_cancelled: Callable[[], bool]) -> _T | None:
    """The answer, None when cancelled; raises what the question raises.

    A question that was given up ends by itself, on a thread that keeps nothing from ending.
    """
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(question())
        except BaseException as error:  # raised again where it was asked
            answer.set_exception(error)

    Thread(target=run, name="ask", daemon=True).start()
    while not is_cancelled():
        try:
            return answer.result(_LOOK_S)
        except TimeoutError:
            if answer.done():  # just now, or the question's own
                return answer.result()
    return None


class CancelWatch:
    """Calls `stop` once `is_cancelled` says so, while another thread waits for bytes."""

    def __init__(self, is_cancelled: Callable[[], bool], stop: Callable[[], None]) -> None:
        self.has_fired = False
        self._is_cancelled = is_cancelled
        self._stop = stop
        self._ended = Event()
        self._thread = Thread(target=self._run, name="cancel-watch", daemon=True)

    def _run(self) -> None:
        while not self._ended.wait(_WATCH_S):
            if self._is_cancelled():
                self.has_fired = True
                self._stop()
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self._thread.join()
