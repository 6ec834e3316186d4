"""The list of conversations: making, ordering, naming, filing, deleting and bringing back.

Knows nothing of what is said in them, but that deleting a conversation for good takes its messages along.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from app.history.database import Database
from app.history.index import add_title, remove_message, remove_title
from app.history.records import Conversation, ConversationPage, Counts, Overrides, PageCursor
from app.history.rows import conversation_from, conversation_row, new_uid
from app.history.titles import automatic_title
from app.typed_json import to_json, valid_text

TRASH_DAYS = 30
_DAY_MS = 24 * 60 * 60 * 1000

_LISTED = """
    SELECT * FROM conversations
    WHERE trashed_at IS NULL AND (:folder IS NULL OR folder = :folder)
        AND (:id IS NULL OR (pinned, updated_at, id) < (:pinned, :moment, :id))
    ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT :limit
"""
_TRASHED = """
    SELECT * FROM conversations
    WHERE trashed_at IS NOT NULL AND (:id IS NULL OR (trashed_at, id) < (:moment, :id))
    ORDER BY trashed_at DESC, id DESC LIMIT :limit
"""


class Conversations:
    """Operations on conversations as a whole; each is one transaction and safe on any thread.

    All raise ConversationMissing for an id that is not there, and HistoryFileError when the disk refuses.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def create(self, *, folder: str | None = None, overrides: Overrides | None = None) -> Conversation:
        """A new, empty conversation without a title."""
        now = self._now_ms()
        with self._database.write() as connection:
            cursor = connection.execute(
                "INSERT INTO conversations (uid, created_at, updated_at, folder, overrides)"
                " VALUES (?, ?, ?, ?, ?)",
                (new_uid(), now, now, _folder(folder), to_json(overrides or Overrides())),
            )
            conversation_id = int(cursor.lastrowid or 0)
            add_title(connection, conversation_id, "")
            return conversation_from(conversation_row(connection, conversation_id))

    def get(self, conversation_id: int) -> Conversation:
        """One conversation, also from the trash."""
        with self._database.read() as connection:
            return conversation_from(conversation_row(connection, conversation_id))

    def page(
        self, *, after: PageCursor | None = None, limit: int = 50, folder: str | None = None
    ) -> ConversationPage:
        """Conversations that are not in the trash: pinned first, then last used first."""
        values = {"folder": folder, **_cursor_values(after), "limit": limit + 1}
        with self._database.read() as connection:
            rows = connection.execute(_LISTED, values).fetchall()
        items = tuple(conversation_from(row) for row in rows[:limit])
        last = items[-1] if len(rows) > limit and items else None
        return ConversationPage(items, PageCursor(last.pinned, last.updated_at, last.id) if last else None)

    def trash_page(self, *, after: PageCursor | None = None, limit: int = 50) -> ConversationPage:
        """Conversations in the trash, last deleted first."""
        values = {**_cursor_values(after), "limit": limit + 1}
        with self._database.read() as connection:
            rows = connection.execute(_TRASHED, values).fetchall()
        items = tuple(conversation_from(row) for row in rows[:limit])
        last = items[-1] if len(rows) > limit and items else None
        return ConversationPage(items, PageCursor(False, last.trashed_at or 0, last.id) if last else None)

    def folders(self) -> tuple[str, ...]:
        """The names of all folders with a conversation in them, sorted."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT DISTINCT folder FROM conversations"
                " WHERE folder IS NOT NULL AND trashed_at IS NULL ORDER BY folder"
            ).fetchall()
        return tuple(row["folder"] for row in rows)

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a title; "" goes back to the automatic one."""
        title = valid_text(title).strip()
        with self._database.write() as connection:
            new = title or automatic_title(_first_question(connection, conversation_id))
            set_title(connection, conversation_id, new, own=bool(title))

    def pin(self, conversation_id: int, pinned: bool = True) -> None:
        """Keep a conversation at the top of the list, or no longer."""
        self._set(conversation_id, "pinned", int(pinned))

    def move(self, conversation_id: int, folder: str | None) -> None:
        """Put a conversation into a folder, which exists by being used; None takes it out."""
        self._set(conversation_id, "folder", _folder(folder))

    def rename_folder(self, folder: str, name: str | None) -> None:
        """Rename a folder; into an existing one it is merged, None dissolves it."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE conversations SET folder = ? WHERE folder = ?", (_folder(name), folder)
            )

    def set_draft(self, conversation_id: int, draft: str) -> None:
        """Keep what is typed and not sent; the next question clears it."""
        self._set(conversation_id, "draft", valid_text(draft))

    def set_overrides(self, conversation_id: int, overrides: Overrides) -> None:
        """Keep what this conversation sets differently."""
        self._set(conversation_id, "overrides", to_json(overrides))

    def trash(self, conversation_id: int) -> None:
        """Delete a conversation; it can be restored for 30 days."""
        self._set(conversation_id, "trashed_at", self._now_ms())

    def restore(self, conversation_id: int) -> None:
        """Take a conversation out of the trash."""
        self._set(conversation_id, "trashed_at", None)

    def purge(self, conversation_id: int) -> None:
        """Delete a conversation and all its messages for good."""
        with self._database.write() as connection:
            conversation_row(connection, conversation_id)
            _purge(connection, conversation_id)

    def empty_trash(self) -> int:
        """Delete everything in the trash for good; returns how many conversations those were."""
        with self._database.write() as connection:
            return purge_trash(connection, before=self._now_ms() + 1)

    def counts(self) -> Counts:
        """How much there is."""
        with self._database.read() as connection:
            row = connection.execute(
                """
                SELECT
                    (SELECT count(*) FROM conversations WHERE trashed_at IS NULL),
                    (SELECT count(*) FROM conversations WHERE trashed_at IS NOT NULL),
                    count(*), coalesce(sum(messages.status = 'unfinished'), 0)
                FROM messages JOIN conversations ON conversations.id = messages.conversation_id
                WHERE messages.deletion IS NULL AND conversations.trashed_at IS NULL
                """
            ).fetchone()
        return Counts(*row)

    def _set(self, conversation_id: int, column: str, value: object) -> None:
        with self._database.write() as connection:
            conversation_row(connection, conversation_id)
            connection.execute(
                f"UPDATE conversations SET {column} = ? WHERE id = ?", (value, conversation_id)
            )


def set_title(connection: sqlite3.Connection, conversation_id: int, title: str, *, own: bool) -> None:
    """Change the title and its index entry, within the caller's transaction."""
    old = conversation_row(connection, conversation_id)["title"]
    remove_title(connection, conversation_id, old)
    connection.execute(
        "UPDATE conversations SET title = ?, title_is_own = ? WHERE id = ?", (title, own, conversation_id)
    )
    add_title(connection, conversation_id, title)


