"""Put a GGUF that lies somewhere on this disk into the library: as a copy, a link, or where it is.

Knows nothing of checkpoints that must be converted first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from engine.installation import is_phone
from engine.models.errors import ModelChanged, ModelNotAdded, ModelNotReadable
from engine.models.file_lock import lock_file
from engine.models.free_names import renamed, unlike_names
from engine.models.header_summary import summarize
from engine.models.library import Library
from engine.models.parts import joined_hash
from engine.models.places import find_parts, strip_suffix
from engine.models.same_files import SameFiles

How = Literal["copy", "link", "in-place"]

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Adding:
    """How far the copy is. path: where it will be; None while it is compared with a file that is there."""

    done_bytes: int
    total_bytes: int
    path: Path | None


@dataclass(frozen=True, slots=True)
class Added:
    """The model is in the library. sha256: hexadecimal, None where the bytes were not read."""

    path: Path
    size_bytes: int
    sha256: str | None


def add_gguf(
    source: Path,
    library: Library,
    how: How = "copy",
    is_cancelled: Callable[[], bool] = lambda: False,
    is_taken: Callable[[Path], bool] = os.path.lexists,
    expected: Mapping[Path, str] = MappingProxyType({}),
) -> Generator[Adding | Added, None, None]:
    """Add the GGUF at `source`, all files of a split one: `Adding` values, then one `Added`.

    It keeps its name, with a number where that `is_taken`; a copy there that nothing is known of is the
    result, as a kill may have left it. A cancelled or closed copy leaves nothing; what a killed one left is
    removed by the next, or by `discard_copy`. "link" makes a second name of the same bytes, on one disk only.
    expected: hashes of the source's files where they are known; a file that has another one is refused.
    Raises the subclasses of ModelFileError for what is no sound GGUF, PartsMissing, ModelNotAdded,
    ModelNotReadable, ModelChanged, ModelInUse, RecordsNotSaved and LibraryInUse.
    """
    found = find_parts(source.absolute())
    found.require_all()
    summarize(found.path, found.parts)
    size_bytes = _size(found.parts)
    known: str | None = None
    if expected and how != "copy":
        for done_bytes in _compare(found.parts, expected):
            if is_cancelled():
                return
            yield Adding(done_bytes, size_bytes, None)
        known = joined_hash([expected[part] for part in found.parts])
    if how == "in-place":
        library.note(found.path, source=str(found.path), in_place=True, expected_sha256=known)
        yield Added(found.path, size_bytes, known)
        return
    for targets in _candidates(found.parts, library.folder):
        target = targets[found.path]
        if not any(is_taken(path) for path in targets.values()):
            yield from _place(targets, library, how, is_cancelled, expected, known)
            return
        if not _is_unheard_of(target, library):
            continue
        there = SameFiles(targets)
        for done_bytes in there.compare() if how == "copy" else ():
            if is_cancelled():
                return
            yield Adding(done_bytes, size_bytes, None)
        if there.is_same or (how == "link" and there.is_link):
            digest = there.sha256 if there.is_same else known
            if expected and digest is not None:
                _require_hash(found.path, digest, {found.path: joined_hash([*expected.values()])})
            library.note(target, source=str(found.path), expected_sha256=digest)
            yield Added(target, size_bytes, digest)
            return


def partial_path(target: Path) -> Path:
    """Where the unfinished copy of the file at `target` is."""
    # Its own name may have no room for more.
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:24]
    return target.with_name(f".{name}.partial")


def discard_copy(target: Path) -> None:
    """Remove what a killed copy to `target` left, unless a process is at it; nothing else of these bytes."""
    partial = partial_path(target)
    with suppress(OSError):
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            is_free = lock_file(descriptor)
        finally:
            os.close(descriptor)
        if is_free:
            partial.unlink()


def _candidates(parts: tuple[Path, ...], folder: Path) -> Iterator[dict[Path, Path]]:
    """Where each file could go: under its own name, or all of them under another; without an end."""
    for name in unlike_names(parts[0].name):
        stem = strip_suffix(name)
        yield {part: folder / renamed(part.name, stem) for part in parts}


def _is_unheard_of(target: Path, library: Library) -> bool:
    """Whether there is a model that nothing is known of but its file."""
    model = library.look().at(target)
    return model is not None and model.problem is None and model.source is None


def _compare(parts: tuple[Path, ...], expected: Mapping[Path, str]) -> Iterator[int]:
    """Hash files where they are; yields the bytes done. Raises ModelChanged and ModelNotReadable."""
    done_bytes = 0
    for part in parts:
        digest = hashlib.sha256()
        try:
            with part.open("rb") as file:
                while data := file.read(_CHUNK_BYTES):
                    digest.update(data)
                    done_bytes += len(data)
                    yield done_bytes
        except OSError as error:
            raise ModelNotReadable(part, error.strerror or str(error)) from error
        _require_hash(part, digest.hexdigest(), expected)


def _require_hash(part: Path, found: str, expected: Mapping[Path, str]) -> None:
    wanted = expected.get(part, found)
    if found != wanted:
        raise ModelChanged(part, wanted, found)


def _place(
    targets: dict[Path, Path],
    library: Library,
    how: How,
    is_cancelled: Callable[[], bool],
    expected: Mapping[Path, str],
    known: str | None,
) -> Generator[Adding | Added, None, None]:
    """Copy or link, and record it. known: the hash of the source, where it was compared already."""
    source, target = next(iter(targets.items()))
    with library.held(target):
        digest = known
        run = _Placing(targets, expected)
        try:
            if how == "link":
                yield Adding(0, run.total_bytes, target)
                run.link()
            else:
                for done_bytes in run.copy():
                    if is_cancelled():
                        return
                    yield Adding(done_bytes, run.total_bytes, target)
                digest = run.sha256
            run.publish()
        finally:
            run.clean()
    library.note(target, source=str(source), expected_sha256=digest)
    yield Added(target, run.total_bytes, digest)


class _Placing:
    """Files on their way to their `targets`, under temporary names until all are there.

    The names follow from the final ones, which this process holds: what lies there was left by a kill.
    """

    def __init__(self, targets: dict[Path, Path], expected: Mapping[Path, str]) -> None:
        self._targets = targets
        self._expected = expected
        self._folder = next(iter(targets.values())).parent
        self._placed: dict[Path, Path] = {}
        self.total_bytes = _size(tuple(targets))
        self.sha256 = ""
        for target in targets.values():
            if os.path.lexists(target):  # only just now
                raise ModelNotAdded(target, os.strerror(errno.EEXIST))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ModelNotAdded(self._folder, error.strerror or str(error)) from error

    def copy(self) -> Iterator[int]:
        """Copy everything; yields the bytes done."""
        for part in self._targets:
            self._partial(part)  # before the disk is asked for room
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < self.total_bytes:
            raise ModelNotAdded(self._folder, os.strerror(errno.ENOSPC))
        done_bytes = 0
        digests = []
        for part in self._targets:
            digest = hashlib.sha256()
            for data in self._copy_file(part):
                digest.update(data)
                done_bytes += len(data)
                yield done_bytes
            _require_hash(part, digest.hexdigest(), self._expected)
            digests.append(digest.hexdigest())
        self.sha256 = joined_hash(digests)

    def link(self) -> None:
        """Give every file a second name; on a phone, where apps can't, this one instead of its own: what a
        person chose there is a copy that the system made for this app.
        """
        take = os.rename if is_phone() else os.link
        for part, target in self._targets.items():
            try:
                take(part, self._partial(part))
            except OSError as error:
                raise ModelNotAdded(target, error.strerror or str(error)) from error

    def publish(self) -> None:
        """Give all files their names, the one that is loaded last."""
        for partial, target in reversed(self._placed.items()):
            try:
                os.rename(partial, target)
            except OSError as error:
                raise ModelNotAdded(target, error.strerror or str(error)) from error
        self._placed.clear()

    def clean(self) -> None:
        """Remove what was not published."""
        for partial in self._placed:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _copy_file(self, part: Path) -> Iterator[bytes]:
        try:
            source = part.open("rb")
        except OSError as error:
            raise ModelNotReadable(part, error.strerror or str(error)) from error
        with source:
            try:
                # A new file: a killed run may have left a second name of somebody's model.
                with self._partial(part).open("xb") as target:
                    lock_file(target.fileno())
                    target.seek(0)  # where the lock is a place in the file, that is where it is now
                    while data := source.read(_CHUNK_BYTES):
                        target.write(data)
                        yield data
                    target.flush()
                    os.fsync(target.fileno())
            except OSError as error:
                raise ModelNotAdded(self._targets[part], error.strerror or str(error)) from error

    def _partial(self, part: Path) -> Path:
        """The temporary path, with nothing at it."""
        target = self._targets[part]
        partial = partial_path(target)
        self._placed[partial] = target
        try:
            partial.unlink(missing_ok=True)
        except OSError as error:
            raise ModelNotAdded(target, error.strerror or str(error)) from error
        return partial


def _size(parts: tuple[Path, ...]) -> int:
    try:
        return sum(path.stat().st_size for path in parts)
    except OSError as error:
        raise ModelNotReadable(parts[0], error.strerror or str(error)) from error
