"""What stops a command, wherever it falls."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from convert.interrupts import Stopped, exit_code, stopping_on_signals


@contextmanager
def broken_lock() -> Iterator[None]:
    """As `threading.Condition` leaves it when an interrupt falls between its own lines."""
    lock = threading.Lock()
    with lock:
        try:
            yield
        finally:
            lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_inside_a_lock_stops_the_command_too() -> None:
    with pytest.raises(Stopped) as stopped, stopping_on_signals(), broken_lock():
        signal.raise_signal(signal.SIGTERM)
    assert exit_code(stopped.value) == 128 + signal.SIGTERM

    with pytest.raises(KeyboardInterrupt) as interrupt, stopping_on_signals(), broken_lock():
        raise KeyboardInterrupt
    assert exit_code(interrupt.value) == 130


def test_any_other_error_of_a_lock_stays_one() -> None:
    with pytest.raises(RuntimeError, match="release unlocked lock"), stopping_on_signals(), broken_lock():
        pass
