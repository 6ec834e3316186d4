"""The settings of every connection, and transactions that are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.history.database
from app.history.database import Database
from app.history.errors import HistoryNotWritable
from app.history.store import HistoryStore


def test_commits_are_on_disk_and_keys_are_checked(
    history: HistoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(app.history.database.__file__).read_text(encoding="utf-8")
    assert '\nSYNCHRONOUS = "FULL"' in source
    monkeypatch.setattr("app.history.database.SYNCHRONOUS", "FULL")
    database = Database(folder / "history.sqlite3")
    with database.write() as writer, database.read() as reader:
        for connection in (writer, reader):
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert writer.execute("PRAGMA synchronous").fetchone()[0] == 2
    database.close()


def test_a_block_that_fails_changes_nothing(history: HistoryStore, folder: Path) -> None:
    database = Database(folder / "history.sqlite3")

    def fail() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO deletions (deleted_at) VALUES (1)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM deletions").fetchone()[0] == 0
    database.close()


def test_readers_cannot_write_and_see_one_moment(history: HistoryStore, folder: Path) -> None:
    database = Database(folder / "history.sqlite3")

    def write_as_reader() -> None:
        with database.read() as connection:
            connection.execute("INSERT INTO deletions (deleted_at) VALUES (1)")

    with pytest.raises(HistoryNotWritable):
        write_as_reader()
    with database.read() as connection:
        before = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
        history.conversations.create()
        assert connection.execute("SELECT count(*) FROM conversations").fetchone()[0] == before
    database.close()
