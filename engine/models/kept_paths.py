"""Paths as the data folder's own files keep them: what lies in that folder is written from there.

So the folder can be moved, to another drive letter, another disk or another system, and what is remembered of
the models in it still belongs to them. Knows only names; looks at no disk.
"""

from __future__ import annotations

from pathlib import Path

_MARK = "<data>/"
"""No path begins like this on any system: Windows forbids `<`, and others write absolute paths with `/`."""


def kept_path(path: str, data_folder: Path) -> str:
    """How `path` is written; what is no absolute path in `data_folder` stays as it is."""
    found = Path(path)
    if not found.is_absolute() or not found.is_relative_to(data_folder):
        return path
    return _MARK + found.relative_to(data_folder).as_posix()


def found_path(kept: str, data_folder: Path) -> str:
    """The path that was written as `kept`, of older versions too, which wrote all of them whole."""
    return str(data_folder / kept.removeprefix(_MARK)) if kept.startswith(_MARK) else kept
