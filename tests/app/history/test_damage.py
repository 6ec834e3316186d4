"""Damaged files: set aside, never deleted, and the newest sound backup in their place."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.history.errors import HistoryError
from app.history.store import HistoryStore

NAME = "history.sqlite3"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred kilobytes of history, of which the last message is not in the backup."""
    folder = tmp_path_factory.mktemp("filled") / "历史"
    with HistoryStore.open(folder) as history:
        conversation = history.conversations.create()
        for number in range(40):
            history.messages.ask(conversation.id, f"第{number}个问题 " + "长" * 800)
        history.backups.make()
        history.messages.ask(conversation.id, "最后")
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy of that history to damage."""
    return Path(shutil.copytree(filled, tmp_path / "对话 #1 %20?"))


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def _other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")


def _old_empty_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")


def _without_messages(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DROP TABLE messages")


def _without_thought_index(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE thought_index")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"this is not a database\n" * 1000),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:50_000]),
    "truncated in the header": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "header": lambda path: _overwrite(path, 0, b"\0" * 100),
    "schema page": lambda path: _overwrite(path, 100, b"\xff" * 3000),
    "pages": lambda path: _overwrite(path, 8192, b"\xaa" * 40_000),
    "another database": _other_database,
    "no version": _old_empty_version,
    "a table is missing": _without_messages,
    "a table of the newest version is missing": _without_thought_index,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_newest_backup_takes_the_place_of_a_damaged_file(
    folder: Path, damage: Callable[[Path], object]
) -> None:
    damage(folder / NAME)
    broken = (folder / NAME).read_bytes()
    with HistoryStore.open(folder) as history:
        report = history.report
        assert report.outcome == "restored"
        assert report.detail
        assert report.backup in history.backups.all()
        assert report.damaged_path is not None
        assert report.damaged_path.name.startswith("history-damaged-")
        assert report.damaged_path.read_bytes() == broken
        assert history.conversations.counts().messages == 40
        assert len(history.search.messages("第39个")) == 1
        history.messages.ask(history.conversations.create().id, "weiter")
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "opened"
        assert history.conversations.counts().messages == 41


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_without_a_backup_an_empty_history_is_begun(folder: Path, damage: Callable[[Path], object]) -> None:
    shutil.rmtree(folder / "backups")
    damage(folder / NAME)
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "started_empty"
        assert history.report.damaged_path is not None
        assert history.report.damaged_path.exists()
        assert history.conversations.counts().messages == 0


def test_damaged_backups_are_passed_over(folder: Path) -> None:
    (sound,) = (folder / "backups").iterdir()
    for name in ("history-20990101-000000Z.sqlite3", "history-20980101-000000Z.sqlite3"):
        shutil.copyfile(sound, folder / "backups" / name)
        _overwrite(folder / "backups" / name, 8192, b"\xaa" * 40_000)
    (folder / NAME).write_bytes(b"")
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "restored"
        assert history.report.backup is not None
        assert history.report.backup.path == sound
        assert history.conversations.counts().messages == 40


def test_a_backup_that_does_not_open_is_passed_over(folder: Path) -> None:
    (sound,) = (folder / "backups").iterdir()
    newer = folder / "backups" / "history-20990101-000000Z.sqlite3"
    shutil.copyfile(sound, newer)
    with closing(sqlite3.connect(newer, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE messages RENAME COLUMN deletion TO gone")
    (folder / NAME).write_bytes(b"broken")
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "restored"
        assert history.report.backup is not None
        assert history.report.backup.path == sound
        assert history.report.damaged_path is not None
        assert history.report.damaged_path.read_bytes() == b"broken"
    assert len(list(folder.glob("history-damaged-*.sqlite3"))) == 2


def test_a_lost_file_comes_back_from_the_backup(folder: Path) -> None:
    (folder / NAME).unlink()
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "restored"
        assert history.report.damaged_path is None
        assert history.conversations.counts().messages == 40


def test_the_log_of_a_damaged_file_goes_along(folder: Path) -> None:
    (folder / NAME).write_bytes(b"broken")
    (folder / f"{NAME}-wal").write_bytes(b"log")
    with HistoryStore.open(folder) as history:
        damaged = history.report.damaged_path
        assert damaged is not None
        assert Path(f"{damaged}-wal").read_bytes() == b"log"
        assert history.conversations.counts().messages == 40


def test_two_damages_in_one_second_keep_both_files(folder: Path) -> None:
    paths = set()
    for _ in range(3):
        (folder / NAME).write_bytes(b"broken")
        with HistoryStore.open(folder) as history:
            paths.add(history.report.damaged_path)

    assert len(paths) == 3
    assert all(path is not None and path.read_bytes() == b"broken" for path in paths)


def test_a_damaged_search_index_is_rebuilt_and_nothing_else_lost(folder: Path) -> None:
    with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE message_index_data SET block = x'00ff00ff' WHERE id > 10")
        connection.execute("UPDATE messages SET status = 'streaming' WHERE id = 41")
    with HistoryStore.open(folder) as history:
        history.rebuild_index()
        assert history.report.outcome == "opened"
        assert history.conversations.counts().messages == 41
        assert len(history.search.messages("最后")) == 1


def test_a_check_that_runs_out_of_time_is_said(folder: Path) -> None:
    with HistoryStore.open(folder, check_limit_s=-1.0) as history:
        assert history.report.outcome == "opened"
        assert not history.report.fully_checked


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bits_never_end_in_another_error(folder: Path, seed: int) -> None:
    source = random.Random(seed)
    data = bytearray((folder / NAME).read_bytes())
    for _ in range(source.choice([1, 3, 30, 300])):
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    (folder / NAME).write_bytes(data)
    with HistoryStore.open(folder) as history:
        try:
            for conversation in history.conversations.page().conversations:
                history.messages.path(conversation.id)
            history.search.find("第")
            history.messages.ask(history.conversations.create().id, "neu")
        except HistoryError:
            return
        assert history.conversations.counts().messages >= 1
