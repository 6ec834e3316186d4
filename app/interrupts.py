"""Ctrl-C while an answer is being written stops the answer, not the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interruption:
    """Whether Ctrl-C was pressed."""

    requested: bool = False


@contextmanager
def cancelling_on_interrupt(cancel: Callable[[], None]) -> Iterator[Interruption]:
    """Call `cancel` at the first Ctrl-C; should that not help, the second one raises KeyboardInterrupt.

    Signals reach the main thread only; in another one this changes nothing.
    """
    state = Interruption()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if state.requested:
            raise KeyboardInterrupt
        state.requested = True
        cancel()

    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, before)
