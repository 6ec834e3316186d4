"""Daily backups of the history, and the way back from a damaged file to one of them.

Knows files and SQLite's own tools; nothing of the tables.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from app.durable import replaced_file, set_aside, sync_file, sync_folder
from app.history.database import COMPANIONS, Database, connect, history_errors
from app.history.errors import BackupFailed, HistoryError, HistoryTooNew
from app.history.records import Backup
from app.history.soundness import check_connection, check_file

BACKUPS_KEPT = 10
_DAY_MS = 24 * 60 * 60 * 1000
_NAME = re.compile(r"history-(\d{8}-\d{6})Z\.sqlite3")
_STAMP = "%Y%m%d-%H%M%S"
_PAGES_PER_STEP = 2048


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
        moment_s = self._now_ms() // 1000
        while (target := self._path_of(moment_s)).exists():
            moment_s += 1
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
        return Backup(target, moment_s * 1000)

    def _path_of(self, moment_s: int) -> Path:
        stamp = datetime.fromtimestamp(moment_s, UTC).strftime(_STAMP)
        return self._folder / f"history-{stamp}Z.sqlite3"

    def _copy(self, partial: Path) -> None:
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            partial.chmod(0o600)
            with closing(connect(self._database.path)) as source:
                source.backup(copy, pages=_PAGES_PER_STEP, sleep=0.001)
            copy.execute("PRAGMA journal_mode = DELETE")  # a backup is one file
            soundness = check_connection(copy)
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


def restore_newest(path: Path, folder: Path, passed_over: Collection[Path] = ()) -> Backup | None:
    """Put the newest sound backup in the place of `path`, where nothing may be; None if there is none.

    passed_over: backups that were tried and did not open. Raises HistoryNotWritable; the backup itself stays.
    """
    for backup in list_backups(folder):
        if backup.path in passed_over:
            continue
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
