"""The models on this disk, whatever their origin: found, described, verified, added and removed.

Looks at the disk each time it is asked; what it remembers (`engine.models.records`) only makes that quick and
tells where a file came from. Knows nothing of fetching and converting. Safe to use from several processes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.errors import EngineError, ModelFileMissing
from engine.models.errors import (
    ModelChanged,
    ModelInUse,
    ModelNotReadable,
    ModelNotRemoved,
    ModelPartlyRemoved,
    RecordsNotSaved,
)
from engine.models.json_store import held_file
from engine.models.listing import (
    Listing,
    LocalModel,
    MissingModel,
    describe,
    missing_models,
    with_unique_names,
)
from engine.models.parts import joined_hash
from engine.models.places import (
    FoundModel,
    find_parts,
    nearest_folder,
    normal_path,
    scan_folder,
    scan_hf_cache,
)
from engine.models.presence import look_at_folder, look_at_path
from engine.models.records import Record, Records, file_state, moved_files
from engine.models.trash import move_to_trash

_READ_BYTES = 4 << 20
_RECORDS_NAME = "library.json"


@dataclass(frozen=True, slots=True)
class Hashing:
    """How far the verification is."""

    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The finished verification. is_confirmed: it is the hash on record, which is the hub's or the catalog's,
    or what we computed ourselves when we wrote the file.
    """

    sha256: str
    is_confirmed: bool


