"""Rows to records and back: the one place that knows the columns' encodings.

token_ids, little-endian:

    offset  size            meaning
    0       1               bytes per id: 2, 3 or 4
    1       n * that size   the ids
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from app.history.errors import ConversationMissing, MessageMissing
from app.history.index import add_message
from app.history.records import Conversation, Origin, Overrides, Status, StoredMessage
from app.old_sampling import with_partial_overrides
from app.typed_json import from_json, parse_json, to_json
from engine.types import Role, Statistics, TokenIds

R = TypeVar("R", Overrides, Origin, Statistics)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What a message row is made from; `uid` None makes a new one, `choice` None selects the message."""

    conversation_id: int
    parent_id: int | None
    role: Role
    text: str
    status: Status
    created_at: int
    uid: str | None = None
    choice: int | None = None
    tokens: TokenIds | None = None
    statistics: Statistics | None = None
    origin: Origin | None = None
    thought: str = ""
    thought_s: float = 0.0


def new_uid() -> str:
    """A name for a row that is unique everywhere."""
    return uuid.uuid4().hex


def pack_ids(ids: tuple[int, ...]) -> bytes:
    """Token ids as a blob; raises OverflowError for ids that are negative or over 32 bits."""
    largest = max(ids, default=0)
    width = 2 if largest < 1 << 16 else 3 if largest < 1 << 24 else 4
    return bytes([width]) + b"".join(token.to_bytes(width, "little") for token in ids)


def unpack_ids(blob: bytes) -> tuple[int, ...] | None:
    """The ids in a blob; None when it is not one."""
    width = blob[0] if blob else 0
    if width not in (2, 3, 4) or (len(blob) - 1) % width:
        return None
    return tuple(
        int.from_bytes(blob[offset : offset + width], "little") for offset in range(1, len(blob), width)
    )


def conversation_from(row: sqlite3.Row) -> Conversation:
    """The record of a row of `conversations`."""
    return Conversation(
        id=row["id"],
        uid=row["uid"],
        title=row["title"],
        title_is_own=bool(row["title_is_own"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        pinned=bool(row["pinned"]),
        folder=row["folder"],
        draft=row["draft"],
        overrides=_record(Overrides, row["overrides"], with_partial_overrides) or Overrides(),
        trashed_at=row["trashed_at"],
    )


def message_from(connection: sqlite3.Connection, row: sqlite3.Row) -> StoredMessage:
    """The record of a row of `messages`, with all that is on disk of a streaming answer."""
    text, thought = row["text"], row["thought"]
    if row["status"] == Status.STREAMING:
        tail = tail_of(connection, row["id"])
        text, thought = text + tail.text, thought + tail.thought
    return StoredMessage(
        id=row["id"],
        uid=row["uid"],
        conversation_id=row["conversation_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        text=text,
        status=_status(row["status"]),
        created_at=row["created_at"],
        tokens=_tokens(row["vocabulary"], row["token_ids"]),
        statistics=_record(Statistics, row["statistics"]),
        origin=_record(Origin, row["origin"]),
        thought=thought,
        thought_s=row["thought_s"],
    )


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows the text and the thought of a message that is being written."""

    text: str = ""
    thought: str = ""


def tail_of(connection: sqlite3.Connection, message_id: int) -> Tail:
    """What was flushed of a streaming answer since its row was written."""
    rows = connection.execute(
        "SELECT text, thought FROM answer_tails WHERE message_id = ? ORDER BY number", (message_id,)
    ).fetchall()
    return Tail("".join(row["text"] for row in rows), "".join(row["thought"] for row in rows))


def conversation_row(connection: sqlite3.Connection, conversation_id: int) -> sqlite3.Row:
    """The row, trashed or not; raises ConversationMissing."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        raise ConversationMissing(conversation_id)
    return row


def message_row(connection: sqlite3.Connection, message_id: int, *, deleted: bool = False) -> sqlite3.Row:
    """The row of a message; raises MessageMissing, also for a deleted one unless `deleted`."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    if row is None or (row["deletion"] is not None and not deleted):
        raise MessageMissing(message_id)
    return row


def insert_message(connection: sqlite3.Connection, new: NewMessage) -> int:
    """Write a message and its index entry, and return its id."""
    choice = new.choice
    if choice is None:
        choice = next_choice(connection, new.conversation_id, new.parent_id)
    cursor = connection.execute(
        """
        INSERT INTO messages (uid, conversation_id, parent_id, role, text, status, created_at, choice,
            vocabulary, token_ids, statistics, origin, thought, thought_s)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            new.uid or new_uid(),
            new.conversation_id,
            new.parent_id,
            new.role,
            new.text,
            new.status,
            new.created_at,
            choice,
            *token_columns(new.tokens),
            optional_json(new.statistics),
            optional_json(new.origin),
            new.thought,
            new.thought_s,
        ),
    )
    message_id = int(cursor.lastrowid or 0)
    if new.status is not Status.STREAMING:
        add_message(connection, message_id, new.text, new.thought)
    return message_id


def next_choice(connection: sqlite3.Connection, conversation_id: int, parent_id: int | None) -> int:
    """The `choice` that selects a message among the children of `parent_id`."""
    row = connection.execute(
        "SELECT max(choice) FROM messages WHERE conversation_id = ? AND parent_id IS ?",
        (conversation_id, parent_id),
    ).fetchone()
    return 1 if row[0] is None else int(row[0]) + 1


def token_columns(tokens: TokenIds | None) -> tuple[str | None, bytes | None]:
    """The columns `vocabulary` and `token_ids`."""
    return (tokens.vocabulary, pack_ids(tokens.ids)) if tokens is not None else (None, None)


def optional_json(value: Any) -> str | None:
    """A dataclass as JSON; None stays None."""
    return None if value is None else to_json(value)


def touch(connection: sqlite3.Connection, conversation_id: int, now: int) -> None:
    """Note that a conversation was used now."""
    connection.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (now, conversation_id))


def _status(value: str) -> Status:
    try:
        return Status(value)
    except ValueError as error:  # the table's CHECK rules it out, so these bytes changed by themselves
        raise sqlite3.DatabaseError(f"status {value!r}") from error


def _tokens(vocabulary: str | None, blob: bytes | None) -> TokenIds | None:
    if vocabulary is None or blob is None:
        return None
    ids = unpack_ids(blob)
    return None if ids is None else TokenIds(vocabulary, ids)


def _record(kind: type[R], text: str | None, mend: Callable[[Any], Any] | None = None) -> R | None:
    """The record in a JSON text; `mend` turns an older form of the parsed value into the present one."""
    # What a later version wrote here may not be readable; the message itself is worth more than its numbers.
    if not text:
        return None
    try:
        value = parse_json(text)
        return from_json(kind, value if mend is None else mend(value))
    except ValueError:
        return None
