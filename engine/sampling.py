"""Checks sampling settings before they reach llama.cpp, which aborts the process on some of them."""

from __future__ import annotations

import math
import secrets

from engine.errors import InvalidSampling
from engine.types import Sampling

MAX_SEED = 2**32 - 2  # 2**32 - 1 means "draw one" to llama.cpp
_MAX_STOP_STRINGS = 32
_MAX_STOP_CHARS = 1024

# setting: lowest, highest
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_k": (0, 2**31 - 1),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "presence_penalty": (-100, 100),
    "frequency_penalty": (-100, 100),
    "max_tokens": (1, 2**31 - 1),
    "seed": (0, MAX_SEED),
    "thought_budget": (0, 2**31 - 1),
    "penalty_last_n": (-1, 2**31 - 1),
    "xtc_probability": (0, 1),
    "xtc_threshold": (0, 1),
    "mirostat": (0, 2),
    "mirostat_tau": (0, 100),
    "mirostat_eta": (0, 1),
}


def check_sampling(sampling: Sampling) -> None:
    """Raise InvalidSampling for the first setting that is out of its range."""
    for setting, (lowest, highest) in _RANGES.items():
        value = getattr(sampling, setting)
        if value is not None and not is_in_range(setting, value):
            raise InvalidSampling(setting, value, f"{lowest} … {highest}")
    if len(sampling.stop) > _MAX_STOP_STRINGS:
        raise InvalidSampling("stop", len(sampling.stop), f"0 … {_MAX_STOP_STRINGS}")
    for stop in sampling.stop:
        if not 1 <= len(stop) <= _MAX_STOP_CHARS:
            raise InvalidSampling("stop", len(stop), f"1 … {_MAX_STOP_CHARS}")


def is_in_range(setting: str, value: float) -> bool:
    """Whether the numeric `setting` of `Sampling` may have this value."""
    lowest, highest = _RANGES[setting]
    return math.isfinite(value) and lowest <= value <= highest


def seed_for(sampling: Sampling) -> int:
    """The seed asked for, or a new one."""
    return secrets.randbelow(MAX_SEED + 1) if sampling.seed is None else sampling.seed
