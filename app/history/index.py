"""The search index's rows, written in the transaction that changes the texts they are made of.

Invariant: every message that is not streaming and every conversation is in the index with its present text;
thoughts have an index of their own, so that what is found in one is never taken for the answer's text.
An index without content forgets a row only when told the row's words again, so texts are removed with the
very text they were added with.
"""

from __future__ import annotations

import sqlite3

from app.history.words import RULES_VERSION, index_body


def add_message(connection: sqlite3.Connection, message_id: int, text: str, thought: str = "") -> None:
    """Make a message findable by its text and by its thought."""
    _add(connection, "message_index", message_id, text)
    if thought:
        _add(connection, "thought_index", message_id, thought)


def remove_message(connection: sqlite3.Connection, message_id: int, text: str, thought: str = "") -> None:
    """Take a message out of the index; `text` and `thought` are those it was added with."""
    _remove(connection, "message_index", message_id, text)
    if thought:
        _remove(connection, "thought_index", message_id, thought)


def add_title(connection: sqlite3.Connection, conversation_id: int, title: str) -> None:
    """Make a conversation findable by its title."""
    _add(connection, "title_index", conversation_id, title)


def remove_title(connection: sqlite3.Connection, conversation_id: int, title: str) -> None:
    """Take a title out of the index; `title` is the one it was added with."""
    _remove(connection, "title_index", conversation_id, title)


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the index was filled with the rules of this app."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'index_rules'").fetchone()
    return row is not None and row[0] == RULES_VERSION


def rebuild(connection: sqlite3.Connection) -> None:
    """Fill the index anew from all texts, within the caller's transaction."""
    for table in ("message_index", "thought_index", "title_index"):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
    for row in connection.execute("SELECT id, text, thought FROM messages WHERE status != 'streaming'"):
        add_message(connection, row["id"], row["text"], row["thought"])
    for row in connection.execute("SELECT id, title FROM conversations"):
        add_title(connection, row["id"], row["title"])
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('index_rules', ?)", (RULES_VERSION,))


def _add(connection: sqlite3.Connection, table: str, rowid: int, text: str) -> None:
    connection.execute(f"INSERT INTO {table} (rowid, body) VALUES (?, ?)", (rowid, index_body(text)))


def _remove(connection: sqlite3.Connection, table: str, rowid: int, text: str) -> None:
    connection.execute(
        f"INSERT INTO {table} ({table}, rowid, body) VALUES ('delete', ?, ?)", (rowid, index_body(text))
    )
