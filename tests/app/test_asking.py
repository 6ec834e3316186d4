"""Questions that may be given up: the answer, the error, and nothing when nobody waits any more."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from app.models.asking import ask


def test_the_answer_comes_back_and_so_does_the_error() -> None:
    assert ask(lambda: 7, lambda: False) == 7
    for error in (ValueError("x"), TimeoutError("its own")):

        def fail(error: Exception = error) -> int:
            raise error

        with pytest.raises(type(error), match=str(error)):
            ask(fail, lambda: False)


def test_a_question_without_an_answer_is_given_up() -> None:
    answered, asked = threading.Event(), threading.Event()

    def wait() -> bool:
        asked.set()
        return answered.wait()

    assert ask(wait, asked.is_set) is None
    assert not answered.is_set()
    answered.set()


def test_an_answer_that_comes_just_as_its_turn_to_wait_ends_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class LateAnswer(Future[int]):
        """One that is not there until somebody has waited in vain."""

        def result(self, timeout: float | None = None) -> int:
            if timeout is None:
                return super().result(5)
            super().result(5)
            raise TimeoutError

    monkeypatch.setattr("app.models.asking.Future", LateAnswer)
    assert ask(lambda: 7, lambda: False) == 7
