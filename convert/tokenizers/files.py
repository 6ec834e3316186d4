"""The handful of small files that make up a tokenizer, held in memory, every size and depth bounded.

Knows their names and that most are JSON objects, not what they mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, LfsPointer, TokenizerMissing
from convert.sources.folder import LFS_POINTER_START, LocalFolder, SourceFolder, read_file

SIZE_LIMITS = {
    "tokenizer.model": 8 << 20,
    "tokenizer.json": 32 << 20,
    "tokenizer_config.json": 16 << 20,
    "special_tokens_map.json": 1 << 20,
    "added_tokens.json": 1 << 20,
}
"""Bytes. BLOOM's tokenizer.json, the largest known, has 14.5 MB."""

MAIN_FILES = ("tokenizer.model", "tokenizer.json")

MAX_CONTAINERS = 1 << 20
MAX_ITEMS = 2 << 20
"""Brackets and commas a JSON file may have, counted before parsing: each costs memory many times its size."""


@dataclass(frozen=True)
class TokenizerFiles:
    """Contents by file name; `path` is the tokenizer file, or the folder where none was found."""

    path: Path
    contents: Mapping[str, bytes]

    @classmethod
    def from_path(cls, path: Path) -> TokenizerFiles:
        """A folder, or a tokenizer file with its neighbours; raises what `from_folder` raises."""
        if os.path.isdir(path):
            return cls.from_folder(LocalFolder(path))
        if not os.path.isfile(path):
            raise TokenizerMissing(path, "tokenizer.json or tokenizer.model")
        main = "tokenizer.json" if path.suffix == ".json" else "tokenizer.model"
        neighbours = cls.from_folder(LocalFolder(path.parent)).contents
        contents = {name: data for name, data in neighbours.items() if name not in MAIN_FILES}
        own = read_file(LocalFolder(path.parent), path.name, SIZE_LIMITS[main])
        return cls(path, {main: _checked(path, own), **contents})

    @classmethod
    def from_folder(cls, folder: SourceFolder) -> TokenizerFiles:
        """Those that a folder holds; raises `SourceMissing`, `DamagedFile` or `LfsPointer`."""
        contents = {
            name: _checked(folder.path / name, read_file(folder, name, limit))
            for name, limit in SIZE_LIMITS.items()
            if name in folder.names
        }
        main = next((name for name in MAIN_FILES if name in contents), "")
        return cls(folder.path / main, contents)

    def __contains__(self, name: str) -> bool:
        return name in self.contents

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object, empty when the file is absent; raises `DamagedFile`."""
        if name not in self.contents:
            return {}
        path = self.path if self.path.name == name else self.path.parent / name
        return parse_json(path, self.contents[name])


def parse_json(path: Path, data: bytes) -> dict[str, Any]:
    """A JSON object of bounded size and depth, without repeated keys; raises `DamagedFile`."""
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS or data.count(b",") > MAX_ITEMS:
        raise DamagedFile(path, "far more entries than a tokenizer has")
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except _RepeatedKeyError as error:
        raise DamagedFile(path, "the same key twice in one object") from error
    except (ValueError, RecursionError) as error:
        raise DamagedFile(path, "not valid JSON") from error
    if not isinstance(value, dict):
        raise DamagedFile(path, "not a JSON object")
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
