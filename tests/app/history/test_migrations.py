"""Databases of every earlier version open; newer ones are refused and left as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.history.errors import HistoryTooNew
from app.history.migrations import migrate, version_of
from app.history.records import Origin, Overrides, Status
from app.history.schema import MIGRATIONS
from app.history.store import HistoryStore
from engine.types import Sampling, TokenIds

# What each version's app wrote, spelled out: never built from today's schema. A new version adds an entry.
VERSION_1 = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1111837772;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '',
    title_is_own INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0, folder TEXT, draft TEXT NOT NULL DEFAULT '',
    overrides TEXT NOT NULL DEFAULT '{}', trashed_at INTEGER) STRICT;
CREATE INDEX conversations_listed ON conversations (pinned, updated_at, id) WHERE trashed_at IS NULL;
CREATE INDEX conversations_trashed ON conversations (trashed_at) WHERE trashed_at IS NOT NULL;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
    role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')), text TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'unfinished', 'stopped', 'length')),
    created_at INTEGER NOT NULL, choice INTEGER NOT NULL, vocabulary TEXT, token_ids BLOB, statistics TEXT,
    origin TEXT, deletion INTEGER REFERENCES deletions (id)) STRICT;
CREATE INDEX messages_of_conversation ON messages (conversation_id, parent_id, choice, deletion);
CREATE INDEX messages_of_parent ON messages (parent_id);
CREATE INDEX messages_interrupted ON messages (status) WHERE status IN ('streaming', 'unfinished');
CREATE INDEX messages_deleted ON messages (deletion) WHERE deletion IS NOT NULL;
CREATE TABLE deletions (id INTEGER PRIMARY KEY AUTOINCREMENT, deleted_at INTEGER NOT NULL) STRICT;
CREATE TABLE answer_tails (
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (message_id, number)) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE message_index USING fts5(body, content='', tokenize='ascii', prefix='1');
CREATE VIRTUAL TABLE title_index USING fts5(body, content='', tokenize='ascii', prefix='1');
INSERT INTO meta VALUES ('index_rules', '1/14.0.0');
INSERT INTO conversations VALUES (1, 'c1', '鹦鹉', 1, 1700000000000, 1700000000500, 1, '动物', '草稿',
    '{"persona":"teacher","system":"简短","model":null,"sampling":null}', NULL);
INSERT INTO messages VALUES (1, 'm1', 1, NULL, 'user', '鹦鹉会说话吗？', 'complete', 1700000000100, 1,
    NULL, NULL, NULL, NULL, NULL);
INSERT INTO messages VALUES (2, 'm2', 1, 1, 'assistant', '会。', 'complete', 1700000000200, 3,
    'f00d', x'0301000090d003', '{"prompt_tokens":"of another form"}',
    '{"model":"BELLE-7B","sampling":{"temperature":0.5}}', NULL);
INSERT INTO messages VALUES (3, 'm3', 1, 1, 'assistant', '不会', 'stopped', 1700000000300, 2,
    NULL, NULL, NULL, NULL, NULL);
INSERT INTO messages VALUES (4, 'm4', 1, 2, 'user', '怎么', 'complete', 1700000000400, 1,
    NULL, NULL, NULL, NULL, NULL);
INSERT INTO messages VALUES (5, 'm5', 1, 4, 'assistant', '', 'streaming', 1700000000500, 1,
    NULL, NULL, NULL, '{"model":"BELLE-7B"}', NULL);
INSERT INTO answer_tails VALUES (5, 0, '它们'), (5, 1, '模仿');
INSERT INTO message_index (rowid, body) VALUES
    (1, '鹦鹉 鹉会 会说 说话 话吗 吗'), (2, '会'), (3, '不会 会'), (4, '怎么 么');
INSERT INTO title_index (rowid, body) VALUES (1, '鹦鹉 鹉');
"""

VERSION_2 = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1111837772;
PRAGMA user_version = 2;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '',
    title_is_own INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0, folder TEXT, draft TEXT NOT NULL DEFAULT '',
    overrides TEXT NOT NULL DEFAULT '{}', trashed_at INTEGER) STRICT;
