"""From whatever lies in the history's folder to a sound database of this app's version.

The order matters: check, set aside and restore, migrate, recover answers, purge, back up. Nothing is deleted
on the way but what a person put into the trash 30 days ago.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from app.durable import sync_file, sync_folder
from app.history.answers import recover_answers
from app.history.backup import (
    Backups,
    restore_newest,
    set_history_aside,
)
from app.history.conversations import purge_trash, trash_limit
from app.history.database import COMPANIONS, Database, connect, history_errors
from app.history.errors import BackupFailed, HistoryDamaged
from app.history.index import is_current, rebuild
from app.history.messages import purge_deleted
from app.history.migrations import migrate, version_of
from app.history.records import Backup, OpenReport
from app.history.schema import MIGRATIONS
from app.history.soundness import CHECK_LIMIT_S, check_file

DATABASE_NAME = "history.sqlite3"
BACKUP_FOLDER = "backups"


def open_database(
    folder: Path, now_ms: Callable[[], int], check_limit_s: float = CHECK_LIMIT_S
) -> tuple[Database, OpenReport]:
    """Open, create or restore the database in `folder`, whose lock the caller holds.

    Raises HistoryTooNew and HistoryNotWritable; a damaged file is no error but a result.
    """
    path, backups = folder / DATABASE_NAME, folder / BACKUP_FOLDER
    report, index_is_sound = _find_sound_file(path, backups, check_limit_s)
    if report.outcome != "opened":
        return _prepare_replacement(path, backups, now_ms, report)
    # The quick check does not look into the search index, and may not get to everything in its time.
    for index_to_trust in (index_is_sound, False):
        try:
            return _prepare(path, backups, now_ms, report, index_to_trust)
        except HistoryDamaged as error:
            damage = error.detail
    return _prepare_replacement(path, backups, now_ms, _replace_damaged(path, backups, damage))


def _prepare_replacement(
    path: Path, backups: Path, now_ms: Callable[[], int], first: OpenReport
) -> tuple[Database, OpenReport]:
    """Go back through the backups until one opens, or begin an empty history."""
    report = first
    passed_over: list[Path] = []
    while True:
        try:
            return _prepare(path, backups, now_ms, report, True)
        except HistoryDamaged as error:
            if report.backup is None:
                raise
            passed_over.append(report.backup.path)
            report = _replace_damaged(path, backups, error.detail, passed_over)
            # What to tell is the file that the person had; the copies of bad backups only lie beside it.
            report = replace(report, damaged_path=first.damaged_path, detail=first.detail)


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


def _replace_damaged(
    path: Path, backups: Path, detail: str, passed_over: Collection[Path] = ()
) -> OpenReport:
    damaged = set_history_aside(path)
    restored = restore_newest(path, backups, passed_over)
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
        daily = Backups(database, backups, now_ms)
        with history_errors(path), closing(connect(path)) as connection:
            if report.outcome == "opened" and version_of(connection) < len(MIGRATIONS):
                report = _back_up(daily.make, report)
            found = migrate(connection, path)
        report = replace(report, migrated_from=found if found != len(MIGRATIONS) else None)
        report = _tidy(database, now_ms(), report, index_is_sound)
        # Only now, when the file has shown that it works: a bad one must not push out the good ones.
        if report.outcome == "opened" and report.fully_checked:
            report = _back_up(daily.make_if_due, report)
        return database, report
    except BaseException:
        with suppress(HistoryDamaged):  # the first failure is the one to tell
            database.close()
        raise


def _back_up(make: Callable[[], Backup | None], report: OpenReport) -> OpenReport:
    """A backup if it can be made; without room for it the history opens all the same."""
    try:
        make()
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
