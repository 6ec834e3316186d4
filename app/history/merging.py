"""Conversations between the tables and their exchange form.

Merging is a union by uid: what is here stays as it is, what is missing is added. Row ids are always new.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from app.history.exchange import ExchangeConversation, ExchangeMessage
from app.history.index import add_title
from app.history.records import Status
from app.history.rows import (
    NewMessage,
    conversation_from,
    conversation_row,
    insert_message,
    message_from,
)
from app.typed_json import to_json


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Ids of the conversations that are new and that got messages (or came back from the trash) by an import;
    `n_unchanged` were here already with all their messages."""

    added: tuple[int, ...]
    extended: tuple[int, ...]
    n_unchanged: int
    n_messages: int


def load_conversation(connection: sqlite3.Connection, conversation_id: int) -> ExchangeConversation:
    """A conversation with all branches; what was deleted is left out. Raises ConversationMissing."""
    record = conversation_from(conversation_row(connection, conversation_id))
    uids: dict[int, str] = {}
    messages = []
    for row in connection.execute(
        "SELECT * FROM messages WHERE conversation_id = ? AND deletion IS NULL ORDER BY id",
        (conversation_id,),
    ):
        stored = message_from(connection, row)
        uids[stored.id] = stored.uid
        messages.append(
            ExchangeMessage(
                uid=stored.uid,
                parent=None if stored.parent_id is None else uids[stored.parent_id],
                role=stored.role,
                text=stored.text,
                status=_at_rest(stored.status),
                created_at=stored.created_at,
                choice=row["choice"],
                tokens=stored.tokens,
                statistics=stored.statistics,
                origin=stored.origin,
                thought=stored.thought,
                thought_s=stored.thought_s,
            )
        )
    return ExchangeConversation(
        uid=record.uid,
        title=record.title,
        title_is_own=record.title_is_own,
        created_at=record.created_at,
        updated_at=record.updated_at,
        pinned=record.pinned,
        folder=record.folder,
        draft=record.draft,
        overrides=record.overrides,
        messages=tuple(messages),
    )


def merge_conversations(
    connection: sqlite3.Connection, conversations: Iterable[ExchangeConversation]
) -> ImportReport:
    """Add what is missing, within the caller's transaction."""
    added: list[int] = []
    extended: list[int] = []
    n_unchanged = n_messages = 0
    for conversation in conversations:
        row = connection.execute(
            "SELECT id, trashed_at FROM conversations WHERE uid = ?", (conversation.uid,)
        ).fetchone()
        conversation_id = row["id"] if row else _insert_conversation(connection, conversation)
        n_new = _merge_messages(connection, conversation_id, conversation.messages, is_new=row is None)
        n_messages += n_new
        if row is None:
            added.append(conversation_id)
        elif n_new or row["trashed_at"] is not None:
            connection.execute("UPDATE conversations SET trashed_at = NULL WHERE id = ?", (conversation_id,))
            if conversation_id not in added and conversation_id not in extended:
                extended.append(conversation_id)
        else:
            n_unchanged += 1
    return ImportReport(tuple(added), tuple(extended), n_unchanged, n_messages)


def _insert_conversation(connection: sqlite3.Connection, conversation: ExchangeConversation) -> int:
    cursor = connection.execute(
        """
        INSERT INTO conversations (uid, title, title_is_own, created_at, updated_at, pinned, folder, draft,
            overrides) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            conversation.uid,
            conversation.title,
            conversation.title_is_own,
            conversation.created_at,
            conversation.updated_at,
            conversation.pinned,
            conversation.folder,
            conversation.draft,
            to_json(conversation.overrides),
        ),
    )
    conversation_id = int(cursor.lastrowid or 0)
    add_title(connection, conversation_id, conversation.title)
    return conversation_id


def _merge_messages(
    connection: sqlite3.Connection,
    conversation_id: int,
    messages: tuple[ExchangeMessage, ...],
    *,
    is_new: bool,
) -> int:
    ids: dict[str, int] = {}
    n_changed = 0
    for message in messages:
        row = connection.execute(
            "SELECT id, conversation_id, deletion FROM messages WHERE uid = ?", (message.uid,)
        ).fetchone()
        if row is not None and row["conversation_id"] == conversation_id:
            ids[message.uid] = row["id"]
            if row["deletion"] is not None:
                connection.execute("UPDATE messages SET deletion = NULL WHERE id = ?", (row["id"],))
                n_changed += 1
            continue
        new = NewMessage(
            conversation_id=conversation_id,
            parent_id=None if message.parent is None else ids[message.parent],
            role=message.role,
            text=message.text,
            status=_at_rest(message.status),
            created_at=message.created_at,
            uid=None if row is not None else message.uid,  # taken by another conversation
            choice=message.choice if is_new else None,
            tokens=message.tokens,
            statistics=message.statistics,
            origin=message.origin,
            thought=message.thought,
            thought_s=message.thought_s,
        )
        ids[message.uid] = insert_message(connection, new)
        n_changed += 1
    return n_changed


def _at_rest(status: Status) -> Status:
    return Status.UNFINISHED if status is Status.STREAMING else status
