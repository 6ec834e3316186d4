"""What is at a path that a person wants to import, as far as it decides what to ask.

Reads a few bytes and sizes; what a checkpoint is, is recognised elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.models.importing import is_gguf
from engine.models.places import find_parts


@dataclass(frozen=True, slots=True)
class ImportLook:
    """size_bytes: of all files of a GGUF. can_link: it is on the models folder's disk, so that a second name
    is possible. is_known: it lies in that folder already.
    """

    path: Path
    exists: bool = False
    is_gguf: bool = False
    size_bytes: int = 0
    can_link: bool = False
    is_known: bool = False


def look_at_import(path: Path, models: Path) -> ImportLook:
    """Look at `path`; `models` is the models folder, which need not exist yet."""
    path = path.absolute()
    if not os.path.exists(path):
        return ImportLook(path)
    if not os.path.isfile(path) or not is_gguf(path):
        return ImportLook(path, exists=True)
    disk = models
    while not os.path.exists(disk) and disk != disk.parent:
        disk = disk.parent
    parts = find_parts(path).parts
    try:
        states = [os.stat(part) for part in parts]
        can_link = all(state.st_dev == os.stat(disk).st_dev for state in states)
    except OSError:
        return ImportLook(path, exists=True, is_gguf=True)
    size_bytes = sum(state.st_size for state in states)
    return ImportLook(path, True, True, size_bytes, can_link, path.is_relative_to(models))