CREATE INDEX conversations_listed ON conversations (pinned, updated_at, id) WHERE trashed_at IS NULL;
CREATE INDEX conversations_trashed ON conversations (trashed_at) WHERE trashed_at IS NOT NULL;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
    role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')), text TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'unfinished', 'stopped', 'length')),
    created_at INTEGER NOT NULL, choice INTEGER NOT NULL, vocabulary TEXT, token_ids BLOB, statistics TEXT,
    origin TEXT, deletion INTEGER REFERENCES deletions (id), thought TEXT NOT NULL DEFAULT '',
    thought_s REAL NOT NULL DEFAULT 0) STRICT;
CREATE INDEX messages_of_conversation ON messages (conversation_id, parent_id, choice, deletion);
CREATE INDEX messages_of_parent ON messages (parent_id);
CREATE INDEX messages_interrupted ON messages (status) WHERE status IN ('streaming', 'unfinished');
CREATE INDEX messages_deleted ON messages (deletion) WHERE deletion IS NOT NULL;
CREATE TABLE deletions (id INTEGER PRIMARY KEY AUTOINCREMENT, deleted_at INTEGER NOT NULL) STRICT;
CREATE TABLE answer_tails (
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    text TEXT NOT NULL, thought TEXT NOT NULL DEFAULT '', PRIMARY KEY (message_id, number)) STRICT,
    WITHOUT ROWID;
CREATE VIRTUAL TABLE message_index USING fts5(body, content='', tokenize='ascii', prefix='1');
CREATE VIRTUAL TABLE title_index USING fts5(body, content='', tokenize='ascii', prefix='1');
CREATE VIRTUAL TABLE thought_index USING fts5(body, content='', tokenize='ascii', prefix='1');
INSERT INTO meta VALUES ('index_rules', '1/14.0.0');
INSERT INTO conversations VALUES (1, 'c1', '鹦鹉', 1, 1700000000000, 1700000000500, 1, '动物', '草稿',
    '{"persona":"teacher","system":"简短","model":null,"sampling":null,
    "thinking":"off","thought_budget":512}', NULL);
INSERT INTO messages VALUES (1, 'm1', 1, NULL, 'user', '鹦鹉会说话吗？', 'complete', 1700000000100, 1,
    NULL, NULL, NULL, NULL, NULL, '', 0);
INSERT INTO messages VALUES (2, 'm2', 1, 1, 'assistant', '会。', 'complete', 1700000000200, 3,
    'f00d', x'0301000090d003', '{"prompt_tokens":"of another form"}',
    '{"model":"BELLE-7B","sampling":{"temperature":0.5}}', NULL, '想一想', 1.5);
INSERT INTO messages VALUES (3, 'm3', 1, 1, 'assistant', '不会', 'stopped', 1700000000300, 2,
    NULL, NULL, NULL, NULL, NULL, '', 0);
INSERT INTO messages VALUES (4, 'm4', 1, 2, 'user', '怎么', 'complete', 1700000000400, 1,
    NULL, NULL, NULL, NULL, NULL, '', 0);
INSERT INTO messages VALUES (5, 'm5', 1, 4, 'assistant', '', 'streaming', 1700000000500, 1,
    NULL, NULL, NULL, '{"model":"BELLE-7B"}', NULL, '', 0);
INSERT INTO answer_tails VALUES (5, 0, '', '声带'), (5, 1, '它们', '？'), (5, 2, '模仿', '');
INSERT INTO message_index (rowid, body) VALUES
    (1, '鹦鹉 鹉会 会说 说话 话吗 吗'), (2, '会'), (3, '不会 会'), (4, '怎么 么');
