"""Ctrl-C, SIGTERM and a closing terminal as a call; the second one ends the program at once."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first signal while the block runs; main thread. It must return at once."""
    numbers = _numbers()
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        if before[number] is not signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping_native_loop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """As `stopping_on_signals`, while the main thread is in a loop that is not Python's.

    Python's own handler would only run when that loop next calls something; so a thread hears of the signal
    as well. `stop` may be called twice, and from that thread.
    """
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)

    def listen() -> None:
        with ours:
            while heard := ours.recv(1):
                if heard[0] in _numbers():
                    stop()

    threading.Thread(target=listen, name="signals", daemon=True).start()
    before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
    try:
        with stopping_on_signals(stop):
            yield
    finally:
        signal.set_wakeup_fd(before)
        pythons.close()  # ends the thread


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
