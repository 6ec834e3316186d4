"""A JSON object on disk that survives crashes, damage and other versions of the app.

Knows nothing of what the object means: keys that nobody asks about stay as they were found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from app.durable import set_aside, write_file
from app.typed_json import parse_json

_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(eq=False)
class SettingsError(Exception):
    """Base of what can go wrong with settings; its dataclass fields are what a message may use."""

    path: Path

    def __str__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class SettingsNotSaved(SettingsError):
    """The system refused to write; `reason` is its own text. The file has what it had."""

    reason: str


class SettingsFile:
    """The object in the file at `path`; an empty one where there is no file.

    damaged_path: where an unreadable file was moved to, for the screen to say; None when all was well.
    is_readable: False when the system refused to read or to move the file, or it was left where it is; it is
    never written over then.
    """

    def __init__(self, path: Path, version: int, *, sets_aside: bool = True) -> None:
        """sets_aside: False leaves an unreadable file where it is, for who only wants to read."""
        self.path = path
        self.damaged_path: Path | None = None
        self.is_readable = True
        self._version = version
        self._sets_aside = sets_aside
        self._content: dict[str, Any] = self._read()

    @property
    def content(self) -> Mapping[str, Any]:
        """What was read or written last, keys of other versions included."""
        return self._content

    def write(self, changes: Mapping[str, Any], *, whole: tuple[str, ...] = ()) -> None:
        """Save the object with `changes` merged into it, objects within objects too.

        whole: keys whose objects are replaced and not merged. Raises SettingsNotSaved.
        """
        merged = _merged(self._content, changes)
        merged |= {key: changes[key] for key in whole}
        found = merged.get("version")
        is_newer = isinstance(found, int) and found > self._version
        merged["version"] = found if is_newer else self._version
        if not self.is_readable:
            raise SettingsNotSaved(self.path, "the file can't be read")
        text = json.dumps(merged, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        try:
            write_file(self.path, text.encode())
        except OSError as error:
            raise SettingsNotSaved(self.path, error.strerror or str(error)) from error
        self._content = parse_json(text)  # as the next start will find it: lists, not tuples

    def _read(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                data = file.read(_LIMIT_BYTES + 1)
            if len(data) > _LIMIT_BYTES:
                raise ValueError("too large")
            content = parse_json(data.decode("utf-8-sig"))
            if isinstance(content, dict):
                return content
        except FileNotFoundError:
            return {}
        except OSError:
            self.is_readable = False
            return {}
        except ValueError:  # also UnicodeDecodeError
            pass
        if not self._sets_aside:
            self.is_readable = False
            return {}
        try:
            self.damaged_path = set_aside(self.path)
        except OSError:
            self.is_readable = False
        return {}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        is_both = isinstance(before, dict) and isinstance(value, Mapping)
        result[key] = _merged(before, value) if isinstance(before, dict) and is_both else value
    return result
