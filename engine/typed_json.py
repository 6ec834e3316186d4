"""Dataclasses to JSON and back, with every value checked on the way in.

Knows dataclasses, their annotations and JSON values; nothing of files or of what the values mean.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")

_LARGEST_INTEGER = 2**63 - 1


class JsonMismatch(ValueError):
    """A value is not what the dataclass says; `location` is a path like `messages[3].role`."""

    def __init__(self, location: str, expected: str) -> None:
        super().__init__(f"{location}: expected {expected}")
        self.location = location
        self.expected = expected


def parse_json(text: str) -> Any:
    """The JSON value in `text`; raises ValueError for anything else, also for NaN and bottomless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def to_json(value: Any) -> str:
    """Compact JSON for a dataclass of built-in types."""
    return json.dumps(asdict(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def from_json(kind: type[T], value: Any, location: str = "") -> T:
    """An instance of the dataclass `kind` from a parsed JSON object.

    Unknown keys are ignored, missing keys take the field's default. Raises JsonMismatch.
    """
    return typing.cast("T", _convert(kind, value, location))


def field_from_json(kind: Any, name: str, value: Any) -> Any:
    """A value for the field `name` of the dataclass `kind`. Raises JsonMismatch."""
    return _convert(_hints(kind)[name], value, name)


def valid_text(text: str) -> str:
    """`text` with halves of surrogate pairs joined where they meet, and replaced by U+FFFD elsewhere."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _convert(hint: Any, value: Any, location: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_optional(hint, value, location)
    if origin is tuple:
        return _convert_tuple(get_args(hint), value, location)
    if origin is Mapping:
        return _convert_mapping(get_args(hint)[1], value, location)
    if origin is Literal:
        return _one_of(get_args(hint), value, location)
    if is_dataclass(hint):
        return _convert_object(hint, value, location)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(_one_of(tuple(item.value for item in hint), value, location))
    return _convert_scalar(hint, value, location)


def _convert_optional(hint: Any, value: Any, location: str) -> Any:
    if value is None:
        return None
    (inner,) = (part for part in get_args(hint) if part is not type(None))
    return _convert(inner, value, location)


def _convert_tuple(parts: tuple[Any, ...], value: Any, location: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise JsonMismatch(location, "a list")
    if len(parts) == 2 and parts[1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise JsonMismatch(location, f"{len(parts)} values")
    return tuple(
        _convert(part, item, f"{location}[{index}]")
        for index, (part, item) in enumerate(zip(parts, value, strict=True))
    )


def _convert_mapping(part: Any, value: Any, location: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise JsonMismatch(location, "an object")
    return {key: _convert(part, item, f"{location}.{key}") for key, item in value.items()}


def _convert_object(kind: Any, value: Any, location: str) -> Any:
    if not isinstance(value, Mapping):
        raise JsonMismatch(location, "an object")
    hints = _hints(kind)
    arguments: dict[str, Any] = {}
    for field in fields(kind):
        inner = f"{location}.{field.name}" if location else field.name
        if field.name in value:
            arguments[field.name] = _convert(hints[field.name], value[field.name], inner)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise JsonMismatch(inner, "a value")
    return kind(**arguments)


def _one_of(allowed: tuple[Any, ...], value: Any, location: str) -> Any:
    if not isinstance(value, str) or value not in allowed:
        raise JsonMismatch(location, "one of " + ", ".join(str(item) for item in allowed))
    return value


def _convert_scalar(hint: Any, value: Any, location: str) -> Any:
    if hint is str and isinstance(value, str):
        return valid_text(value)
    if hint is Path and isinstance(value, str):
        return Path(value)  # as it is: halves of surrogate pairs stand for bytes that are not UTF-8
    if hint is bool and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int and is_number and isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    if hint is float and is_number and abs(value) <= _LARGEST_INTEGER and math.isfinite(value):
        return float(value)
    names = {str: "a text", Path: "a path", bool: "true or false", int: "a whole number", float: "a number"}
    raise JsonMismatch(location, names[hint])
