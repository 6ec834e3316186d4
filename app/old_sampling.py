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
    "max_tokens": 512,
    "stop": [],
}
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "assistant": _BELLE,
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
_NEW_KEY = "sequence"
"""Written with every set of values since they may be left open."""


def with_partial_sampling(entry: Any, persona: str | None = None) -> Any:
    """A stored object with what was chosen of its `sampling`, {} for nothing, if that is a complete set.

    persona: the id of the one that the set was made from.
    """
    if not isinstance(entry, Mapping) or not is_complete(entry.get("sampling")):
        return entry
    return {**entry, "sampling": chosen_values(entry["sampling"], persona)}


def with_partial_overrides(overrides: Any) -> Any:
    """The same for what a conversation overrides: its set was made from that of the persona it names."""
    persona = overrides.get("persona") if isinstance(overrides, Mapping) else None
    return with_partial_sampling(overrides, persona if isinstance(persona, str) else None)


def is_complete(stored: Any) -> bool:
    """Whether a stored value is a set of that time."""
    return isinstance(stored, Mapping) and _NEW_KEY not in stored


def chosen_values(stored: Mapping[str, Any], persona: str | None = None) -> dict[str, Any]:
    """The values of a complete set that differ from the one it was made from.

    persona: its id. For None and for one that was not shipped that was the default, or a set that somebody
    had chosen: what differs is kept, so that answers stay what they were.
    """
    usual = _BELLE if persona is None else _PRESETS.get(persona, _BELLE)
    return {name: value for name, value in stored.items() if name not in usual or value != usual[name]}
