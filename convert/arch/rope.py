"""How a checkpoint turns its rotary positions, and stretches them, as far as llama.cpp can do the same.

"linear" divides positions; "llama3" divides each frequency by its own factor, which GGUF stores as a tensor;
"yarn" divides the slow frequencies and leaves the fast ones. "dynamic" changes nothing within the trained
context, and llama.cpp knows nothing beyond.
Source: transformers `modeling_rope_utils.py`; llama.cpp `src/llama-model.cpp` and `src/llama-context.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import MetadataValue
from convert.arch.config import MAX_CONTEXT, ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedModel
from convert.notes import Note

_DEFAULT_THETA = 10000.0


@dataclass(frozen=True)
class Rope:
    """theta: None where config.json is silent. n_context: the tokens that it reaches.

    scaling: what follows `<arch>.rope.scaling.` in the GGUF's keys, and its value. llama3: (factor,
    low_freq_factor, high_freq_factor, old context). notes: what llama.cpp does otherwise.
    """

    n_context: int
    theta: float | None = None
    scaling: Mapping[str, MetadataValue] = field(default_factory=dict)
    llama3: tuple[float, float, float, int] | None = None
    notes: tuple[Note, ...] = ()

    def frequency_factors(self, head_dim: int) -> NDArray[np.float32] | None:
        """Divisor of each of the `head_dim / 2` frequencies, or None where nothing is stored."""
        if self.llama3 is None:
            return None
        factor, low, high, old_context = self.llama3
        theta = self.theta or _DEFAULT_THETA
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


def read_rope(reader: ConfigReader, n_context: int, *, stores_factors: bool) -> Rope:
    """The rotary settings of config.json, in `rope_scaling` or transformers 5's `rope_parameters`.

    n_context: `max_position_embeddings`. stores_factors: whether llama.cpp reads the tensor that "llama3"
    needs in this family. Raises `InvalidConfig` or `UnsupportedModel`.
    """
    # transformers takes rope_scaling where a config has both.
    name = "rope_scaling" if reader.config.get("rope_scaling") else "rope_parameters"
    section = reader.section(name)
    section.require("partial_rotary_factor", [1.0])
    theta = section.number("rope_theta", low=1.0, high=1e12, default=0.0)
    theta = theta or reader.number("rope_theta", low=1.0, high=1e12, default=0.0)
    kind = section.config.get("rope_type", section.config.get("type"))
    if kind is None and set(section.config) - {"rope_theta", "partial_rotary_factor"}:
        raise InvalidConfig(reader.path, name, "no rope_type")
    plain = Rope(n_context, theta or None)
    match kind:
        case None | "default":
            return plain
        case "linear":
            scaling: dict[str, MetadataValue] = {"type": "linear", "factor": _factor(section)}
            return Rope(n_context, plain.theta, scaling)
        case "dynamic":
            _factor(section)
            note = Note("rope_dynamic", {"n_tokens": n_context})
            return Rope(n_context, plain.theta, notes=(note,))
        case "yarn":
            return _read_yarn(reader, section, plain)
        case "llama3" if stores_factors:
            return Rope(n_context, plain.theta, llama3=_read_llama3(reader, section, n_context))
    raise UnsupportedModel(reader.path, name, shorten(kind))


def _factor(section: ConfigReader) -> float:
    return section.number("factor", low=1e-3, high=1e6)


def _old_context(reader: ConfigReader, section: ConfigReader, n_context: int) -> int:
    """The context before it was stretched: beside the section, in it, or the one that config.json states."""
    name = "original_max_position_embeddings"
    inside = section.integer([name], high=MAX_CONTEXT, default=n_context)
    return reader.integer([name], high=MAX_CONTEXT, default=inside)


def _read_llama3(
    reader: ConfigReader, section: ConfigReader, n_context: int
) -> tuple[float, float, float, int]:
    factor = _factor(section)
    low = section.number("low_freq_factor", low=1e-3, high=1e6)
    high = section.number("high_freq_factor", low=1e-3, high=1e6)
    if high <= low:
        raise InvalidConfig(section.path, "high_freq_factor", f"{high}, not above low_freq_factor {low}")
    return factor, low, high, _old_context(reader, section, n_context)


def _read_yarn(reader: ConfigReader, section: ConfigReader, plain: Rope) -> Rope:
    """YaRN (arXiv 2309.00071), with the paper's bounds: llama.cpp reads no others in these families."""
    old_context = _old_context(reader, section, plain.n_context)
    factor = section.number("factor", low=1e-3, high=1e6, default=plain.n_context / old_context)
    for name, allowed in (
        ("beta_fast", [None, 0, 32]),
        ("beta_slow", [None, 0, 1]),
        ("extrapolation_factor", [1]),
        ("truncate", [True]),
    ):
        section.require(name, allowed)
    n_context = max(plain.n_context, int(old_context * factor))
    if n_context > MAX_CONTEXT:
        raise InvalidConfig(reader.path, "factor", f"{factor}, which makes a context of {n_context}")
    scaling: dict[str, MetadataValue] = {
        "type": "yarn",
        "factor": factor,
        "original_context_length": old_context,
    }
    # llama.cpp multiplies this with the paper's value, whatever `yarn_attn_factor` says.
    correction = _attention_factor(section, factor) / _magnitude(factor)
    if not math.isclose(correction, 1.0, rel_tol=1e-6):
        scaling["attn_factor"] = correction
    return Rope(n_context, plain.theta, scaling)


def _attention_factor(section: ConfigReader, factor: float) -> float:
    """What transformers multiplies sine and cosine with."""
    stated = section.number("attention_factor", low=1e-6, high=1e6, default=0.0)
    if stated:
        return stated
    scale = section.number("mscale", low=0.0, high=1e6, default=0.0)
    scale_all = section.number("mscale_all_dim", low=0.0, high=1e6, default=0.0)
    if scale and scale_all:
        return _magnitude(factor, scale) / _magnitude(factor, scale_all)
    return _magnitude(factor)


def _magnitude(factor: float, scale: float = 1.0) -> float:
    return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0
