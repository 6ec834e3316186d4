"""How a LLaMA checkpoint stretches its rotary positions, as far as llama.cpp can do the same.

"linear" divides positions; "llama3" divides each frequency by its own factor, which GGUF stores as a tensor.
Source: transformers `modeling_rope_utils.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.arch.config import MAX_CONTEXT, ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedModel


@dataclass(frozen=True)
class RopeScaling:
    """At most one of the two is set. `llama3` is (factor, low_freq_factor, high_freq_factor, old context)."""

    linear_factor: float | None = None
    llama3: tuple[float, float, float, int] | None = None

    def frequency_factors(self, theta: float, head_dim: int) -> NDArray[np.float32] | None:
        """Divisor of each of the `head_dim / 2` frequencies, or None where nothing is stored."""
        if self.llama3 is None:
            return None
        factor, low, high, old_context = self.llama3
        frequencies = theta ** -(np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
        turns = old_context * frequencies / (2 * math.pi)
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


@dataclass(frozen=True)
class ComputedTensor:
    """A `Tensor` that follows from the config and is in no file."""

    name: str
    values: NDArray[np.float32]
    dtype: str = "f32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.values[start:stop].copy()


def read_rope_scaling(reader: ConfigReader) -> tuple[float | None, RopeScaling]:
    """`rope_theta` (None where config.json is silent) and the scaling; raises `UnsupportedModel`."""
    name = "rope_parameters" if reader.config.get("rope_parameters") is not None else "rope_scaling"
    section = reader.section(name)
    section.require("partial_rotary_factor", [1.0])
    theta = section.number("rope_theta", low=1.0, high=1e12, default=0.0)
    theta = theta or reader.number("rope_theta", low=1.0, high=1e12, default=0.0)
    kind = section.config.get("rope_type", section.config.get("type"))
    if kind is None and set(section.config) - {"rope_theta"}:
        raise InvalidConfig(reader.path, name, "no rope_type")
    if kind in (None, "default"):
        return theta or None, RopeScaling()
    if kind == "linear":
        factor = section.number("factor", low=1e-3, high=1e6)
        return theta or None, RopeScaling(linear_factor=factor)
    if kind == "llama3":
        return theta or None, RopeScaling(llama3=_read_llama3(section))
    raise UnsupportedModel(reader.path, name, shorten(kind))


def _read_llama3(section: ConfigReader) -> tuple[float, float, float, int]:
    factor = section.number("factor", low=1e-3, high=1e6)
    low = section.number("low_freq_factor", low=1e-3, high=1e6)
    high = section.number("high_freq_factor", low=1e-3, high=1e6)
    if high <= low:
        raise InvalidConfig(section.path, "high_freq_factor", f"{high}, not above low_freq_factor {low}")
    return factor, low, high, section.integer(["original_max_position_embeddings"], high=MAX_CONTEXT)