INSERT INTO thought_index (rowid, body) VALUES (2, '想一 一想 想');
INSERT INTO title_index (rowid, body) VALUES (1, '鹦鹉 鹉');
"""

EVERY_VERSION = {1: VERSION_1, 2: VERSION_2}


def _write(folder: Path, script: str) -> Path:
    folder.mkdir()
    path = folder / "history.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def test_every_version_has_an_example_here() -> None:
    assert list(EVERY_VERSION) == list(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_database_of_this_version_opens_with_all_that_is_in_it(folder: Path, version: int) -> None:
    _write(folder, EVERY_VERSION[version])
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "opened"
        assert history.report.migrated_from == (version if version < len(MIGRATIONS) else None)
        assert len(history.backups.all()) == 1
        (conversation,) = history.conversations.page().conversations
        assert (conversation.title, conversation.folder, conversation.draft) == ("鹦鹉", "动物", "草稿")
        assert replace(conversation.overrides, thinking=None, thought_budget=None) == Overrides(
            persona="teacher", system="简短"
        )
        path = history.messages.path(1)
        assert [entry.message.text for entry in path] == ["鹦鹉会说话吗？", "会。", "怎么", "它们模仿"]
        answer = path[1].message
        assert path[1].sibling_ids == (2, 3)
        assert answer.tokens == TokenIds("f00d", (1, 250_000))
        assert answer.origin == Origin("BELLE-7B", sampling=Sampling(temperature=0.5))
        assert answer.statistics is None
        assert path[3].message.status is Status.UNFINISHED
        for query, n_hits in (("鹦鹉", 2), ("会", 3), ("模仿", 1), ("们模", 1)):
            assert len(history.search.find(query)) == n_hits, query
        history.conversations.purge(1)
        assert history.search.find("鹦鹉") == ()


def test_messages_from_before_thoughts_have_none(folder: Path) -> None:
    _write(folder, VERSION_1)
    with HistoryStore.open(folder) as history:
        messages = [history.messages.get(number) for number in range(1, 6)]
        assert {(message.thought, message.thought_s) for message in messages} == {("", 0.0)}
        assert history.conversations.get(1).overrides.thinking is None
        writer = history.answers.begin(4)
        writer.append_thought("鹦鹉的声带")
        writer.finish(Status.COMPLETE, text="用鸣管。")
        assert [hit.message_id for hit in history.search.thoughts("声带")] == [writer.message_id]


def test_thoughts_of_version_2_are_kept_found_and_recovered(folder: Path) -> None:
    _write(folder, VERSION_2)
    with HistoryStore.open(folder) as history:
        answer, unfinished = history.messages.get(2), history.messages.get(5)
        assert (answer.thought, answer.thought_s) == ("想一想", 1.5)
        assert (unfinished.text, unfinished.thought) == ("它们模仿", "声带？")
        overrides = history.conversations.get(1).overrides
        assert (overrides.thinking, overrides.thought_budget) == ("off", 512)
        assert [hit.message_id for hit in history.search.thoughts("想")] == [2]
        assert [hit.message_id for hit in history.search.thoughts("声带")] == [5]


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_migrated_database_has_the_tables_of_a_new_one(folder: Path, tmp_path: Path, version: int) -> None:
    def tables(path: Path) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {(name, "".join(sql.split())) for name, sql in rows}

    old = _write(folder, EVERY_VERSION[version])
    HistoryStore.open(folder).close()
    HistoryStore.open(tmp_path / "new").close()

    assert tables(old) == tables(tmp_path / "new" / "history.sqlite3")


def test_a_newer_database_is_refused_and_left_as_it_is(folder: Path) -> None:
    path = _write(folder, VERSION_1 + "PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);")
    before = path.read_bytes()
    with pytest.raises(HistoryTooNew) as caught:
        HistoryStore.open(folder)

    assert (caught.value.found_version, caught.value.known_version) == (99, len(MIGRATIONS))
    assert path.read_bytes() == before
    assert not (folder / "backups").exists()
    with pytest.raises(HistoryTooNew):  # and the lock was given back
        HistoryStore.open(folder)


def test_migrations_run_in_order_and_only_once(tmp_path: Path) -> None:
    steps = (("CREATE TABLE a (x)",), ("ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)"))
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        assert migrate(connection, tmp_path / "db", steps[:1]) == 0
        assert migrate(connection, tmp_path / "db", steps) == 1
        assert migrate(connection, tmp_path / "db", steps) == 2
        assert connection.execute("SELECT * FROM a").fetchall() == [(1, 2)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    steps = (("CREATE TABLE a (x)",), ("CREATE TABLE b (x)", "nonsense"))
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, tmp_path / "db", steps)
        assert version_of(connection) == 1
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
