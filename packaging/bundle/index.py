"""A bundle's folder of licences, and the index in it that other programs read. Needs no package."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from product import PackagingError

FOLDER = "licences"
_NAME = "index.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the bundle that somebody made.

    licence: an SPDX expression. files: its texts, relative to the folder of licences. covers: patterns of its
    own files, relative to the bundle; none if it is Python only. modules: top-level Python modules.
    """

    name: str
    version: str
    licence: str
    files: tuple[str, ...]
    covers: tuple[str, ...]
    modules: tuple[str, ...] = ()


def licences_folder(bundle: Path) -> Path:
    """Where it is: in an app for macOS nothing may lie beside `Contents`, or it can't be signed."""
    contents = bundle / "Contents"
    return contents / "Resources" / FOLDER if contents.is_dir() else bundle / FOLDER


def write_index(bundle: Path, entries: list[Entry]) -> None:
    """Write the index into the folder, which must be there."""
    text = json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False)
    (licences_folder(bundle) / _NAME).write_text(text, encoding="utf-8")


def read_index(bundle: Path) -> list[Entry]:
    """The entries, the product's own first. Raises PackagingError without an index of the known form."""
    path = licences_folder(bundle) / _NAME
    try:
        return [
            Entry(
                name=str(one["name"]),
                version=str(one["version"]),
                licence=str(one["licence"]),
                files=tuple(map(str, one["files"])),
                covers=tuple(map(str, one["covers"])),
                modules=tuple(map(str, one["modules"])),
            )
            for one in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackagingError(f"{path} can't be read ({error!r}); build the bundle again") from error
