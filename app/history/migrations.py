"""Bringing a database to the schema version of this app, one transaction per version.

Knows connections and version numbers; the statements are in `schema`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from app.history.errors import HistoryTooNew
from app.history.schema import APPLICATION_ID, MIGRATIONS


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_history(connection: sqlite3.Connection) -> bool:
    """Whether the database was made by this app."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0]) == APPLICATION_ID


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> int:
    """Run the migrations that the database has not seen, and return the version it had.

    The connection must be in autocommit mode. Raises HistoryTooNew (nothing was changed then).
    """
    found = version_of(connection)
    if found > len(migrations):
        raise HistoryTooNew(path, found, len(migrations))
    for version, statements in enumerate(migrations[found:], start=found + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return found
