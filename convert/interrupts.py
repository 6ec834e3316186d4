"""SIGTERM and a closed terminal stop a command as Ctrl-C does: it cleans up, and its exit code says which."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")
_AGAIN_S = 0.01


class Stopped(KeyboardInterrupt):
    """Raised where Ctrl-C would raise KeyboardInterrupt; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise Stopped at the first of these signals, in the main thread; later ones leave the clean-up alone.

    What is ignored already stays so: nohup, or a shell's background job.
    """
    before = {number: signal.getsignal(number) for number in _numbers()}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def handle(number: int, _frame: FrameType | None) -> None:
        for other in heard:  # a closing terminal tells more than once
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    def lost(unraisable: UnraisableHookArgs) -> None:
        """Nothing leaves a finalizer or a callback of a weak reference: what fell there comes once more."""
        if not isinstance(unraisable.exc_value, Stopped):
            hook_before(unraisable)
            return
        number = unraisable.exc_value.number
        signal.signal(number, handle)
        threading.Timer(_AGAIN_S, _thread.interrupt_main, [number]).start()

    hook_before = sys.unraisablehook
    sys.unraisablehook = lost
    for number in heard:
        signal.signal(number, handle)
    try:
        yield
    except RuntimeError as error:
        # One that falls into a lock of the standard library comes out as "release unlocked lock".
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise
    finally:
        sys.unraisablehook = hook_before
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def held_back(tell: Callable[[Stopped], None]) -> Iterator[None]:
    """Inside stopping_on_signals: raise Stopped at the block's end, after `tell` was asked to end it.

    For blocks that run somebody else's event loop: what a signal raises inside one of its tasks may stay
    there. `tell` is called in the main thread, between any two instructions, and may raise its argument where
    no loop runs.
    """
    before = {number: signal.getsignal(number) for number in _numbers()}
    heard = [number for number, handler in before.items() if callable(handler)]
    told: list[Stopped] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        for other in heard:
            signal.signal(other, signal.SIG_IGN)
        told.append(Stopped(number))
        tell(told[0])

    for number in heard:
        signal.signal(number, handle)
    try:
        yield
    finally:
        if told:
            raise told[0]
        for number in heard:
            signal.signal(number, before[number])


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """128 and the signal's number, as shells have it: 130 after Ctrl-C."""
    number = interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT
    return 128 + number
