"""A history in a folder with a Chinese name, and a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.history.store import HistoryStore

DAY_MS = 24 * 60 * 60 * 1000


@dataclass
class Clock:
    """Milliseconds since 1970; every look at it is one later, so that nothing happens at the same time."""

    now: int = 1_700_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def advance(self, n_days: float) -> None:
        """Let days go by."""
        self.now += int(n_days * DAY_MS)


@pytest.fixture(autouse=True, scope="package")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Only a power cut needs what `synchronous` and fsync do, and no test cuts the power.

    Processes of their own, as in test_kill, have the real settings; test_database checks what those are.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.history.database.SYNCHRONOUS", "OFF")
        yield


@pytest.fixture
def clock() -> Clock:
    """The clock of `history`."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the history is; not made yet."""
    return tmp_path / "对话 #1 %20?"


@pytest.fixture
def history(folder: Path, clock: Clock) -> Iterator[HistoryStore]:
    """An empty history."""
    with HistoryStore.open(folder, now_ms=clock) as store:
        yield store
