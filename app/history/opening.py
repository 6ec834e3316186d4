"""From whatever lies in the history's folder to a sound database of this app's version.

The order matters: check, set aside and restore, back up, migrate, recover answers, purge. Nothing is deleted
on the way but what a person put into the trash 30 days ago.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from app.durable import sync_file, sync_folder
from app.history.answers import recover_answers
from app.history.backup import (
    CHECK_LIMIT_S,
    Backups,
    check_file,
    restore_newest,
    set_history_aside,
)
from app.history.conversations import purge_trash, trash_limit
from app.history.database import COMPANIONS, Database, connect, history_errors
from app.history.errors import BackupFailed, HistoryDamaged
from app.history.index import is_current, rebuild
from app.history.messages import purge_deleted
from app.history.migrations import migrate, version_of
from app.history.records import OpenReport
from app.history.schema import MIGRATIONS

DATABASE_NAME = "history.sqlite3"
BACKUP_FOLDER = "backups"


def open_database(
    folder: Path, now_ms: Callable[[], int], check_limit_s: float = CHECK_LIMIT_S
) -> tuple[Database, OpenReport]:
    """Open, create or restore the database in `folder`, whose lock the caller holds.

    Raises HistoryTooNew and HistoryNotWritable; a damaged file is no error but a result.
    """
    path = folder / DATABASE_NAME
    report, index_is_sound = _find_sound_file(path, folder / BACKUP_FOLDER, check_limit_s)
    backups = folder / BACKUP_FOLDER
    # The quick check does not look into the search index, and may not get to everything in its time.
    for with_index in (index_is_sound, False):
        try:
            return _prepare(path, backups, now_ms, report, with_index)
        except HistoryDamaged as error:
            damage = error.detail
    report = _replace_damaged(path, backups, damage)
    return _prepare(path, backups, now_ms, report, True)


def _find_sound_file(path: Path, backups: Path, check_limit_s: float) -> tuple[OpenReport, bool]:
    if not path.exists():
        orphaned = [ending for ending in COMPANIONS if Path(f"{path}{ending}").exists()]
        if orphaned:  # a set-aside that was interrupted, or a lost main file
            return _replace_damaged(path, backups, "the file is missing"), True
        restored = restore_newest(path, backups)
        if restored:
            return OpenReport("restored", detail="the file is missing", backup=restored), True
        _create(path)
        return OpenReport("created"), True
    soundness = check_file(path, check_limit_s)
    if soundness.damage and not soundness.index_only:
        return _replace_damaged(path, backups, soundness.damage), True
    return OpenReport("opened", fully_checked=soundness.finished), not soundness.index_only


def _replace_damaged(path: Path, backups: Path, detail: str) -> OpenReport:
    damaged = set_history_aside(path)
    restored = restore_newest(path, backups)
    if restored is None:
        _create(path)
    outcome = OpenReport("restored" if restored else "started_empty")
    return replace(outcome, damaged_path=damaged, detail=detail, backup=restored)


def _create(path: Path) -> None:
    """Make an empty history under another name first: a file of the right name is always a whole one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with history_errors(path):
            with closing(connect(partial, create=True)) as connection:
                partial.chmod(0o600)
                migrate(connection, partial)
                connection.execute("BEGIN IMMEDIATE")
                rebuild(connection)
                connection.execute("COMMIT")
            sync_file(partial)
            os.replace(partial, path)
            sync_folder(path.parent)
    finally:
        for name in (partial, *(Path(f"{partial}{ending}") for ending in COMPANIONS)):
            with suppress(OSError):
                name.unlink(missing_ok=True)


def _prepare(
    path: Path, backups: Path, now_ms: Callable[[], int], report: OpenReport, index_is_sound: bool
) -> tuple[Database, OpenReport]:
    database = Database(path)
    try:
        report = _back_up(Backups(database, backups, now_ms), path, report)
        with history_errors(path), closing(connect(path)) as connection:
            found = migrate(connection, path)
        migrated_from = found if found != len(MIGRATIONS) else None
        return database, _tidy(
            database, now_ms(), replace(report, migrated_from=migrated_from), index_is_sound
        )
    except BaseException:
        with suppress(HistoryDamaged):  # the first failure is the one to tell
            database.close()
        raise


def _back_up(backups: Backups, path: Path, report: OpenReport) -> OpenReport:
    """The daily backup, or one before a migration; without room for it the history opens all the same."""
    if report.outcome in ("created", "started_empty"):
        return report
    try:
        with history_errors(path), closing(connect(path)) as connection:
            is_old = version_of(connection) < len(MIGRATIONS)
        if is_old:
            backups.make()
        elif report.fully_checked:
            backups.make_if_due()
    except BackupFailed as error:
        return replace(report, backup_failure=error.reason)
    return report


def _tidy(database: Database, now: int, report: OpenReport, index_is_sound: bool) -> OpenReport:
    with database.write() as connection:
        is_stale = not (index_is_sound and is_current(connection))
        if is_stale:
            rebuild(connection)
        recovered = recover_answers(connection)
        purged = purge_trash(connection, before=trash_limit(now))
        purge_deleted(connection, before=trash_limit(now))
    return replace(report, recovered_answers=recovered, purged_conversations=purged, index_rebuilt=is_stale)
