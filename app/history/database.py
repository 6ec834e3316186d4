"""One SQLite file: one connection that writes behind a lock, a pool of connections that read.

The only module that opens connections to the history and that turns sqlite3's exceptions into HistoryErrors.
It knows no tables.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.history.errors import (
    HistoryClosed,
    HistoryDamaged,
    HistoryDiskFull,
    HistoryError,
    HistoryNotWritable,
)

COMPANIONS = ("-wal", "-shm", "-journal")
SYNCHRONOUS = "FULL"  # a commit is on disk, not only in the log
_BUSY_TIMEOUT_S = 10.0
_MAX_IDLE_READERS = 4


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode with this app's settings; raises sqlite3.Error."""
    # Not by URI (mode=rw): those can't name Windows network folders.
    if not create and not path.exists():
        raise sqlite3.OperationalError(f"there is no file {path.name}")
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute("PRAGMA cache_size = -16000")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def history_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3's exceptions and the system's into HistoryErrors that name `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _history_error(path, error) from error
    except OSError as error:
        raise HistoryNotWritable(path, error.strerror or str(error)) from error


def _history_error(path: Path, error: sqlite3.Error) -> HistoryError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return HistoryDiskFull(path)
    if is_damage(error):
        return HistoryDamaged(path, str(error))
    return HistoryNotWritable(path, str(error))


def is_damage(error: BaseException) -> bool:
    """Whether an exception of sqlite3 means that the content of the file is wrong.

    That includes statements that fail: the statements are right, so a table is missing or a text not UTF-8.
    """
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without its extension
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class Database:
    """The open history file; safe to use from any thread. Close it to fold the WAL into the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = False
        with history_errors(path):
            self._writer = connect(path)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, and never was when it raises.

        Blocks while another thread writes; must not be nested. Raises HistoryError.
        """
        with self._write_lock, history_errors(self.path):
            if self._closed:
                raise HistoryClosed
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # SQLite has already rolled back by itself after some errors (a full disk).
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A consistent view of what is committed now; never waits for the writer. Raises HistoryError."""
        with history_errors(self.path):
            connection = self._take_reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Finish; harmless when already closed. Readers that are still at work close when they are done."""
        with self._write_lock, self._pool_lock, history_errors(self.path):
            if self._closed:
                return
            self._closed = True
            for connection in self._idle_readers:
                connection.close()
            self._idle_readers.clear()
            try:
                self._writer.execute("PRAGMA optimize")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._writer.close()

    def _take_reader(self) -> sqlite3.Connection:
        with self._pool_lock:
            if self._closed:
                raise HistoryClosed
            if self._idle_readers:
                return self._idle_readers.pop()
        connection = connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._pool_lock:
            if not self._closed and len(self._idle_readers) < _MAX_IDLE_READERS:
                self._idle_readers.append(connection)
                return
        connection.close()
