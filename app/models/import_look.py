"""What is at a path that a person wants to import, as far as it decides what to ask.

Reads headers and sizes; what a checkpoint is, is recognised elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from app.kit.errors import KitError
from app.kit.manifest import model_of_kit
from app.models.importing import is_gguf
from engine.errors import EngineError
from engine.installation import is_phone
from engine.models.adding import How
from engine.models.header_summary import summarize
from engine.models.library import Library
from engine.models.places import FoundModel, find_parts, nearest_folder


@dataclass(frozen=True, slots=True)
class ImportLook:
    """size_bytes: of all files of a GGUF. can_copy: the models folder's disk has room for it, as far as is
    known. can_link: it is on that disk, so that a second name is possible. can_stay: nobody but the person
    takes it away. is_known: it is among the models already. free_bytes: of that disk; too restless to make
    one look another. problem: why what is or calls itself a GGUF can't be imported.
    """

    path: Path
    exists: bool = False
    is_gguf: bool = False
    size_bytes: int = 0
    can_copy: bool = True
    can_link: bool = False
    can_stay: bool = True
    is_known: bool = False
    free_bytes: int | None = field(default=None, compare=False)
    problem: EngineError | KitError | None = None

    def can(self, way: How) -> bool:
        """Whether a GGUF can be added in this way."""
        return {"copy": self.can_copy, "link": self.can_link, "in-place": self.can_stay}[way]

    def possible(self, wished: How) -> How:
        """The wished way, else another one that takes no more room, else a copy."""
        ways: tuple[How, ...] = (wished, "link", "in-place")
        return next((way for way in ways if self.can(way)), "copy")


def look_at_import(path: Path, library: Library) -> ImportLook:
    """Look at `path`, of an offline kit at its model; the library's folder need not exist yet."""
    path, models = path.absolute(), library.folder
    if not os.path.exists(path):
        return ImportLook(path)
    try:
        path = model_of_kit(path) or path
    except KitError as error:
        return ImportLook(path, exists=True, is_gguf=True, problem=error)
    if not os.path.isfile(path) or not is_gguf(path):
        return ImportLook(path, exists=True)
    found = find_parts(path)
    problem = _problem(found)
    if problem is not None:
        return ImportLook(path, exists=True, is_gguf=True, problem=problem)
    try:
        states = [os.stat(part) for part in found.parts]
        device = os.stat(nearest_folder(models)).st_dev
    except OSError:
        return ImportLook(path, exists=True, is_gguf=True)
    can_link = all(state.st_dev == device for state in states)
    size_bytes = sum(state.st_size for state in states)
    free_bytes = library.free_bytes()
    can_copy = free_bytes is None or size_bytes <= free_bytes
    is_known = library.look().of_file(path) is not None
    return ImportLook(
        path,
        exists=True,
        is_gguf=True,
        size_bytes=size_bytes,
        can_copy=can_copy,
        can_link=can_link,
        can_stay=not is_phone(),  # what is chosen there lies in a cache
        is_known=is_known,
        free_bytes=free_bytes,
    )


def _problem(found: FoundModel) -> EngineError | None:
    """Why the files can't be used, as the import would find out."""
    try:
        found.require_all()
        summarize(found.path, found.parts)
    except EngineError as error:
        return error
    return None
