"""Folders of this disk as a person looks through them, where there is no system dialog. Opens no file."""

from __future__ import annotations

import os
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import FolderNotReadable

_MAX_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder. size_bytes: of a file; None where the system does not say."""

    path: Path
    is_folder: bool
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in a folder, folders first. parent: None at the top; n_more: entries that were left out."""

    path: Path
    entries: tuple[Entry, ...]
    parent: Path | None
    n_more: int


def list_folder(path: Path) -> Folder:
    """Look into a folder; hidden entries are left out. Raises FolderNotReadable."""
    path = Path(os.path.expanduser(path)).absolute()
    try:
        with os.scandir(path) as found:
            entries = [_entry(item) for item in found if not item.name.startswith(".")]
    except OSError as error:
        raise FolderNotReadable(path, error.strerror or str(error)) from error
    entries.sort(key=lambda entry: (not entry.is_folder, entry.path.name.casefold()))
    parent = path.parent if path.parent != path else None
    return Folder(path, tuple(entries[:_MAX_ENTRIES]), parent, max(0, len(entries) - _MAX_ENTRIES))


def nearest_folder(path: Path | None) -> Path:
    """Where to begin looking: the folder at or above `path`, else the home folder."""
    for candidate in () if path is None else (path, *path.parents):
        if os.path.isdir(candidate):
            return candidate
    return Path.home()


def starting_places() -> tuple[Path, ...]:
    """Where people keep files: home, desktop, downloads, and every disk."""
    from platformdirs import user_desktop_path, user_downloads_path

    wanted = (Path.home(), user_desktop_path(), user_downloads_path(), *_disks())
    return tuple(dict.fromkeys(path for path in wanted if os.path.isdir(path)))


def _disks() -> Iterator[Path]:
    if sys.platform == "win32":
        yield from (Path(f"{letter}:\\") for letter in string.ascii_uppercase)
        return
    yield Path("/")
    user = Path.home().name
    mounts = ("/Volumes",) if sys.platform == "darwin" else (f"/media/{user}", f"/run/media/{user}", "/mnt")
    for mount in map(Path, mounts):
        try:
            yield from sorted(path for path in mount.iterdir() if os.path.isdir(path))
        except OSError:
            continue


def _entry(item: os.DirEntry[str]) -> Entry:
    try:
        is_folder = item.is_dir()
        size_bytes = None if is_folder else item.stat().st_size
    except OSError:  # a link to nowhere
        return Entry(Path(item.path), False, None)
    return Entry(Path(item.path), is_folder, size_bytes)
