"""What generation_config.json says of how a model answers: sampling values, and tokens that end an answer.

Values that make no sense are left out: a conversion does not depend on them. What transformers does in its
own way is written, too: the temperature comes before the filters, and the repetition penalty looks at all of
the context. Source: transformers' GenerationConfig; keys: gguf-py/gguf/constants.py of llama.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.arch.base import MetadataValue

FILE_NAME = "generation_config.json"

_MAX_END_TOKENS = 64
# The order of `generate`. Samplers that it has not stay where llama.cpp has them, for those who turn them on.
_SEQUENCE = "penalties;dry;temperature;top_n_sigma;top_k;typ_p;top_p;min_p;xtc"


@dataclass(frozen=True)
class Generation:
    """sampling: by llama.cpp's names. end_ids: as listed, unchecked against any vocabulary.

    other_end_ids: those of config.json where generation_config.json lists its own: `generate` passes them
    over, but a token that ended the texts of training must not be shown as text.
    """

    sampling: Mapping[str, MetadataValue] = field(default_factory=dict)
    end_ids: tuple[int, ...] = ()
    other_end_ids: tuple[int, ...] = ()

    def keys(self, n_context: int) -> dict[str, MetadataValue]:
        """The `general.sampling.*` keys for a model that was trained with `n_context` tokens."""
        named = dict(self.sampling)
        if "penalty_repeat" in named:
            # All of the context. -1 would say so whatever its size, but llama.cpp now takes that for nothing.
            named["penalty_last_n"] = n_context
        return {f"general.sampling.{name}": value for name, value in named.items()}


def read_generation(content: Mapping[str, Any], config: Mapping[str, Any]) -> Generation:
    """From the parsed file, {} where there is none, and config.json, which may name end tokens too."""
    listed, others = _ids(content.get("eos_token_id")), _ids(config.get("eos_token_id"))
    return Generation(_sampling(content), listed or others, others if listed else ())


def _sampling(content: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """With `do_sample` off, `generate` is greedy and reads none of the first four."""
    samples = content.get("do_sample") is not False
    top_k = _number(content.get("top_k"), 0, 2**31 - 1) if samples else None
    filters: dict[str, MetadataValue | None] = {
        "temp": _number(content.get("temperature"), 0, 100) if samples else None,
        "top_k": None if top_k is None else int(top_k),
        "top_p": _number(content.get("top_p"), 0, 1) if samples else None,
        "min_p": _number(content.get("min_p"), 0, 1) if samples else None,
    }
    has_filters = any(value is not None for value in filters.values())
    values = filters | {
        "penalty_repeat": _number(content.get("repetition_penalty"), 0.01, 100),
        "sequence": _SEQUENCE if has_filters else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _number(value: Any, low: float, high: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high and math.isfinite(value) else None


def _ids(value: Any) -> tuple[int, ...]:
    """One id, or a list of them."""
    listed = value if isinstance(value, list) else [value]
    return tuple(
        item for item in listed[:_MAX_END_TOKENS] if isinstance(item, int) and not isinstance(item, bool)
    )