def purge_trash(connection: sqlite3.Connection, *, before: int) -> int:
    """Delete for good what was put into the trash before then; returns how many conversations."""
    rows = connection.execute("SELECT id FROM conversations WHERE trashed_at < ?", (before,)).fetchall()
    for row in rows:
        _purge(connection, row["id"])
    return len(rows)


def trash_limit(now: int) -> int:
    """What went into the trash before this moment is to be purged (milliseconds)."""
    return now - TRASH_DAYS * _DAY_MS


def _purge(connection: sqlite3.Connection, conversation_id: int) -> None:
    for row in connection.execute(
        "SELECT id, text, thought, status FROM messages WHERE conversation_id = ?", (conversation_id,)
    ):
        if row["status"] != "streaming":
            remove_message(connection, row["id"], row["text"], row["thought"])
    remove_title(connection, conversation_id, conversation_row(connection, conversation_id)["title"])
    connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))


def _first_question(connection: sqlite3.Connection, conversation_id: int) -> str:
    row = connection.execute(
        "SELECT text FROM messages WHERE conversation_id = ? AND parent_id IS NULL AND deletion IS NULL"
        " AND role = 'user' ORDER BY choice DESC LIMIT 1",
        (conversation_id,),
    ).fetchone()
    return row["text"] if row else ""


def _folder(name: str | None) -> str | None:
    return valid_text(name).strip() or None if name is not None else None


def _cursor_values(cursor: PageCursor | None) -> dict[str, int | None]:
    if cursor is None:
        return {"pinned": None, "moment": None, "id": None}
    return {"pinned": int(cursor.pinned), "moment": cursor.moment, "id": cursor.id}
