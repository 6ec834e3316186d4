"""The handful of small files that make up a tokenizer, held in memory, every size and depth bounded.

Knows their names and that most are JSON objects, not what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, TokenizerMissing

SIZE_LIMITS = {
    "tokenizer.model": 8 << 20,
    "tokenizer.json": 32 << 20,
    "tokenizer_config.json": 16 << 20,
    "special_tokens_map.json": 1 << 20,
    "added_tokens.json": 1 << 20,
}
"""Bytes. BLOOM's tokenizer.json, the largest known, has 14.5 MB."""

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
        """A folder, or a tokenizer file with its neighbours; raises `DamagedFile` or `TokenizerMissing`."""
        if path.is_dir():
            names = list(SIZE_LIMITS)
            contents = {name: _read(path / name, name) for name in names if (path / name).is_file()}
            main = next((name for name in ("tokenizer.model", "tokenizer.json") if name in contents), "")
            return cls(path / main, contents)
        if not path.is_file():
            raise TokenizerMissing(path, "tokenizer.json or tokenizer.model")
        main = "tokenizer.json" if path.suffix == ".json" else "tokenizer.model"
        neighbours = [name for name in SIZE_LIMITS if name not in ("tokenizer.json", "tokenizer.model")]
        folder = path.parent
        contents = {name: _read(folder / name, name) for name in neighbours if (folder / name).is_file()}
        return cls(path, {main: _read(path, main), **contents})

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


def _read(path: Path, name: str) -> bytes:
    limit = SIZE_LIMITS[name]
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise DamagedFile(path, error.strerror or "unreadable") from error
    if len(data) > limit:
        raise DamagedFile(path, f"larger than {limit} bytes")
    if data.startswith(b"version https://git-lfs"):
        raise DamagedFile(path, "a Git LFS pointer, not the file itself")
    return data
