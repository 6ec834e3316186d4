"""The history of all conversations in one folder, owned by one process.

    with HistoryStore.open(folder) as history:
        conversation = history.conversations.create()
        question = history.messages.ask(conversation.id, "你好")
        answer = history.answers.begin(question.id)
        answer.append("你好！")
        answer.finish(Status.COMPLETE)

Knows which parts there are and the order of opening and closing; the work is in the parts. No screen, no
engine, no event loop: every call may wait for the disk, so a window calls from a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from app.history.answers import FLUSH_INTERVAL_S, Answers
from app.history.backup import Backups
from app.history.conversations import Conversations
from app.history.database import Database, history_errors
from app.history.errors import BackupFailed, HistoryClosed
from app.history.index import rebuild
from app.history.lock import HistoryLock
from app.history.messages import Messages
from app.history.opening import BACKUP_FOLDER, open_database
from app.history.records import OpenReport
from app.history.search import Search
from app.history.soundness import CHECK_LIMIT_S
from app.history.transfer import Transfer


def now_milliseconds() -> int:
    """Milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


def lock_history(folder: Path) -> HistoryLock:
    """Make this process the owner of `folder`, which is made if need be.

    Raises HistoryInUse, HistoryNotWritable and HistoryDiskFull.
    """
    with history_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return HistoryLock(folder)


class HistoryStore:
    """The open history; `report` says what happened on the way. Make one with `open`."""

    def __init__(
        self,
        database: Database,
        report: OpenReport,
        lock: HistoryLock,
        now_ms: Callable[[], int],
        flush_interval_s: float,
    ) -> None:
        self.report = report
        self.conversations = Conversations(database, now_ms)
        self.messages = Messages(database, now_ms)
        self.answers = Answers(database, now_ms, flush_interval_s)
        self.search = Search(database)
        self.transfer = Transfer(database, now_ms)
        self.backups = Backups(database, database.path.parent / BACKUP_FOLDER, now_ms)
        self._database = database
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now_ms: Callable[[], int] = now_milliseconds,
        flush_interval_s: float = FLUSH_INTERVAL_S,
        check_limit_s: float = CHECK_LIMIT_S,
        lock: HistoryLock | None = None,
    ) -> HistoryStore:
        """Open the history in `folder`, or begin one; restores a backup when the file is damaged.

        check_limit_s: how long the check of a large file may take, about. lock: the folder's, where the
        caller has it already; from now on the history releases it, also where it can't be opened. Raises
        HistoryInUse, HistoryTooNew, HistoryNotWritable, HistoryDiskFull.
        """
        if lock is None:
            lock = lock_history(folder)
        try:
            database, report = open_database(folder, now_ms, check_limit_s)
        except BaseException:
            lock.release()
            raise
        return cls(database, report, lock, now_ms, flush_interval_s)

    def rebuild_index(self) -> None:
        """Build the search index anew, for a search that raised HistoryDamaged. Takes seconds for 100,000."""
        with self._database.write() as connection:
            rebuild(connection)

    def close(self) -> None:
        """Keep what running answers have so far, make a backup if one is due, and give the folder free."""
        try:
            with suppress(HistoryClosed):
                self.answers.abandon_all()
            with suppress(BackupFailed):
                self.backups.make_if_due()
        finally:
            try:
                self._database.close()
            finally:
                self._lock.release()

    def __enter__(self) -> HistoryStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
