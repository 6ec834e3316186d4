"""SIGTERM and a closed terminal stop a command as Ctrl-C does: it cleans up, and its exit code says which."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP", "SIGBREAK")


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
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def handle(number: int, _frame: FrameType | None) -> None:
        for other in heard:  # a closing terminal tells more than once
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

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
        for number in heard:
            signal.signal(number, before[number])


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """128 and the signal's number, as shells have it: 130 after Ctrl-C."""
    number = interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT
    return 128 + number
