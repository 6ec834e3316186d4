"""Ending an evaluation from within: what the native abort callback asks, and cancellation from other threads.

Knows neither models nor conversations.
"""

from __future__ import annotations

from collections.abc import Generator


class Cancellation:
    """A flag that any thread may set; it stays set."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """End what this belongs to as soon as possible."""
        self.requested = True


class AbortPoll:
    """The callable behind llama.cpp's abort callback.

    ctypes swallows an exception that is raised inside a callback, so a Ctrl-C that Python happens to
    deliver there would be lost. A function may be interrupted before its first `try`; a generator that is
    resumed at a `yield` within a `try` may not. Hence the generator: it keeps the exception and has the
    evaluation end.
    """

    def __init__(self, cancellation: Cancellation) -> None:
        self._cancellation = cancellation
        self._interrupt: BaseException | None = None
        answers = self._answers()
        next(answers)
        self.poll = answers.send
        """Takes the callback's user data (NULL, hence None) and returns whether to abort."""

    def raise_interrupt(self) -> None:
        """Raise what interrupted the evaluation, if anything did."""
        if self._interrupt is not None:
            interrupt, self._interrupt = self._interrupt, None
            raise interrupt

    def _answers(self) -> Generator[bool, None, None]:
        while True:
            try:
                while True:
                    yield self._cancellation.requested or self._interrupt is not None
            except GeneratorExit:
                return
            except BaseException as error:  # kept, and raised again by raise_interrupt
                self._interrupt = error
