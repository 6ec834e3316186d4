"""The models on this disk as a screen shows them: grouped by place, each with its verdict, and the disk.

Reads the disk once, through the library. Knows no screen; which model is loaded it is told.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from app.chat.events import EngineState
from app.models.next_machine import NOTHING_LOADED, loaded_file, machine_for_next
from app.models.service import ModelService
from engine.models.catalog import CatalogModel
from engine.models.fit import Fit, Verdict, judge
from engine.models.listing import LocalModel, MissingModel
from engine.models.machine import Machine
from engine.models.places import nearest_folder
from engine.models.presence import FolderState, look_at_folder

NO_FORMATS: Mapping[Path, str] = MappingProxyType({})
GroupKind = Literal["models", "folder", "elsewhere", "hf-cache"]


@dataclass(frozen=True, slots=True)
class ShelfRow:
    """One model. entry: of the catalog, where it is known to come from there. fit: None where it can't be
    used. part_bytes: sizes of its files.
    """

    model: LocalModel
    entry: CatalogModel | None
    fit: Fit | None
    part_bytes: tuple[int, ...]

    @property
    def is_split(self) -> bool:
        """Whether it is several files."""
        return len(self.model.parts) > 1

    @property
    def is_in_place(self) -> bool:
        """Whether it is only remembered, in none of the folders looked at."""
        return self.model.place == "in-place"


@dataclass(frozen=True, slots=True)
class ShelfGroup:
    """The models of one place. folder: None for those that are elsewhere; state says whether it is there."""

    kind: GroupKind
    folder: Path | None
    rows: tuple[ShelfRow, ...]
    state: FolderState = "readable"


@dataclass(frozen=True, slots=True)
class DiskShares:
    """The models folder's disk, in bytes: models on it, everything else, and what is free."""

    models_bytes: int
    other_bytes: int
    free_bytes: int

    @property
    def total_bytes(self) -> int:
        """All three."""
        return self.models_bytes + self.other_bytes + self.free_bytes


@dataclass(frozen=True, slots=True)
class Shelf:
    """All that is on this disk. Groups without models are left out, but for folders that a person added, and
    the models folder where it can't be read.
    """

    groups: tuple[ShelfGroup, ...]
    missing: tuple[MissingModel, ...]
    disk: DiskShares | None

    @property
    def rows(self) -> tuple[ShelfRow, ...]:
        """The rows of all groups, in the order they are shown."""
        return tuple(row for group in self.groups for row in group.rows)

    @property
    def is_whole(self) -> bool:
        """Whether every folder could be looked at."""
        return all(group.state != "unreadable" for group in self.groups)


def read_shelf(
    models: ModelService, state: EngineState = NOTHING_LOADED, formats: Mapping[Path, str] = NO_FORMATS
) -> Shelf:
    """Look at the disk; state: what is loaded, whose memory the next model would take over.

    formats: the prompt formats, or paths of templates, that a person chose for some models.
    """
    listing = models.listing()
    machine, loaded = machine_for_next(models, state), loaded_file(state)
    library = models.library
    rows = [_row(model, models, machine, loaded, formats.get(model.path)) for model in listing.models]
    return Shelf(
        groups=tuple(_groups(rows, library.folder, library.folders)),
        missing=listing.missing,
        disk=disk_shares(library.folder, listing.models),
    )


def disk_shares(folder: Path, models: Iterable[LocalModel]) -> DiskShares | None:
    """How the disk of `folder` is used; None where the system does not say."""
    there = nearest_folder(folder)
    try:
        disk, device = shutil.disk_usage(there), os.stat(there).st_dev
    except OSError:
        return None
    used = max(0, disk.total - disk.free)
    on_it = sum(model.size_bytes for model in models if _device(model.path) == device)
    models_bytes = min(on_it, used)
    return DiskShares(models_bytes, used - models_bytes, disk.free)


def _row(
    model: LocalModel, models: ModelService, machine: Machine, loaded: Path | None, prompt_format: str | None
) -> ShelfRow:
    return ShelfRow(
        model=model if prompt_format is None else replace(model, prompt_format=prompt_format),
        entry=models.catalog.find(model.catalog_id) if model.catalog_id else None,
        fit=_fit(model, machine, is_loaded=loaded in model.parts),
        part_bytes=tuple(_size(part) for part in model.parts),
    )


def _fit(model: LocalModel, machine: Machine, *, is_loaded: bool) -> Fit | None:
    if model.summary is None or model.problem is not None:
        return None
    fit = judge(model.summary.footprint, machine)
    if is_loaded and fit.verdict is Verdict.NO:  # it is there and answers; its own pages were counted twice
        machine = replace(machine, available_bytes=fit.need.total)
        fit = judge(model.summary.footprint, machine, fit.context_tokens)
    return fit


def _groups(rows: list[ShelfRow], models: Path, folders: tuple[Path, ...]) -> Iterable[ShelfGroup]:
    own = tuple(row for row in rows if row.model.place == "models")
    state = look_at_folder(models)
    if own or state == "unreadable":
        yield ShelfGroup("models", models, own, state)
    left = [row for row in rows if row.model.place == "folder"]
    for folder in folders:
        inside = tuple(row for row in left if row.model.path.is_relative_to(folder))
        left = [row for row in left if row not in inside]
        yield ShelfGroup("folder", folder, inside, look_at_folder(folder))
    elsewhere = tuple(row for row in rows if row.is_in_place)
    if elsewhere:
        yield ShelfGroup("elsewhere", None, elsewhere)
    cached = tuple(row for row in rows if row.model.place == "hf-cache")
    if cached:
        yield ShelfGroup("hf-cache", None, cached)


def _device(path: Path) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
