"""Sampling as it was stored while every place kept a complete set of values, BELLE's by default.

Who never touched a setting has those values on disk all the same. What equals the set that it was made from
says nothing now; what differs was chosen and stays. Knows JSON values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BELLE: Mapping[str, Any] = {
    "temperature": 0.35,
    "top_k": 30,
    "top_p": 0.85,
    "min_p": 0.0,
    "repetition_penalty": 1.2,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": None,
    "max_tokens": 200,
    "stop": [],
}
_DEMO: Mapping[str, Any] = {**_BELLE, "temperature": 0.0, "repetition_penalty": 1.0}
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "assistant": {**_BELLE, "max_tokens": 512},
    "translator": {
        **_BELLE,
        **{"temperature": 0.1, "top_k": 10, "top_p": 0.8, "repetition_penalty": 1.1, "max_tokens": 800},
    },
    "writer": {
        **_BELLE,
        **{"temperature": 0.8, "top_k": 60, "top_p": 0.95, "repetition_penalty": 1.15, "max_tokens": 1024},
    },
    "coder": {
        **_BELLE,
        **{"temperature": 0.2, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.05, "max_tokens": 1024},
    },
    "teacher": {**_BELLE, "temperature": 0.4, "repetition_penalty": 1.15, "max_tokens": 800},
}
_USUAL = (_PRESETS["assistant"], _BELLE, *_PRESETS.values(), _DEMO, {**_DEMO, "max_tokens": 512})

_NEW_KEY = "sequence"
"""Written with every set of values since they may be left open."""


def with_partial_sampling(entry: Any, preset: str | None = None) -> Any:
    """A stored object with what was chosen of its `sampling`, {} for nothing, if that is a complete set.

    preset: the id of the shipped persona that the set was made from; None takes the set that is nearest.
    """
    if not isinstance(entry, Mapping) or not is_complete(entry.get("sampling")):
        return entry
    return {**entry, "sampling": chosen_values(entry["sampling"], preset)}


def is_complete(stored: Any) -> bool:
    """Whether a stored value is a set of that time."""
    return isinstance(stored, Mapping) and _NEW_KEY not in stored


def chosen_values(stored: Mapping[str, Any], preset: str | None = None) -> dict[str, Any]:
    """The values of a complete set that differ from the one it was made from."""
    usual = _USUAL if preset is None or preset not in _PRESETS else (_PRESETS[preset],)
    return min((_differences(stored, each) for each in usual), key=len)


def _differences(stored: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in usual or value != usual[name]}
