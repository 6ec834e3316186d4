"""Daily backups of the history, the check of a file's soundness, and the way back from a damaged one.

Knows files and SQLite's own tools; nothing of the tables.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.durable import replaced_file, set_aside, sync_file, sync_folder
from app.history.database import COMPANIONS, Database, connect, history_errors, is_damage
from app.history.errors import BackupFailed, HistoryError, HistoryTooNew
from app.history.migrations import is_history, version_of
from app.history.records import Backup
from app.history.schema import MIGRATIONS

BACKUPS_KEPT = 10
CHECK_LIMIT_S = 2.0
_DAY_MS = 24 * 60 * 60 * 1000
_NAME = re.compile(r"history-(\d{8}-\d{6})Z\.sqlite3")
_STAMP = "%Y%m%d-%H%M%S"
_PAGES_PER_STEP = 2048
_STEPS_PER_CHECK = 10_000


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a check found: `damage` is "" for a sound file; `finished` is False when time ran out before.

    index_only: the damage is in the search index alone, which can be built anew.
    """

    damage: str = ""
    finished: bool = True
    index_only: bool = False


class Backups:
    """The backups of one history in their folder."""

    def __init__(self, database: Database, folder: Path, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._folder = folder
        self._now_ms = now_ms

    def all(self) -> tuple[Backup, ...]:
        """All backups, newest first."""
        return list_backups(self._folder)

    def make_if_due(self) -> Backup | None:
        """Make a backup if the newest is older than a day; None if it isn't. Raises BackupFailed."""
        newest = next(iter(self.all()), None)
        now = self._now_ms()
        # One from the future (the clock was wrong) must not keep new ones from being made.
        if newest is not None and 0 <= now - newest.created_at < _DAY_MS:
            return None
        return self.make()

    def make(self) -> Backup:
        """Copy the history to a new backup, then delete the oldest beyond ten. Raises BackupFailed.

        The history can be read and written meanwhile; the copy is of one moment, and checked.
        """
        now = self._now_ms()
        stamp = datetime.fromtimestamp(now // 1000, UTC).strftime(_STAMP)
        target = self._folder / f"history-{stamp}Z.sqlite3"
        partial = self._folder / f".{target.name}.{os.getpid()}.partial"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._copy(partial)
            os.replace(partial, target)
            sync_folder(self._folder)
        except (sqlite3.Error, OSError, HistoryError) as error:
            raise BackupFailed(target, str(error)) from error
        finally:
            for name in (partial, *(Path(f"{partial}{ending}") for ending in COMPANIONS)):
                with suppress(OSError):
                    name.unlink(missing_ok=True)
        for old in self.all()[BACKUPS_KEPT:]:
            with suppress(OSError):
                old.path.unlink()
        return Backup(target, now // 1000 * 1000)

    def _copy(self, partial: Path) -> None:
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            partial.chmod(0o600)
            with closing(connect(self._database.path)) as source:
                source.backup(copy, pages=_PAGES_PER_STEP, sleep=0.001)
            copy.execute("PRAGMA journal_mode = DELETE")  # a backup is one file
            soundness = _quick_check(copy)
        if soundness.damage and not soundness.index_only:
            raise sqlite3.DatabaseError(soundness.damage)
        sync_file(partial)


def list_backups(folder: Path) -> tuple[Backup, ...]:
    """The backups in a folder, newest first; files of other names are not looked at."""
    backups = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match:
            with suppress(ValueError):
                moment = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
                backups.append(Backup(path, int(moment.timestamp()) * 1000))
    return tuple(sorted(backups, key=lambda backup: (backup.created_at, backup.path.name), reverse=True))


def check_file(path: Path, limit_s: float = CHECK_LIMIT_S) -> Soundness:
    """Check an existing history file, for at most about `limit_s` seconds.

    Raises HistoryTooNew for one that a newer app wrote, HistoryNotWritable when the system refuses.
    """
    try:
        if path.stat().st_size == 0:
            return Soundness("the file is empty")
        with closing(connect(path)) as connection:
            version = version_of(connection)
            if not is_history(connection) or version == 0:
                return Soundness("the file is not a ChatBELLE history")
            if version > len(MIGRATIONS):
                raise HistoryTooNew(path, version, len(MIGRATIONS))
            return _quick_check(connection, limit_s)
    except (sqlite3.Error, OSError) as error:
        if is_damage(error):
            return Soundness(str(error))
        with history_errors(path):
            raise


def restore_newest(path: Path, folder: Path) -> Backup | None:
    """Put the newest sound backup in the place of `path`, where nothing may be; None if there is none.

    Raises HistoryNotWritable; the backup itself stays.
    """
    for backup in list_backups(folder):
        trial = path.with_name(f".{path.name}.{os.getpid()}.restored")
        try:
            with history_errors(path):
                shutil.copyfile(backup.path, trial)  # so that a check never writes beside the backup
            if _is_sound(trial):
                with history_errors(path), open(trial, "rb") as copy, replaced_file(path) as file:
                    shutil.copyfileobj(copy, file, 1 << 20)
                return backup
        finally:
            for name in (trial, *(Path(f"{trial}{ending}") for ending in COMPANIONS)):
                with suppress(OSError):
                    name.unlink(missing_ok=True)
    return None


def set_history_aside(path: Path) -> Path:
    """Rename a damaged history with its companions, and return the new path. Raises HistoryNotWritable."""
    with history_errors(path):
        return set_aside(path, COMPANIONS)


def _is_sound(trial: Path) -> bool:
    try:
        return not check_file(trial, limit_s=float("inf")).damage
    except HistoryTooNew:
        return False


def _quick_check(connection: sqlite3.Connection, limit_s: float = float("inf")) -> Soundness:
    deadline = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_PER_CHECK)
    try:
        rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(10)")]
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            return Soundness(finished=False)
        raise
    finally:
        connection.set_progress_handler(None, 0)
    if rows == ["ok"]:
        return Soundness()
    # Newer SQLite checks full-text indexes too, and names them so.
    return Soundness("; ".join(rows), index_only=all("fts5" in row.lower() for row in rows))
