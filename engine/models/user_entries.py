"""Models that a person added to the catalog: a file on the hub, an address, or a path on this disk.

Only where they come from is kept; what they are is found out when they are fetched or read.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from engine.models.endpoints import is_address, is_repo_name
from engine.models.errors import EntryInvalid
from engine.models.free_names import FORBIDDEN
from engine.models.json_store import JsonStore
from engine.typed_json import JsonMismatch, from_json

_MAX_SOURCE = 4096


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One entry. kind "hub": `repo` and `file` (None: the whole repository); "address": an https address in
    `source`; "path": an absolute path in `source`. added_at: seconds since 1970.
    """

    name: str
    kind: Literal["hub", "address", "path"]
    source: str
    repo: str | None = None
    file: str | None = None
    added_at: float = 0.0


def parse_source(source: str) -> UserEntry:
    """What a person typed: `owner/name`, `owner/name/file`, an https address, or a path.

    Raises EntryInvalid. An existing path wins over the hub.
    """
    text = source.strip()
    if not text or len(text) > _MAX_SOURCE or "\0" in text:
        raise EntryInvalid(source[:200])
    if "://" in text:
        return _from_address(text)
    path = Path(os.path.expanduser(text))
    if path.is_absolute() or text.startswith((".", "~")) or os.path.exists(path):
        return UserEntry(path.stem or path.name, "path", str(path.absolute()))
    return _from_hub(text)


def _from_address(text: str) -> UserEntry:
    if not is_address(text, ("https",)):
        raise EntryInvalid(text[:200])
    parts = urlsplit(text)
    # It becomes a file's name: what is a folder or a stream for some system must be neither.
    name = FORBIDDEN.sub("_", PurePosixPath(unquote(parts.path)).stem).strip(" .")
    if parts.username or not name:
        raise EntryInvalid(text[:200])
    return UserEntry(name, "address", text)


def _from_hub(text: str) -> UserEntry:
    owner, _, rest = text.partition("/")
    name, _, file = rest.partition("/")
    repo = f"{owner}/{name}"
    is_inside = all(part not in ("", ".", "..") for part in file.split("/")) and "\\" not in file
    if not is_repo_name(repo) or (file and not is_inside):
        raise EntryInvalid(text[:200])
    return UserEntry(PurePosixPath(file).stem if file else name, "hub", text, repo, file or None)


class UserEntries:
    """The entries in the file at `path`, in the order they were added; unreadable ones stay untouched."""

    def __init__(self, path: Path) -> None:
        self._store = JsonStore(path)

    def all(self) -> tuple[UserEntry, ...]:
        """All that can be read. Raises RecordsNotSaved where the system refuses."""
        entries = []
        for value in _list(self._store.read()):
            try:
                entries.append(from_json(UserEntry, value))
            except JsonMismatch:
                continue
        return tuple(entries)

    def add(self, entry: UserEntry) -> None:
        """Add it, or replace the one of the same source. Raises RecordsNotSaved and LibraryInUse."""

        def edit(content: dict[str, Any]) -> None:
            others = [value for value in _list(content) if _source(value) != entry.source]
            content["entries"] = [*others, asdict(entry)]

        self._store.change(edit)

    def remove(self, source: str) -> bool:
        """Remove the entry of this source; false where there is none. Raises as `add` does."""
        found = False

        def edit(content: dict[str, Any]) -> None:
            nonlocal found
            others = [value for value in _list(content) if _source(value) != source]
            found = len(others) < len(_list(content))
            content["entries"] = others

        self._store.change(edit)
        return found


def _list(content: dict[str, Any]) -> list[Any]:
    entries = content.get("entries")
    return entries if isinstance(entries, list) else []


def _source(value: Any) -> str | None:
    source = value.get("source") if isinstance(value, dict) else None
    return source if isinstance(source, str) else None
