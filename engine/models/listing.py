"""What the list of this disk's models shows of each: found file, header and record put together.

Reads headers; looks for nothing and changes nothing (`engine.models.library` does).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from engine.errors import EngineError, ModelFileError
from engine.models.errors import ModelChanged
from engine.models.header_summary import EDITION, HeaderSummary, summarize
from engine.models.places import FoundModel, Place, strip_suffix
from engine.models.presence import look_at_path
from engine.models.records import FileState, Record, is_in


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model on this disk. name: unique in the list, what a person types.

    parts: its files in order. sha256: hexadecimal, None until it was computed for the file as it is now.
    summary: None where a header can't be read. problem: why the file can't be used, None where it can.
    moved_from: where it was before. catalog_id: of the catalog's model it was made from, where that was
    recorded.
    """

    name: str
    parts: tuple[Path, ...]
    place: Place
    size_bytes: int
    summary: HeaderSummary | None
    problem: EngineError | None
    sha256: str | None
    expected_sha256: str | None
    source: str | None
    license: str | None
    prompt_format: str | None
    added_at: float | None
    used_at: float | None
    moved_from: Path | None = None
    catalog_id: str | None = None

    @property
    def path(self) -> Path:
        """The file that is loaded: the first one."""
        return self.parts[0]


@dataclass(frozen=True, slots=True)
class MissingModel:
    """A model that was recorded and is no longer where it was, nor anywhere else that is looked at."""

    name: str
    path: Path
    size_bytes: int
    source: str | None


_Model = TypeVar("_Model", LocalModel, MissingModel)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at the disk found."""

    models: tuple[LocalModel, ...]
    missing: tuple[MissingModel, ...]

    def find(self, name: str) -> LocalModel | None:
        """The model of this name, exact spelling first; `.gguf` and upper and lower case don't matter."""
        return _named(name, self.models)

    def at(self, path: Path) -> LocalModel | None:
        """The model one of whose files is at `path`."""
        absolute = path.absolute()
        return next((model for model in self.models if absolute in model.parts), None)

    def of_file(self, path: Path) -> LocalModel | None:
        """The model one of whose files `path` leads to, through whatever links."""
        real = os.path.realpath(path)
        return next((model for model in self.models if real in map(os.path.realpath, model.parts)), None)

    def find_missing(self, name: str) -> MissingModel | None:
        """The model of this name that is gone, taken as `find` takes it."""
        return _named(name, self.missing)

    def missing_at(self, path: Path) -> MissingModel | None:
        """The model that is gone from `path`."""
        absolute = path.absolute()
        return next((model for model in self.missing if model.path == absolute), None)


def describe(found: FoundModel, state: FileState, record: Record | None) -> tuple[LocalModel, Record | None]:
    """The list's row, and a record worth keeping where the header had to be read."""
    known = record or Record(state.size_bytes, state.mtime_ns)
    is_fresh = known.fits(state)
    summary = known.summary if is_fresh and known.summary and known.summary.edition == EDITION else None
    problem: EngineError | None = None
    learned = None
    if found.gap is not None:
        summary, problem = None, found.gap
    elif summary is None:
        try:
            summary = summarize(found.path, found.parts)
        except ModelFileError as error:
            problem = error
        else:
            learned = Record(state.size_bytes, state.mtime_ns, summary=summary)
    sha256 = known.sha256 if is_fresh else None
    expected = known.expected_sha256 or found.sha256
    if problem is None and sha256 is not None and expected is not None and sha256 != expected:
        problem = ModelChanged(found.path, expected, sha256)
    model = LocalModel(
        name=found.name,
        parts=found.parts,
        place=found.place,
        size_bytes=state.size_bytes,
        summary=summary,
        problem=problem,
        sha256=sha256,
        expected_sha256=expected,
        source=known.source or found.source,
        license=known.license or (summary.license if summary else None),
        prompt_format=known.prompt_format or (summary.prompt_format if summary else None),
        added_at=known.added_at,
        used_at=known.used_at,
        catalog_id=known.catalog_id,
    )
    return model, learned


def with_unique_names(models: Iterable[FoundModel]) -> tuple[FoundModel, ...]:
    """A name that is there already gets its folder's, then a number."""
    taken: set[str] = set()
    named = []
    for model in models:
        numbered = (f"{model.name} ({number})" for number in count(2))
        candidates = chain((model.name, f"{model.name} ({model.path.parent.name})"), numbered)
        name = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(name)
        named.append(replace(model, name=name))
    return tuple(sorted(named, key=lambda model: model.name.casefold()))


def _named(name: str, models: Iterable[_Model]) -> _Model | None:
    wanted = strip_suffix(name)
    same = [model for model in models if model.name.casefold() == wanted.casefold()]
    return min(same, key=lambda model: model.name != wanted, default=None)


def missing_models(
    records: Mapping[Path, Record], states: Mapping[Path, FileState], folders: Sequence[Path]
) -> tuple[MissingModel, ...]:
    """What is gone of our own, and from the `folders` looked at; other programs' files come and go."""
    return tuple(
        MissingModel(strip_suffix(path.name), path, record.size_bytes, record.source)
        for path, record in records.items()
        if path not in states and (record.is_ours or is_in(path, folders)) and look_at_path(path) == "gone"
    )
