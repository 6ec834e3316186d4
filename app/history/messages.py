"""A conversation's messages as a tree: asking, editing, switching branches, deleting and undoing.

Of all children of a message, the one with the highest `choice` is shown; a new one is always chosen. The
path from the root over the chosen children is what the conversation shows. Knows nothing of how answers are
made; `answers` writes them.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable

from app.history.conversations import set_title
from app.history.database import Database
from app.history.errors import MessageMissing, NotAQuestion
from app.history.index import remove_message
from app.history.records import PathMessage, Status, StoredMessage
from app.history.rows import (
    NewMessage,
    conversation_row,
    insert_message,
    message_from,
    message_row,
    next_choice,
    touch,
)
from app.history.titles import automatic_title
from app.typed_json import valid_text


class Messages:
    """Operations on the messages of conversations; each is one transaction and safe on any thread.

    All raise MessageMissing or ConversationMissing for ids that are not there, and HistoryFileError when the
    disk refuses. What they return is on disk.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def get(self, message_id: int) -> StoredMessage:
        """One message, on whatever branch."""
        with self._database.read() as connection:
            return message_from(connection, message_row(connection, message_id))

    def path(self, conversation_id: int) -> tuple[PathMessage, ...]:
        """The shown messages, from the first to the last, with what of streaming answers is on disk."""
        with self._database.read() as connection:
            conversation_row(connection, conversation_id)
            children = _children(connection, conversation_id)
            return tuple(
                PathMessage(
                    message_from(connection, message_row(connection, message_id)),
                    tuple(sorted(sibling for _, sibling in children[parent_id])),
                )
                for parent_id, message_id in _shown(children)
            )

    def ask(self, conversation_id: int, text: str) -> StoredMessage:
        """Add a question after the last shown message; clears the draft, names an untitled conversation."""
        with self._database.write() as connection:
            conversation_row(connection, conversation_id)
            shown = _shown(_children(connection, conversation_id))
            parent_id = shown[-1][1] if shown else None
            return self._add_question(connection, conversation_id, parent_id, text)

    def edit_question(self, message_id: int, text: str) -> StoredMessage:
        """Add an alternative to a question and show it; raises NotAQuestion."""
        with self._database.write() as connection:
            row = message_row(connection, message_id)
            if row["role"] != "user":
                raise NotAQuestion(message_id, row["role"])
            return self._add_question(connection, row["conversation_id"], row["parent_id"], text)

    def select(self, message_id: int) -> None:
        """Show this message instead of its siblings, and with it the branch it was last shown with."""
        with self._database.write() as connection:
            _select(connection, message_row(connection, message_id))

    def reveal(self, message_id: int) -> None:
        """Show the branch that this message is on, as opening a search hit does."""
        with self._database.write() as connection:
            row = message_row(connection, message_id)
            _select(connection, row)
            while row["parent_id"] is not None:
                row = message_row(connection, row["parent_id"])
                _select(connection, row)

    def delete(self, message_id: int) -> int:
        """Delete a message and all that follows from it, and return what `undo_delete` takes.

        Siblings stay; the one last chosen is shown then.
        """
        with self._database.write() as connection:
            row = message_row(connection, message_id)
            cursor = connection.execute("INSERT INTO deletions (deleted_at) VALUES (?)", (self._now_ms(),))
            deletion = int(cursor.lastrowid or 0)
            for subtree_id in _subtree(_children(connection, row["conversation_id"]), message_id):
                connection.execute("UPDATE messages SET deletion = ? WHERE id = ?", (deletion, subtree_id))
            return deletion

    def undo_delete(self, deletion: int) -> None:
        """Bring back what one `delete` took away; raises MessageMissing when it is gone for good.

        Below a message that was deleted later, it stays hidden until that is undone.
        """
        with self._database.write() as connection:
            top = connection.execute(
                "SELECT id, parent_id FROM messages WHERE deletion = ? ORDER BY id LIMIT 1", (deletion,)
            ).fetchone()
            if top is None:
                raise MessageMissing(0)
            above = None
            if top["parent_id"] is not None:
                above = message_row(connection, top["parent_id"], deleted=True)["deletion"]
            connection.execute("UPDATE messages SET deletion = ? WHERE deletion = ?", (above, deletion))
            connection.execute("DELETE FROM deletions WHERE id = ?", (deletion,))

    def _add_question(
        self, connection: sqlite3.Connection, conversation_id: int, parent_id: int | None, text: str
    ) -> StoredMessage:
        now = self._now_ms()
        text = valid_text(text)
        message_id = insert_message(
            connection, NewMessage(conversation_id, parent_id, "user", text, Status.COMPLETE, now)
        )
        conversation = conversation_row(connection, conversation_id)
        if parent_id is None and not conversation["title_is_own"]:
            set_title(connection, conversation_id, automatic_title(text), own=False)
        connection.execute("UPDATE conversations SET draft = '' WHERE id = ?", (conversation_id,))
        touch(connection, conversation_id, now)
        return message_from(connection, message_row(connection, message_id))


def purge_deleted(connection: sqlite3.Connection, *, before: int) -> None:
    """Remove for good the messages that were deleted before then (milliseconds)."""
    old = "SELECT id FROM deletions WHERE deleted_at < :before"
    for row in connection.execute(
        f"SELECT id, text, thought, status FROM messages WHERE deletion IN ({old})", {"before": before}
    ):
        if row["status"] != Status.STREAMING:
            remove_message(connection, row["id"], row["text"], row["thought"])
    # Children of a deleted message are deleted too, perhaps by an older deletion: never by a younger one.
    connection.execute(f"DELETE FROM messages WHERE deletion IN ({old})", {"before": before})
    connection.execute("DELETE FROM deletions WHERE deleted_at < :before", {"before": before})


_Children = dict[int | None, list[tuple[int, int]]]


def _children(connection: sqlite3.Connection, conversation_id: int) -> _Children:
    """(choice, id) of the children of each message; the roots are under None."""
    children: _Children = defaultdict(list)
    for row in connection.execute(
        "SELECT id, parent_id, choice FROM messages WHERE conversation_id = ? AND deletion IS NULL",
        (conversation_id,),
    ):
        children[row["parent_id"]].append((row["choice"], row["id"]))
    return children


def _shown(children: _Children) -> list[tuple[int | None, int]]:
    """(parent id, id) along the chosen path."""
    path: list[tuple[int | None, int]] = []
    parent_id: int | None = None
    while parent_id in children:
        message_id = max(children[parent_id])[1]
        path.append((parent_id, message_id))
        parent_id = message_id
    return path


def _subtree(children: _Children, root_id: int) -> list[int]:
    found = [root_id]
    for message_id in found:
        found.extend(child for _, child in children.get(message_id, ()))
    return found


def _select(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    choice = next_choice(connection, row["conversation_id"], row["parent_id"])
    if choice != row["choice"] + 1:
        connection.execute("UPDATE messages SET choice = ? WHERE id = ?", (choice, row["id"]))