class Library:
    """The models in `folder`, in folders a person added, and in the hub's cache at `hf_cache` (None: none).

    data_folder: where the records and locks are kept; nothing is created by looking.
    """

    def __init__(self, data_folder: Path, folder: Path, hf_cache: Path | None = None) -> None:
        self.folder = folder.absolute()
        self._locks = data_folder / "locks"
        self._records = Records(data_folder / _RECORDS_NAME)
        self._hf_cache = hf_cache
        self._moved: dict[Path, Path] = {}
        """Where models were before: the record moves with the first look, and others want to know as well."""

    def look(self) -> Listing:
        """Look at the disk; where the records can't be read, without them."""
        records, folders = self._known()
        found = self._scan(records, folders)
        states = {model.path: state for model in found if (state := file_state(model.parts)) is not None}
        moves = moved_files(records, states)
        for old, new in moves.items():
            records[new] = records.pop(old)
        for old, new in moves.items():
            self._moved.pop(old, None)
            self._moved[new] = old
        models = []
        learned: dict[Path, Record] = {}
        for item in found:
            if item.path in states:
                model, record = describe(item, states[item.path], records.get(item.path))
                models.append(replace(model, moved_from=self._moved.get(item.path)))
                if record is not None:
                    learned[item.path] = record
        if moves or learned:
            with suppress(EngineError):  # looking works where nothing can be written, only more slowly
                self._records.learn(moves, learned)
        return Listing(tuple(models), missing_models(records, states, (self.folder, *folders)))

    def find(self, name: str) -> LocalModel | None:
        """The model of this name, or of this path."""
        listing = self.look()
        return listing.find(name) or listing.at(Path(os.path.expanduser(name)))

    def find_missing(self, name: str) -> MissingModel | None:
        """The model of this name or path that is recorded and gone."""
        listing = self.look()
        return listing.find_missing(name) or listing.missing_at(Path(os.path.expanduser(name)))

    def paths(self) -> dict[str, Path]:
        """The first file of every model by its name, in the list's order; no file is opened."""
        return {model.name: model.path for model in self._scan(*self._known())}

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders that a person added."""
        return self._records.folders()

    def unreadable_folders(self) -> tuple[Path, ...]:
        """Folders whose models are neither listed nor missing, because they can't be looked at now."""
        folders = (self.folder, *self._known()[1])
        return tuple(folder for folder in folders if look_at_folder(folder) == "unreadable")

    def add_folder(self, folder: Path) -> None:
        """Look in `folder` too. Raises RecordsNotSaved and LibraryInUse."""
        self._records.add_folder(normal_path(folder))

    def remove_folder(self, folder: Path) -> None:
        """Don't look in `folder` any more; its files stay. Raises RecordsNotSaved and LibraryInUse."""
        kept = (self.folder,) if self._hf_cache is None else (self.folder, self._hf_cache)
        self._records.remove_folder(normal_path(folder), kept)

    def note(
        self,
        path: Path,
        *,
        source: str | None = None,
        license: str | None = None,
        prompt_format: str | None = None,
        catalog_id: str | None = None,
        expected_sha256: str | None = None,
        in_place: bool = False,
    ) -> None:
        """Record where the model at `path` comes from, and nothing of what was at this path before.

        in_place: outside of every folder looked at. expected_sha256: computed while it was written. Raises
        ModelNotReadable, RecordsNotSaved and LibraryInUse.
        """
        absolute = path.absolute()
        state = file_state(find_parts(absolute).parts)
        if state is None:
            raise ModelNotReadable(path, os.strerror(errno.ENOENT))
        given = {
            "source": source,
            "license": license,
            "prompt_format": prompt_format,
            "catalog_id": catalog_id,
            "expected_sha256": expected_sha256,
            "sha256": expected_sha256,
        }
        known = {name: value for name, value in given.items() if value is not None}
        self._records.begin(absolute, state, added_at=time.time(), in_place=in_place, **known)

    def note_used(self, path: Path) -> None:
        """Remember that the model at `path` is used now, if it is one of these; failing that is no harm."""
        absolute = path.absolute()
        with suppress(EngineError):
            if absolute in self.paths().values() and (state := file_state(find_parts(absolute).parts)):
                self._records.merge(absolute, state, used_at=time.time())

    def verify(
        self, model: LocalModel, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[Hashing | Verified]:
        """Compute the model's hash and compare it with the one known: `Hashing` values, then one `Verified`.

        What was found is remembered either way: from then on, `look` tells of a damaged model. Ends early
        when cancelled. Raises ModelChanged, ModelNotReadable, the subclasses of ModelFileError,
        ModelInUse, RecordsNotSaved and LibraryInUse.
        """
        with self.held(model.path):
            if model.problem is not None and not isinstance(model.problem, ModelChanged):
                raise model.problem
            state = file_state(model.parts)
            digests: list[str] = []
            done_bytes = 0
            for part in model.parts:
                digest = hashlib.sha256()
                for data in _read(part):
                    if is_cancelled():
                        return
                    digest.update(data)
                    done_bytes += len(data)
                    yield Hashing(done_bytes, model.size_bytes)
                digests.append(digest.hexdigest())
            sha256 = joined_hash(digests)
            expected = model.expected_sha256 or model.sha256
            if expected is not None and sha256 != expected:
                if state is not None:
                    with suppress(EngineError):  # what is wrong with the file is worth more
                        self._records.merge(model.path, state, sha256=sha256, expected_sha256=expected)
                raise ModelChanged(model.path, expected, sha256)
            if state is not None:
                self._records.merge(model.path, state, sha256=sha256)
            yield Verified(sha256, is_confirmed=model.expected_sha256 is not None)

    def remove(self, model: LocalModel, *, to_trash: bool = True) -> Literal["trash", "deleted", "kept"]:
        """Remove the model's files and its record. "kept": none could be put into the trash, all are there.

        to_trash False deletes for good. So is a model of the hub's cache in any case: its links and the bytes
        they lead to. The first file goes last: until then the model is listed, and can be removed again.
        Raises ModelInUse, ModelPartlyRemoved, ModelNotRemoved, RecordsNotSaved and LibraryInUse.
        """
        is_cached = model.place == "hf-cache"
        with self.held(model.path):
            if to_trash and not is_cached:
                for n_trashed, path in enumerate(reversed(model.parts)):
                    if not move_to_trash(path):
                        if n_trashed:
                            raise ModelPartlyRemoved(path, len(model.parts), n_trashed)
                        return "kept"
            else:
                files = [*model.parts]
                if is_cached:
                    files += [path.resolve() for path in model.parts if os.path.islink(path)]
                _delete(files[::-1])
            self._moved.pop(model.path, None)
            self._records.drop(model.path)
        return "trash" if to_trash and not is_cached else "deleted"

    def forget(self, path: Path) -> None:
        """Drop the record of a model that is gone, or of one in place. Raises as `add_folder` does."""
        self._records.drop(path)

    @contextmanager
    def held(self, path: Path) -> Iterator[None]:
        """Keep other processes from changing the model at `path` in this block; raises ModelInUse."""
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:24]
        with held_file(self._locks / f"{name}.lock") as is_held:
            if not is_held:
                raise ModelInUse(path)
            yield

    def free_bytes(self) -> int | None:
        """Room on the disk of the models folder; None where the system does not say."""
        try:
            return shutil.disk_usage(nearest_folder(self.folder)).free
        except OSError:
            return None

    def _known(self) -> tuple[dict[Path, Record], tuple[Path, ...]]:
        """What is remembered: records and added folders."""
        try:
            return self._records.read(), self._records.folders()
        except RecordsNotSaved:
            return {}, ()

    def _scan(self, records: dict[Path, Record], folders: tuple[Path, ...]) -> tuple[FoundModel, ...]:
        """Everything that is looked at; a file in two places is listed where it was found first."""
        found = [*scan_folder(self.folder, "models")]
        for folder in folders:
            found += scan_folder(folder, "folder")
        if self._hf_cache is not None:
            found += scan_hf_cache(self._hf_cache)
        listed = {model.path for model in found}
        for path, record in records.items():
            if record.in_place and path not in listed and look_at_path(path) == "file":
                found.append(replace(find_parts(path), place="in-place"))
        unique = {model.path.absolute(): model for model in reversed(found)}
        return with_unique_names(model for model in found if unique[model.path.absolute()] is model)


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                yield data
    except FileNotFoundError as error:
        raise ModelFileMissing(path, error.strerror or str(error)) from error
    except OSError as error:
        raise ModelNotReadable(path, error.strerror or str(error)) from error


def _delete(files: list[Path]) -> None:
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ModelNotRemoved(path, error.strerror or str(error)) from error
