"""Put a GGUF that lies somewhere on this disk into the library: as a copy, a link, or where it is.

Knows nothing of checkpoints that must be converted first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.models.errors import ModelNotAdded, ModelNotReadable, PartsMissing
from engine.models.free_names import renamed, unlike_names
from engine.models.header_summary import summarize
from engine.models.library import Library
from engine.models.places import find_parts, strip_suffix

How = Literal["copy", "link", "in-place"]

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Adding:
    """How far the copy is."""

    done_bytes: int
    total_bytes: int


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
) -> Generator[Adding | Added, None, None]:
    """Add the GGUF at `source`, all files of a split one: `Adding` values, then one `Added`.

    It keeps its name, with a number where that `is_taken`. A cancelled or closed copy leaves nothing; what a
    killed one left is removed by the next. "link" makes a second name for the same bytes, on one disk only.
    Raises the subclasses of ModelFileError for what is no sound GGUF, PartsMissing, ModelNotAdded,
    ModelNotReadable, ModelInUse, RecordsNotSaved and LibraryInUse.
    """
    found = find_parts(source.absolute())
    if found.missing_parts:
        raise PartsMissing(found.path, found.n_parts, found.missing_parts)
    summarize(found.path, found.parts)
    if how == "in-place":
        library.note(found.path, source=str(found.path), in_place=True)
        yield Added(found.path, _size(found.parts), None)
        return
    targets = _free_targets(found.parts, library.folder, is_taken)
    target = targets[found.path]
    with library.held(target):
        digest: str | None = None
        run = _Placing(targets)
        try:
            if how == "link":
                run.link()
            else:
                for done_bytes in run.copy():
                    if is_cancelled():
                        return
                    yield Adding(done_bytes, run.total_bytes)
                digest = run.sha256 if len(found.parts) == 1 else None
            run.publish()
        finally:
            run.clean()
    library.note(target, source=str(found.path), expected_sha256=digest)
    yield Added(target, run.total_bytes, digest)


def _free_targets(
    parts: tuple[Path, ...], folder: Path, is_taken: Callable[[Path], bool]
) -> dict[Path, Path]:
    """Where each file goes: under its own name, or all of them under another that is free."""
    for name in unlike_names(parts[0].name):
        stem = strip_suffix(name)
        targets = {part: folder / renamed(part.name, stem) for part in parts}
        if not any(is_taken(target) for target in targets.values()):
            break
    return targets


class _Placing:
    """Files on their way to their `targets`, under temporary names until all are there.

    The names follow from the final ones, which this process holds: what lies there was left by a kill.
    """

    def __init__(self, targets: dict[Path, Path]) -> None:
        self._targets = targets
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
        for part in self._targets:
            digest = hashlib.sha256()
            for data in self._copy_file(part):
                digest.update(data)
                done_bytes += len(data)
                yield done_bytes
            self.sha256 = digest.hexdigest()

    def link(self) -> None:
        """Give every file a second name."""
        for part, target in self._targets.items():
            try:
                os.link(part, self._partial(part))
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
        # Its own name may have no room for more.
        name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:24]
        partial = self._folder / f".{name}.partial"
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
