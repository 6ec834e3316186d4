"""Bounded reading of JSON files that come with a checkpoint and are not to be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, Detail, InvalidFile
from convert.sources.byte_source import FileSource

MAX_JSON_BYTES = 16 << 20


def parse_json_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, with or without a byte-order mark.

    Raises `DamagedFile` naming `path` for what is no JSON, as a file that was cut short is none, and
    `InvalidFile` for what is, but no object, nested too deep, or with a repeated key.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except _RepeatedKeyError as error:
        raise InvalidFile(path, Detail("json_key_twice", {"key": repr(str(error)[:80])})) from error
    except RecursionError as error:
        raise InvalidFile(path, Detail("json_too_deep")) from error
    except UnicodeDecodeError as error:
        raise DamagedFile(path, Detail("not_utf8", {"place": error.start})) from error
    except json.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno}
        raise DamagedFile(path, Detail("not_json", place)) from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise InvalidFile(path, Detail("json_number")) from error
    if not isinstance(value, dict):
        raise InvalidFile(path, Detail("no_json_object"))
    return value


def read_json_object(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in the file at `path`; raises `SourceMissing`, and as `parse_json_object`."""
    with FileSource(path) as source:
        if source.size_bytes > max_bytes:
            sizes = {"size_bytes": source.size_bytes, "max_bytes": max_bytes}
            raise InvalidFile(path, Detail("too_large", sizes))
        return parse_json_object(path, source.read_at(0, source.size_bytes))


class _RepeatedKeyError(Exception):
    """Raised out of the JSON parser; its text is the key."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _RepeatedKeyError(key)
        result[key] = value
    return result
