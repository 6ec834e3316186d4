"""Where GGUF files are found on this disk: folders, and the cache of the Hugging Face hub.

Looks at names and links only, and opens no model. The files of a split model (`-00001-of-00003.gguf`) come
as one. What can't be reached now is left out, and hides nothing else.

The cache (huggingface.co/docs/huggingface_hub/guides/manage-cache) holds, in `models--OWNER--NAME`, the bytes
in `blobs/HASH` and, for each commit, links to them under their names in `snapshots/COMMIT/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.models.errors import PartsMissing
from engine.models.parts import PART, joined_hash, part_names
from engine.models.presence import look_at_path

Place = Literal["models", "folder", "in-place", "hf-cache"]
"""In the models folder, in one that a person added, in none that is looked at, or in the hub's cache."""

SUFFIX = ".gguf"
_REPO = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_DEPTH = 4
_MAX_FILES = 20_000


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One model: `parts` are its files in order, one unless it is split.

    n_parts: how many there should be. source: `OWNER/NAME/FILE` on the hub, where the place tells.
    sha256: as the cache's names say.
    """

    name: str
    parts: tuple[Path, ...]
    n_parts: int
    place: Place
    source: str | None = None
    sha256: str | None = None

    @property
    def path(self) -> Path:
        """The file that is loaded: the first one."""
        return self.parts[0]

    @property
    def missing_parts(self) -> tuple[int, ...]:
        """Numbers of the files that are not there."""
        if self.n_parts == 1:
            return ()
        there = {_part_number(path) for path in self.parts}
        return tuple(number for number in range(1, self.n_parts + 1) if number not in there)

    @property
    def gap(self) -> PartsMissing | None:
        """The error for it where files are missing."""
        missing = self.missing_parts
        if not missing:
            return None
        return PartsMissing(self.path, self.n_parts, missing, part_names(self.path.name)[missing[0] - 1])

    def require_all(self) -> None:
        """Raise PartsMissing unless all of its files are there."""
        if (gap := self.gap) is not None:
            raise gap


def scan_folder(folder: Path, place: Place) -> tuple[FoundModel, ...]:
    """The GGUF files in a folder and up to four levels below, hidden ones left out; () if there is none."""
    return _group(_walk(folder, _MAX_DEPTH), place)


def scan_hf_cache(hub: Path) -> tuple[FoundModel, ...]:
    """The GGUF files of every repository in the hub's cache; the same bytes are listed once."""
    found = []
    for folder in _entries(hub):
        match = _REPO.fullmatch(folder.name)
        if match is not None:
            found += _scan_repository(folder, f"{match['owner']}/{match['name']}")
    return tuple(found)


def find_parts(path: Path) -> FoundModel:
    """The model that the file at `path` belongs to, with its other parts beside it."""
    match = PART.fullmatch(path.name)
    if match is None:
        return FoundModel(strip_suffix(path.name), (path,), 1, "folder")
    siblings = (entry for entry in _entries(path.parent) if _is_sibling(entry, match))
    beside = (entry for entry in siblings if look_at_path(entry) in ("file", "unreachable"))
    return FoundModel(match["stem"], tuple(sorted(beside)) or (path,), int(match["count"]), "folder")


def find_hf_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the hub's cache is, as huggingface_hub finds it; it need not exist."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(variable):
            return Path(os.path.expanduser(environ[variable]))
    if environ.get("HF_HOME"):
        return Path(os.path.expanduser(environ["HF_HOME"]), "hub")
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(cache), "huggingface", "hub")


def normal_path(path: Path) -> Path:
    """One way to write a path: absolute, and without `..`. Links stay: they may lead elsewhere one day."""
    return Path(os.path.abspath(path))


def nearest_folder(path: Path) -> Path:
    """`path` itself where something is, else the folder above it that is there: it is on the same disk."""
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path


def strip_suffix(name: str) -> str:
    """A file's name without `.gguf`, and without the part's number."""
    match = PART.fullmatch(name)
    if match is not None:
        return match["stem"]
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def _scan_repository(folder: Path, repo: str) -> list[FoundModel]:
    """Newest snapshot first, so that of several names for the same bytes the present one is taken."""
    seen: set[Path] = set()
    found = []
    for snapshot in sorted(_entries(folder / "snapshots"), key=_age):
        for model in _group(_walk(snapshot, _MAX_DEPTH), "hf-cache"):
            blobs = tuple(path.resolve() for path in model.parts)
            if blobs[0] in seen:
                continue
            seen.update(blobs)
            inside = model.path.relative_to(snapshot).as_posix()
            hashes = [blob.name for blob in blobs]
            sha256 = joined_hash(hashes) if all(map(_SHA256.fullmatch, hashes)) else None
            found.append(
                FoundModel(model.name, model.parts, model.n_parts, "hf-cache", f"{repo}/{inside}", sha256)
            )
    return found


def _group(files: Iterator[tuple[Path, bool]], place: Place) -> tuple[FoundModel, ...]:
    """The models that `_walk` found; one with a part that can't be reached is none now, and lacks nothing."""
    groups: dict[tuple[Path, str, int], list[Path]] = {}
    unreachable = set()
    for number, (path, is_reachable) in enumerate(files):
        if number >= _MAX_FILES:
            break
        match = PART.fullmatch(path.name)
        n_parts = int(match["count"]) if match is not None else 1
        key = (path.parent, strip_suffix(path.name) if n_parts > 1 else path.name, n_parts)
        groups.setdefault(key, []).append(path)
        if not is_reachable:
            unreachable.add(key)
    return tuple(
        FoundModel(strip_suffix(parts[0].name), tuple(sorted(parts)), max(1, key[2]), place)
        for key, parts in sorted(groups.items())
        if key not in unreachable
    )


def _is_sibling(path: Path, match: re.Match[str]) -> bool:
    other = PART.fullmatch(path.name)
    return other is not None and (other["stem"], other["count"]) == (match["stem"], match["count"])


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, bool]]:
    """Every GGUF file, and whether it can be reached now."""
    for entry in _entries(folder):
        presence = look_at_path(entry)
        if entry.name.lower().endswith(SUFFIX) and presence in ("file", "unreachable"):
            yield entry, presence == "file"
        elif depth > 1 and presence == "folder" and not os.path.islink(entry):
            yield from _walk(entry, depth - 1)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, in order, hidden names left out; nothing where it can't be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _part_number(path: Path) -> int:
    match = PART.fullmatch(path.name)
    return int(match["number"]) if match is not None else 1
