"""Settings of an untrusted config.json, each read with its type and its bounds.

Knows no architecture: those say which spelling they accept and what range makes sense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import InvalidConfig, UnsupportedModel

MAX_WIDTH = 1 << 17
MAX_HEADS = 1 << 12
MAX_LAYERS = 512
"""llama.cpp's own limit (LLAMA_MAX_LAYERS)."""
MAX_VOCAB = 1 << 22
MAX_CONTEXT = 1 << 24


@dataclass(frozen=True)
class ConfigReader:
    """One config.json; every method raises `InvalidConfig` naming the setting and what was found."""

    path: Path
    config: Mapping[str, Any]

    def integer(self, names: Sequence[str], *, low: int = 1, high: int, default: int | None = None) -> int:
        """The setting under the first of its spellings that is present; spellings must not contradict."""
        found = {name: self.config[name] for name in names if self.config.get(name) is not None}
        if not found:
            if default is None:
                raise InvalidConfig(self.path, names[0], "null")
            return default
        name, value = next(iter(found.items()))
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidConfig(self.path, name, shorten(value))
        for other, second in found.items():
            if second != value:
                raise InvalidConfig(self.path, other, f"{shorten(second)}, but {name} is {value}")
        return value

    def number(self, name: str, *, low: float, high: float, default: float | None = None) -> float:
        """A finite number, `low <= value <= high`."""
        value = self.config.get(name)
        if value is None:
            if default is None:
                raise InvalidConfig(self.path, name, "null")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidConfig(self.path, name, shorten(value))
        if not (low <= value <= high and math.isfinite(value)):
            raise InvalidConfig(self.path, name, shorten(value))
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """true or false."""
        value = self.config.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidConfig(self.path, name, shorten(value))
        return value

    def section(self, name: str) -> ConfigReader:
        """A nested object; empty when absent."""
        value = self.config.get(name)
        if value is None:
            return ConfigReader(self.path, {})
        if not isinstance(value, dict):
            raise InvalidConfig(self.path, name, shorten(value))
        return ConfigReader(self.path, value)

    def require(self, name: str, allowed: Sequence[Any]) -> None:
        """Refuse, as `UnsupportedModel`, any value but these; an absent setting is fine."""
        value = self.config.get(name)
        if value is not None and not any(value is choice or value == choice for choice in allowed):
            raise UnsupportedModel(self.path, name, shorten(value))


def shorten(value: Any) -> str:
    """A value as a message may show it: what came from a file can be arbitrarily long."""
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 64:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
