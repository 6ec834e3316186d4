"""What is remembered of model files, beside what their headers say: where they come from, their hashes.

One JSON object in the data folder, by path (see `kept_paths`); nothing is ever written into a model. A record
belongs to a file of one size and modification time. When a file is gone and another one of the same size and
time has turned up, it was renamed or moved, and its record follows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.models.header_summary import HeaderSummary
from engine.models.json_store import JsonStore
from engine.models.kept_paths import found_path, kept_path
from engine.models.places import normal_path
from engine.models.presence import look_at_path
from engine.typed_json import JsonMismatch, from_json


@dataclass(frozen=True, slots=True)
class Record:
    """One model's record. size_bytes: of all its parts; mtime_ns: of the newest part.

    sha256: computed when the file had this size and time; of a split model, of the parts' hashes one after
    the other (hexadecimal, each ended by a newline). expected_sha256: what it should be, by the hub, the
    catalog or our converter. source: where it came from, for people. added_at, used_at: seconds since 1970.
    """

    size_bytes: int
    mtime_ns: int
    sha256: str | None = None
    expected_sha256: str | None = None
    source: str | None = None
    license: str | None = None
    prompt_format: str | None = None
    catalog_id: str | None = None
    in_place: bool = False
    added_at: float | None = None
    used_at: float | None = None
    summary: HeaderSummary | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the file was got, imported or made here; of others only what they are was learned."""
        return self.in_place or self.added_at is not None or self.source is not None

    def fits(self, state: FileState) -> bool:
        """Whether the file is still the one that was recorded."""
        return (self.size_bytes, self.mtime_ns) == (state.size_bytes, state.mtime_ns)


@dataclass(frozen=True, slots=True)
class FileState:
    """What the system says about a model's files, together."""

    size_bytes: int
    mtime_ns: int


def file_state(parts: Iterable[Path]) -> FileState | None:
    """Size and newest time of the files; None where one vanished meanwhile, or can't be reached."""
    try:
        states = [os.stat(path) for path in parts]
    except OSError:
        return None
    return FileState(sum(state.st_size for state in states), max(state.st_mtime_ns for state in states))


class Records:
    """All records, in the file at `path` in the data folder. Reading and changing raise as JsonStore does."""

    def __init__(self, path: Path) -> None:
        self._store = JsonStore(path)
        self._data_folder = path.parent.absolute()

    def read(self) -> dict[Path, Record]:
        """Every record that can be understood."""
        return self._parse(self._store.read())

    def folders(self) -> tuple[Path, ...]:
        """Folders that a person added, in that order."""
        return _folders(self._store.read())

    def begin(self, path: Path, state: FileState, **fields: Any) -> None:
        """Record a file that was put there; of the same file it is only kept when it was used."""

        def edit(content: dict[str, Any]) -> None:
            known = self._parse(content).get(path)
            used_at = known.used_at if known is not None and known.fits(state) else None
            record = Record(state.size_bytes, state.mtime_ns, used_at=used_at)
            self._models(content)[self._key(path)] = asdict(replace(record, **fields))

        self._store.change(edit)

    def merge(self, path: Path, state: FileState, **changes: Any) -> None:
        """Change some fields of a record; one of another state of the file keeps only its origin."""

        def edit(content: dict[str, Any]) -> None:
            known = _for_state(self._parse(content).get(path), state)
            self._models(content)[self._key(path)] = asdict(replace(known, **changes))

        self._store.change(edit)

    def drop(self, path: Path) -> None:
        """Forget a file."""
        self._store.change(lambda content: self._models(content).pop(self._key(path), None))

    def learn(self, moves: Mapping[Path, Path], described: Mapping[Path, Record]) -> None:
        """Carry records from old paths to new ones, and keep the summaries in `described`."""

        def edit(content: dict[str, Any]) -> None:
            models = self._models(content)
            for old, new in moves.items():
                if self._key(old) in models:
                    models[self._key(new)] = models.pop(self._key(old))
            known = self._parse(content)
            for path, found in described.items():
                state = FileState(found.size_bytes, found.mtime_ns)
                record = replace(_for_state(known.get(path), state), summary=found.summary)
                models[self._key(path)] = asdict(record)

        self._store.change(edit)

    def add_folder(self, folder: Path) -> None:
        """Look in this folder too."""

        def edit(content: dict[str, Any]) -> None:
            others = [str(path) for path in _folders(content) if path != folder]
            content["folders"] = [*others, str(folder)]

        self._store.change(edit)

    def remove_folder(self, folder: Path, kept: Iterable[Path] = ()) -> None:
        """Don't look there any more, and forget what was learned of files there.

        kept: other places that are looked at; with those that were added, they keep what is in them.
        """

        def edit(content: dict[str, Any]) -> None:
            others = [path for path in _folders(content) if path != folder]
            content["folders"] = [str(path) for path in others]
            for path, record in self._parse(content).items():
                if not record.is_ours and is_in(path, [folder]) and not is_in(path, [*others, *kept]):
                    self._models(content).pop(self._key(path), None)

        self._store.change(edit)

    def _key(self, path: Path) -> str:
        return kept_path(str(path), self._data_folder)

    def _parse(self, content: Mapping[str, Any]) -> dict[Path, Record]:
        models = content.get("models")
        records = {}
        for key, value in models.items() if isinstance(models, dict) else ():
            try:
                records[Path(found_path(key, self._data_folder))] = from_json(Record, value)
            except JsonMismatch:
                continue
        return records

    def _models(self, content: dict[str, Any]) -> dict[str, Any]:
        """What is to be changed, every path in it as it is kept today."""
        models = content.get("models")
        known = models if isinstance(models, dict) else {}
        kept = {kept_path(key, self._data_folder): value for key, value in known.items()}
        content["models"] = kept
        return kept


def moved_files(records: Mapping[Path, Record], found: Mapping[Path, FileState]) -> dict[Path, Path]:
    """Old path to new path of files that were renamed: gone from one place, and just as large and old at
    another that has no record. Where two would fit, nothing is guessed, nor of what can't be reached now.
    """
    gone = {
        path: record for path, record in records.items() if path not in found and look_at_path(path) == "gone"
    }
    fresh = [path for path in found if path not in records]
    moves: dict[Path, Path] = {}
    for old, record in gone.items():
        fitting = [path for path in fresh if record.fits(found[path])]
        if len(fitting) == 1 and fitting[0] not in moves.values():
            moves[old] = fitting[0]
    return moves


def is_in(path: Path, folders: Iterable[Path]) -> bool:
    """Whether `path` is in one of the folders, by its name."""
    return any(path.is_relative_to(folder) for folder in folders)


def _for_state(record: Record | None, state: FileState) -> Record:
    """The record for the file as it is now: of another state only the origin is kept."""
    if record is None:
        return Record(state.size_bytes, state.mtime_ns)
    if record.fits(state):
        return record
    return replace(record, size_bytes=state.size_bytes, mtime_ns=state.mtime_ns, sha256=None, summary=None)


def _folders(content: Mapping[str, Any]) -> tuple[Path, ...]:
    folders = content.get("folders")
    listed = folders if isinstance(folders, list) else []
    paths = (normal_path(Path(path)) for path in listed if isinstance(path, str) and path)
    return tuple(dict.fromkeys(paths))  # a folder that was once written in several ways is one
