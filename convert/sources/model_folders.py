"""From the folder that a person points at to the one with a model's files.

| who                | where the files of a model are                                                     |
|--------------------|------------------------------------------------------------------------------------|
| huggingface_hub    | hub/models--OWNER--NAME/snapshots/COMMIT, links; refs/main holds the latest COMMIT |
| LM Studio          | models/PUBLISHER/MODEL                                                             |
| trainers, people   | a folder around the model's, or one for each state of a training                   |

The cache: huggingface.co/docs/huggingface_hub/guides/manage-cache. Looks at names only, and opens no model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from convert.errors import SeveralCheckpoints

_REPOSITORY = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)")
_NO_MODELS = re.compile(r"(datasets|spaces)--.+")
_SNAPSHOTS = "snapshots"
_WEIGHTS = re.compile(r".+\.(safetensors|bin|pt|pth|ckpt|gguf|enc|index\.json)", re.IGNORECASE)
_NO_WEIGHTS = re.compile(r"(optimizer|scheduler|scaler|training_args|rng_state|global_step).*")
_DESCRIPTIONS = ("config.json", "params.json", "adapter_config.json")
_MAX_COMMIT = 64
_MAX_DEPTH = 2  # and two more of a repository's own
_MAX_FOLDERS = 2000
_N_NAMES_SHOWN = 6


def find_model_folder(path: Path) -> Path:
    """`path` itself where it is a file or has a model's files; else the only folder below that has some.

    Of a repository in the hub's cache that is the commit of its main branch, else the only one. Where there
    is none, `path` itself: what is missing is told by who opens it. Raises `SeveralCheckpoints`.
    """
    if not os.path.isdir(path):
        return path
    here = _file_names(path)
    if any(map(_is_weights, here)) or any(name in here for name in _DESCRIPTIONS):
        return path
    found = list(_model_folders(path, _MAX_DEPTH, [_MAX_FOLDERS]))
    if len(found) > 1:
        names = [folder.relative_to(path).as_posix() for folder in found[: _N_NAMES_SHOWN + 1]]
        shown = (*names[:_N_NAMES_SHOWN], "…") if len(names) > _N_NAMES_SHOWN else tuple(names)
        raise SeveralCheckpoints(path, shown)
    return found[0] if found else path


def model_name(folder: Path) -> str:
    """What a model in this folder is called: in the hub's cache as its repository, and not as a commit."""
    for above in (folder, *folder.parents):
        match = _REPOSITORY.fullmatch(above.name)
        if match is not None:
            return "-".join([match["name"], *folder.relative_to(above).parts[2:]])
    return folder.name


def _model_folders(folder: Path, depth: int, n_left: list[int]) -> Iterator[Path]:
    """Those with weights, in order, none below another; `n_left` folders are looked at in all."""
    n_left[0] -= 1
    if n_left[0] < 0:
        return
    repository = folder.parent if folder.name == _SNAPSHOTS else folder
    if _has_weights(folder):
        yield folder
    elif _REPOSITORY.fullmatch(repository.name) is not None:
        yield from _commits(repository)
    elif depth > 0:
        for below in _folders(folder):
            yield from _model_folders(below, depth - 1, n_left)


def _commits(repository: Path) -> list[Path]:
    """Those with weights; only the main branch's, as it was fetched last, where it is one of them.

    Where none has any, the folders right in them that do.
    """
    commits = _folders(repository / _SNAPSHOTS)
    found = [folder for folder in commits if _has_weights(folder)]
    if not found:
        return [below for commit in commits for below in _folders(commit) if _has_weights(below)]
    try:
        with open(repository / "refs" / "main", encoding="ascii") as file:
            main = repository / _SNAPSHOTS / file.read(_MAX_COMMIT).strip()
    except (OSError, ValueError):
        return found
    return [main] if main in found else found


def _has_weights(folder: Path) -> bool:
    return any(map(_is_weights, _file_names(folder)))


def _is_weights(name: str) -> bool:
    return _WEIGHTS.fullmatch(name) is not None and _NO_WEIGHTS.fullmatch(name) is None


def _file_names(folder: Path) -> list[str]:
    """Whatever is no folder, also a link to nothing; none where the folder can't be read."""
    return [entry.name for entry in _entries(folder) if not os.path.isdir(entry.path)]


def _folders(folder: Path) -> list[Path]:
    """Hidden ones and links, which may lead in a circle, left out."""
    entries = _entries(folder)
    found = (entry for entry in entries if os.path.isdir(entry.path) and not entry.is_symlink())
    usable = (entry for entry in found if entry.name[:1] != "." and not _NO_MODELS.fullmatch(entry.name))
    return sorted(folder / entry.name for entry in usable)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (OSError, ValueError):
        return []
