"""What stops a command, wherever it falls."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from convert.interrupts import Stopped, exit_code, held_back, stopping_on_signals


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


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_that_falls_into_a_finalizer_comes_again() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        Finalized()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.01)

    with pytest.raises(Stopped) as stopped, stopping_on_signals():
        work()

    assert stopped.value.number == signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_what_else_fails_in_a_finalizer_is_told_as_ever() -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        with stopping_on_signals():
            Failing()
    finally:
        sys.unraisablehook = before

    assert len(told) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_block_that_holds_signals_back_ends_and_then_raises() -> None:
    told: list[Stopped] = []

    def work() -> None:
        with held_back(told.append):
            signal.raise_signal(signal.SIGTERM)
            assert told
        pytest.fail("the block's end raises")

    with pytest.raises(Stopped) as stopped, stopping_on_signals():
        work()

    assert stopped.value is told[0]
