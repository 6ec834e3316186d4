"""The tables of every schema version, as the statements that lead from one version to the next.

A migration that was released is never edited: databases out there have run it. Knows SQL, and no Python of
the store.

Version 1:

meta               key/value facts about the file itself (which tokenizer filled the index)
conversations      one row each; `overrides` is JSON of records.Overrides
messages           a tree per conversation through `parent_id`; siblings are alternatives, and the one of the
                   highest `choice` is shown; `deletion` marks what was deleted together
answer_tails       text of streaming answers since `messages.text`, in order; empty when nothing is streaming
message_index,     FTS5 without content, rowid = id of the message or conversation, `body` = the words made by
title_index        `app.history.words`; a streaming answer is not in the index

Version 2:

messages           `thought` is what the model thought before this answer, `thought_s` the seconds it took (0
                   where that is not known)
answer_tails       `thought` as `text`; both of a row follow what is before it
thought_index      as `message_index`, of those thoughts that are not empty
"""

from __future__ import annotations

APPLICATION_ID = 0x4245_4C4C  # "BELL" in the file's header, so that a stranger's database is noticed

_VERSION_1 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL DEFAULT '',
        title_is_own INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        folder TEXT,
        draft TEXT NOT NULL DEFAULT '',
        overrides TEXT NOT NULL DEFAULT '{}',
        trashed_at INTEGER
    ) STRICT
    """,
    "CREATE INDEX conversations_listed ON conversations (pinned, updated_at, id) WHERE trashed_at IS NULL",
    "CREATE INDEX conversations_trashed ON conversations (trashed_at) WHERE trashed_at IS NOT NULL",
    # parent_id does not cascade: SQLite limits the depth of cascades to 1,000, a conversation's is unlimited.
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        parent_id INTEGER REFERENCES messages (id) DEFERRABLE INITIALLY DEFERRED,
        role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
        text TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'unfinished', 'stopped', 'length')),
        created_at INTEGER NOT NULL,
        choice INTEGER NOT NULL,
        vocabulary TEXT,
        token_ids BLOB,
        statistics TEXT,
        origin TEXT,
        deletion INTEGER REFERENCES deletions (id)
    ) STRICT
    """,
    "CREATE INDEX messages_of_conversation ON messages (conversation_id, parent_id, choice, deletion)",
    "CREATE INDEX messages_of_parent ON messages (parent_id)",
    "CREATE INDEX messages_interrupted ON messages (status) WHERE status IN ('streaming', 'unfinished')",
    "CREATE INDEX messages_deleted ON messages (deletion) WHERE deletion IS NOT NULL",
    """
    CREATE TABLE deletions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deleted_at INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE answer_tails (
        message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (message_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    # The ascii tokenizer splits at ASCII punctuation only: what a word is, is decided in app.history.words.
    "CREATE VIRTUAL TABLE message_index USING fts5(body, content='', tokenize='ascii', prefix='1')",
    "CREATE VIRTUAL TABLE title_index USING fts5(body, content='', tokenize='ascii', prefix='1')",
)

_VERSION_2 = (
    "ALTER TABLE messages ADD COLUMN thought TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN thought_s REAL NOT NULL DEFAULT 0",
    "ALTER TABLE answer_tails ADD COLUMN thought TEXT NOT NULL DEFAULT ''",
    "CREATE VIRTUAL TABLE thought_index USING fts5(body, content='', tokenize='ascii', prefix='1')",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)

_FIRST_TABLES = frozenset(
    {"meta", "conversations", "messages", "answer_tails", "message_index", "title_index"}
)

# Those of each version, the first one first; a file without them is damaged.
TABLES: tuple[frozenset[str], ...] = (_FIRST_TABLES, _FIRST_TABLES | {"thought_index"})
