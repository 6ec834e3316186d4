"""Making an offline kit: what goes into it, whether there is room, and the copies, each read back.

Can be left or killed at any time: the folder then says that it is unfinished, and the same call goes on where
it was. Copies nothing of a person's but the one model. Knows no screen.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.durable import sync_file, sync_folder
from app.kit.errors import (
    KitFileTooLarge,
    KitFolderTaken,
    KitNeedsBundle,
    KitNotWritten,
    KitThere,
    KitTooLarge,
)
from app.kit.manifest import (
    MANIFEST_NAME,
    MODELS_FOLDER,
    UNFINISHED_NAME,
    Kit,
    KitFile,
    KitModel,
    write_text,
)
from app.kit.page import PAGE_NAME, page_of
from app.kit.program import (
    program_files,
    program_name,
    program_root,
    program_version,
    system_name,
    write_archive,
)
from app.models.progress import Pace, Phase, WorkProgress
from engine.installation import is_bundled
from engine.models.errors import ModelChanged, ModelNotReadable
from engine.models.file_systems import file_size_limit, keeps_programs
from engine.models.header_summary import summarize
from engine.models.parts import joined_hash
from engine.models.places import FoundModel, nearest_folder

SUMS_NAME = "SHA256SUMS.txt"

_CHUNK_BYTES = 4 << 20
_PARTIAL = ".partial"
_IGNORED = ("System Volume Information", "lost+found")


@dataclass(frozen=True, slots=True)
class PackedModel:
    """The model to take along. license: where it is on record, else what the file itself says counts.

    expected_sha256: of the whole, where it is on record.
    """

    found: FoundModel
    name: str
    license: str | None = None
    prompt_format: str | None = None
    expected_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class KitDone:
    """The kit is finished. page: what a person reads first."""

    folder: Path
    page: Path
    kit: Kit


def make_kit(folder: Path, model: PackedModel | None) -> Generator[WorkProgress | KitDone, None, None]:
    """Make a kit in a new or empty folder, or finish one: `WorkProgress` values, then one `KitDone`.

    model: None leaves the program's built-in one. Raises KitErrors, PartsMissing, the subclasses of
    ModelFileError for what is no sound model, ModelChanged and ModelNotReadable.
    """
    if not is_bundled():
        raise KitNeedsBundle(folder)
    try:
        run = _Making(folder.absolute(), model)
        run.check()
        yield from run.write()
    except OSError as error:
        raise KitNotWritten(folder, error.strerror or str(error)) from error


class _Making:
    """One run. Its total counts the model twice: it is written, and read back."""

    def __init__(self, folder: Path, model: PackedModel | None) -> None:
        self._folder = folder
        self._model = model
        self._root = program_root()
        self._sums: dict[str, str] = {}
        self._pace = Pace()
        self._done_bytes = 0
        self._program_bytes = sum(path.lstat().st_size for path in program_files(self._root))
        self._sizes: tuple[int, ...] = ()
        self._license: str | None = None

    def check(self) -> None:
        """What would end badly is said before anything is written."""
        self._check_folder()
        if self._model is not None:
            found = self._model.found
            found.require_all()
            summary = summarize(found.path, found.parts)
            self._license = self._model.license or summary.license
            try:
                self._sizes = tuple(part.stat().st_size for part in found.parts)
            except OSError as error:
                raise ModelNotReadable(found.path, error.strerror or str(error)) from error
            limit = file_size_limit(self._folder)
            largest = max(zip(self._sizes, found.parts, strict=True))
            if limit is not None and largest[0] > limit[0]:
                raise KitFileTooLarge(self._folder, largest[1].name, largest[0], *limit)
        needed = self._program_bytes + sum(self._sizes) - self._there_bytes()
        free = shutil.disk_usage(nearest_folder(self._folder)).free
        if needed > free:
            raise KitTooLarge(self._folder, needed, free)

    def write(self) -> Iterator[WorkProgress | KitDone]:
        """Everything, the list of contents last. Raises OSError besides what `make_kit` does."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._put_text(UNFINISHED_NAME, program_version() + "\n")
        program = program_name()
        if keeps_programs(self._folder):
            yield from self._copy_program(program)
        else:
            program += ".tar"
            yield from self._archive_program(program)
        model = yield from self._copy_model()
        kit = Kit(program_version(), system_name(), program, model)
        self._put_text(PAGE_NAME, page_of(kit))
        self._put_text(SUMS_NAME, "".join(f"{digest}  {name}\n" for name, digest in self._sums.items()))
        self._put_text(MANIFEST_NAME, write_text(kit))
        (self._folder / UNFINISHED_NAME).unlink()
        sync_folder(self._folder)
        yield KitDone(self._folder, self._folder / PAGE_NAME, kit)

    def _check_folder(self) -> None:
        try:
            names = {entry.name for entry in self._folder.iterdir()} if self._folder.exists() else set()
        except OSError as error:
            raise KitNotWritten(self._folder, error.strerror or str(error)) from error
        if UNFINISHED_NAME in names:
            return
        if MANIFEST_NAME in names:
            raise KitThere(self._folder)
        others = sorted(name for name in names if not name.startswith(".") and name not in _IGNORED)
        if others:
            raise KitFolderTaken(self._folder, others[0])

    def _there_bytes(self) -> int:
        """What an earlier run left, and is written over or kept."""
        total = 0
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                total += path.lstat().st_size if path.is_file() else 0
        return total

    def _at(self, phase: Phase, item: str) -> WorkProgress:
        return self._pace.at(phase, item, self._done_bytes, self._program_bytes + 2 * sum(self._sizes))

    def _copy_program(self, name: str) -> Iterator[WorkProgress]:
        stale = set(program_files(self._folder / name))  # perhaps of another version's run
        for source in program_files(self._root):
            inside = f"{name}/{source.relative_to(self._root).as_posix()}"
            target = self._folder / inside
            stale.discard(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                with suppress(FileNotFoundError):
                    target.unlink()
                target.symlink_to(os.readlink(source))
                continue
            yield from self._copy(source, inside)
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        for path in stale:
            path.unlink(missing_ok=True)  # what was begun and not finished is gone by now
            with suppress(OSError):  # up to the first that is not empty
                for parent in path.parents:
                    parent.rmdir()

    def _archive_program(self, name: str) -> Iterator[WorkProgress]:
        partial, target = self._folder / f"{name}{_PARTIAL}", self._folder / name
        for done_bytes in write_archive(self._root, program_name(), partial):
            self._done_bytes = done_bytes
            yield self._at("copy", name)
        sync_file(partial)
        os.replace(partial, target)
        digest = hashlib.sha256()
        for data in _read(target):
            digest.update(data)
        self._sums[name] = digest.hexdigest()

    def _copy_model(self) -> Generator[WorkProgress, None, KitModel | None]:
        models = self._folder / MODELS_FOLDER
        if self._model is None:
            shutil.rmtree(models, ignore_errors=True)  # of a run that was to take another model
            return None
        models.mkdir(exist_ok=True)
        kept = {part.name for part in self._model.found.parts}
        for stale in models.iterdir():
            if stale.name not in kept:
                stale.unlink()
        files = []
        for part, size_bytes in zip(self._model.found.parts, self._sizes, strict=True):
            inside = f"{MODELS_FOLDER}/{part.name}"
            yield from self._copy(part, inside, reads_back=True)
            files.append(KitFile(inside, size_bytes, self._sums[inside]))
        sha256 = joined_hash([file.sha256 for file in files])
        expected = self._model.expected_sha256
        if expected is not None and sha256 != expected:
            raise ModelChanged(self._model.found.path, expected, sha256)
        known = self._model
        return KitModel(known.name, sha256, tuple(files), known.prompt_format, self._license)

    def _copy(self, source: Path, inside: str, *, reads_back: bool = False) -> Iterator[WorkProgress]:
        """Copy one file, unless it is there, and keep its hash."""
        target = self._folder / inside
        begun_bytes, size_bytes = self._done_bytes, source.stat().st_size
        is_there = target.is_file() and target.stat().st_size == size_bytes
        if is_there:
            yield from self._hash(source, inside, "check")
            digest = self._sums[inside]
            self._done_bytes = begun_bytes
            yield from self._hash(target, inside, "verify")
            is_there = self._sums[inside] == digest
        if not is_there:
            self._done_bytes = begun_bytes
            yield from self._write(source, target, inside)
            if reads_back:
                digest = self._sums[inside]
                yield from self._hash(target, inside, "verify")
                if self._sums[inside] != digest:
                    raise KitNotWritten(target, os.strerror(errno.EIO))
        self._done_bytes = begun_bytes + size_bytes * (2 if reads_back else 1)

    def _write(self, source: Path, target: Path, inside: str) -> Iterator[WorkProgress]:
        partial = target.with_name(f"{target.name}{_PARTIAL}")
        digest = hashlib.sha256()
        with partial.open("wb") as file:
            for data in _read(source):
                file.write(data)
                digest.update(data)
                self._done_bytes += len(data)
                yield self._at("copy", source.name)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # what is read back is to come from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.replace(partial, target)
        self._sums[inside] = digest.hexdigest()

    def _hash(self, path: Path, inside: str, phase: Phase) -> Iterator[WorkProgress]:
        digest = hashlib.sha256()
        for data in _read(path):
            digest.update(data)
            self._done_bytes += len(data)
            yield self._at(phase, path.name)
        self._sums[inside] = digest.hexdigest()

    def _put_text(self, name: str, text: str) -> None:
        """For everybody to read, since a kit is given away."""
        target = self._folder / name
        partial = target.with_name(f"{name}{_PARTIAL}")
        partial.write_text(text, encoding="utf-8", newline="\n")
        sync_file(partial)
        os.replace(partial, target)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            yield data
