"""Whether a file is a sound history: is it one at all, of which version, and what SQLite's check finds.

Never changes the file, nor what lies beside it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.history.database import history_errors, is_damage
from app.history.errors import HistoryTooNew
from app.history.migrations import is_history, version_of
from app.history.schema import MIGRATIONS, TABLES

CHECK_LIMIT_S = 2.0
_MAGIC = b"SQLite format 3\0"
_SMALLEST_BYTES = 512
_STEPS_PER_LOOK = 500


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a check found: `damage` is "" for a sound file; `finished` is False when time ran out before.

    index_only: the damage is in the search index alone, which can be built anew.
    """

    damage: str = ""
    finished: bool = True
    index_only: bool = False


def check_file(path: Path, limit_s: float = CHECK_LIMIT_S) -> Soundness:
    """Check an existing file, for at most about `limit_s` seconds.

    Raises HistoryTooNew for one that a newer app wrote, HistoryNotWritable when the system refuses.
    """
    with history_errors(path):
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    # Before SQLite sees the file: it deletes the log of a database that it thinks is empty.
    if magic != _MAGIC or size_bytes < _SMALLEST_BYTES:
        return Soundness("the file is empty" if size_bytes == 0 else "the file is not a database")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            version = version_of(connection)
            if is_history(connection) and version > len(MIGRATIONS):
                raise HistoryTooNew(path, version, len(MIGRATIONS))
            return check_connection(connection, limit_s)
    except sqlite3.Error as error:
        if is_damage(error):
            return Soundness(str(error))
        with history_errors(path):
            raise


def check_connection(connection: sqlite3.Connection, limit_s: float = float("inf")) -> Soundness:
    """Check an open database, its connection in autocommit mode; raises sqlite3.Error."""
    version = version_of(connection)
    if not is_history(connection) or version == 0:
        return Soundness("the file is not a ChatBELLE history")
    missing = TABLES[:version][-1] - {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if missing:
        return Soundness(f"tables are missing: {', '.join(sorted(missing))}")
    try:
        with _interrupted_after(connection, limit_s):
            rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            return Soundness(finished=False)
        raise
    if rows == ["ok"]:
        return Soundness()
    # Newer SQLite checks full-text indexes too, and names them so.
    return Soundness("; ".join(rows), index_only=all("fts5" in row.lower() for row in rows))


@contextmanager
def _interrupted_after(connection: sqlite3.Connection, limit_s: float) -> Iterator[None]:
    """Interrupt what `connection` does within the block once `limit_s` is over."""
    if limit_s == float("inf"):
        yield
        return
    # Both ways: a timer for SQLite's walk over the pages, which is one step to it, and a look at the clock
    # between steps, which a limit of nothing can't miss.
    deadline = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_PER_LOOK)
    timer = threading.Timer(max(0.0, limit_s), connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        connection.set_progress_handler(None, 0)
