"""Daily backups: when they are made, how many stay, and that they are whole."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from app.history.backup import BACKUPS_KEPT, list_backups
from app.history.errors import BackupFailed
from app.history.store import HistoryStore


class Clock(Protocol):
    """The `clock` fixture."""

    def __call__(self) -> int: ...

    def advance(self, n_days: float) -> None: ...


def _ask(history: HistoryStore, text: str) -> None:
    history.messages.ask(history.conversations.create().id, text)


def _titles(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT title FROM conversations ORDER BY id")]


def test_a_backup_is_made_once_a_day(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        assert history.backups.all() == ()
        _ask(history, "第一天")
    assert len(list_backups(folder / "backups")) == 1
    for _ in range(2):
        with HistoryStore.open(folder, now_ms=clock) as history:
            assert history.backups.make_if_due() is None
    clock.advance(1.1)
    with HistoryStore.open(folder, now_ms=clock) as history:
        assert len(history.backups.all()) == 2
        _ask(history, "第二天")
        clock.advance(1.1)
        made = history.backups.make_if_due()
        assert made is not None
        assert _titles(made.path) == ["第一天", "第二天"]


def test_ten_backups_are_kept_and_other_files_left_alone(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        (folder / "backups").mkdir()
        for name in ("history-20200101-000000Z.sqlite3.txt", "my copy.sqlite3"):
            (folder / "backups" / name).write_text("mine")
        made = []
        for _ in range(BACKUPS_KEPT + 3):
            clock.advance(1)
            made.append(history.backups.make())

        assert history.backups.all() == tuple(made[::-1][:BACKUPS_KEPT])
        assert len(list((folder / "backups").iterdir())) == BACKUPS_KEPT + 2


def test_a_backup_from_the_future_does_not_stop_new_ones(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        clock.advance(400)
        history.backups.make()
        clock.advance(-400)
        assert history.backups.make_if_due() is not None


def test_a_backup_is_one_private_file(history: HistoryStore, folder: Path) -> None:
    _ask(history, "x")
    backup = history.backups.make()

    assert [path.name for path in (folder / "backups").iterdir()] == [backup.path.name]
    if os.name == "posix":
        assert backup.path.stat().st_mode & 0o077 == 0
        assert (folder / "history.sqlite3").stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(backup.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_writing_goes_on_during_a_backup(history: HistoryStore) -> None:
    _ask(history, "before")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            _ask(history, "during")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        backups = [history.backups.make() for _ in range(3)]
    finally:
        stop.set()
        thread.join()

    for backup in backups:
        assert _titles(backup.path)[0] == "before"


def test_a_backup_that_cannot_be_made_is_said_and_leaves_nothing(history: HistoryStore, folder: Path) -> None:
    (folder / "backups").write_text("a file is in the way")
    with pytest.raises(BackupFailed):
        history.backups.make()

    _ask(history, "the history works all the same")
    assert (folder / "backups").read_text() == "a file is in the way"


def test_opening_goes_on_without_a_backup(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        (folder / "backups").write_text("a file is in the way")
        _ask(history, "x")
    with HistoryStore.open(folder, now_ms=clock) as history:
        assert history.report.backup_failure
        assert history.conversations.counts().messages == 1
