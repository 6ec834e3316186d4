"""Waiting for a hub that ends at once when a person cancels, however long the answer takes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")
_LOOK_S = 0.1


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
