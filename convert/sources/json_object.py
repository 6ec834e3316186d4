"""Bounded reading of JSON files that come with a checkpoint and are not to be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile
from convert.sources.byte_source import FileSource

MAX_JSON_BYTES = 16 << 20


def parse_json_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, with or without a byte-order mark.

    Raises `DamagedFile` naming `path` for anything else, or a repeated key.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    # Deep nesting ends in RecursionError; UnicodeDecodeError and JSONDecodeError are ValueErrors.
    except (ValueError, RecursionError) as error:
        raise DamagedFile(path, f"not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFile(path, "not a JSON object")
    return value


def read_json_object(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in the file at `path`; raises `SourceMissing` or `DamagedFile`."""
    with FileSource(path) as source:
        if source.size_bytes > max_bytes:
            raise DamagedFile(path, f"{source.size_bytes} bytes, where {max_bytes} is the most")
        return parse_json_object(path, source.read_at(0, source.size_bytes))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result
