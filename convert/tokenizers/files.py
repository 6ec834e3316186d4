"""The handful of small files that make up a tokenizer, held in memory, every size and depth bounded.

Knows their names and that most are JSON objects, not what they mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, InvalidFile, LfsPointer, TokenizerMissing
from convert.sources.folder import LFS_POINTER_START, LocalFolder, SourceFolder, read_file

SIZE_LIMITS = {
    "tokenizer.model": 8 << 20,
    "tokenizer.json": 32 << 20,
    "tokenizer_config.json": 16 << 20,
    "special_tokens_map.json": 1 << 20,
    "added_tokens.json": 1 << 20,
}
"""Bytes. BLOOM's tokenizer.json, the largest known, has 14.5 MB."""

_OLD_FORM_LIMITS = {"vocab.json": 16 << 20, "merges.txt": 16 << 20}
"""Bytes; read only where a folder has neither of the usual two. Qwen's have 2.8 and 1.7 MB."""

_USUAL_FILES = ("tokenizer.model", "tokenizer.json")
MAIN_FILES = (*_USUAL_FILES, "vocab.json")

MAX_CONTAINERS = 1 << 20
MAX_ITEMS = 2 << 20
"""Brackets and commas a JSON file may have, counted before parsing: each costs memory many times its size."""


@dataclass(frozen=True)
class TokenizerFiles:
    """Contents by file name; `path` is the tokenizer file, or the folder where none was found."""

    path: Path
    contents: Mapping[str, bytes]
    _parsed: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_path(cls, path: Path) -> TokenizerFiles:
        """A folder, or a tokenizer file with its neighbours; raises what `from_folder` raises."""
        if os.path.isdir(path):
            return cls.from_folder(LocalFolder(path))
        if not os.path.isfile(path):
            raise TokenizerMissing(path, "tokenizer.json / tokenizer.model")
        main = "tokenizer.json" if path.suffix == ".json" else "tokenizer.model"
        neighbours = cls.from_folder(LocalFolder(path.parent)).contents
        contents = {name: data for name, data in neighbours.items() if name not in MAIN_FILES}
        own = read_file(LocalFolder(path.parent), path.name, SIZE_LIMITS[main])
        return cls(path, {main: _checked(path, own), **contents})

    @classmethod
    def from_folder(cls, folder: SourceFolder) -> TokenizerFiles:
        """Those that a folder holds; raises `SourceMissing`, `DamagedFile` or `LfsPointer`."""
        is_usual = any(name in folder.names for name in _USUAL_FILES)
        limits = SIZE_LIMITS if is_usual else {**SIZE_LIMITS, **_OLD_FORM_LIMITS}
        contents = {
            name: _checked(folder.path / name, read_file(folder, name, limit))
            for name, limit in limits.items()
            if name in folder.names
        }
        main = next((name for name in MAIN_FILES if name in contents), "")
        return cls(folder.path / main, contents)

    def __contains__(self, name: str) -> bool:
        return name in self.contents

    def path_of(self, name: str) -> Path:
        """Where `name` is; a tokenizer that was pointed to may have a name of its own."""
        is_renamed = name in MAIN_FILES and self.path.name not in MAIN_FILES
        return self.path if is_renamed else self.path.with_name(name)

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object, not to be changed, empty when the file is absent.

        Raises `DamagedFile` or `InvalidFile`.
        """
        if name not in self.contents:
            return {}
        if name not in self._parsed:
            self._parsed[name] = parse_json(self.path_of(name), self.contents[name])
        return self._parsed[name]


def parse_json(path: Path, data: bytes) -> dict[str, Any]:
    """A JSON object of bounded size and depth, without repeated keys.

    Raises `DamagedFile` for what is no JSON, else `InvalidFile`.
    """
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS or data.count(b",") > MAX_ITEMS:
        raise InvalidFile(path, "far more entries than a tokenizer has")
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except _RepeatedKeyError as error:
        raise InvalidFile(path, "the same key twice in one object") from error
    except (ValueError, RecursionError) as error:
        raise DamagedFile(path, "not valid JSON") from error
    if not isinstance(value, dict):
        raise InvalidFile(path, "not a JSON object")
    return value


class _RepeatedKeyError(Exception):
    """Raised out of the JSON parser."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKeyError
    return result


def _checked(path: Path, data: bytes) -> bytes:
    if data.startswith(LFS_POINTER_START):
        raise LfsPointer(path)
    return data
