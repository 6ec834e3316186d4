"""The error tree is drawn as it is, and every error says its fields."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from app.history import errors
from app.history.errors import HistoryError

_SAMPLES: dict[str, Any] = {"int": 3, "str": "某物", "Path": Path("历史") / "history.sqlite3"}
CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if member.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_says_its_fields(error: type[Any]) -> None:
    instance = error(**{field.name: _SAMPLES[str(field.type)] for field in fields(error)})

    assert is_dataclass(error)
    assert isinstance(instance, HistoryError)
    assert all(f"{field.name}=" in str(instance) for field in fields(error))


def test_every_error_is_drawn() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+", (errors.__doc__ or "").partition("\n\n")[2]))

    assert {error.__name__ for error in CLASSES} <= drawn
