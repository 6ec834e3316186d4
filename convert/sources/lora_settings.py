"""What adapter_config.json of a PEFT adapter asks for, as far as it can be merged into weights.

Knows no tensors. Source: PEFT's LoraConfig and the merging in its `tuners/lora/layer.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from convert.arch.config import ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedAdapter

MAX_RANK = 2048
# Initialisations that leave the base as it was; PiSSA, OLoRA, LoftQ and CorDA change it.
_HARMLESS_STARTS = (True, False, "gaussian", "orthogonal", "eva")
_CHANGES_OF_THE_MODEL = (
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
# PEFT matches these with regular expressions; names are all that was ever published.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]+")
_MAX_PATTERNS = 1000

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class LoraSettings:
    """rank_pattern and alpha_pattern: what modules whose name ends like the key have instead.

    is_transposed: weights are (in, out), `fan_in_fan_out`. saved_modules: last names of modules that were
    trained whole. base: where the adapter's author had the base model, "?" where that is not said.
    """

    path: Path
    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    is_rank_stabilized: bool
    is_transposed: bool
    saved_modules: tuple[str, ...]
    base: str

    def rank_of(self, module: str) -> int:
        """The rank of the matrices of this module."""
        return _match(self.rank_pattern, module, self.rank)

    def factor_of(self, module: str) -> float:
        """alpha / r, or with rank-stabilized LoRA alpha / sqrt(r)."""
        rank = self.rank_of(module)
        alpha = _match(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.is_rank_stabilized else rank)


def read_lora_settings(path: Path, config: Mapping[str, Any]) -> LoraSettings:
    """The settings in adapter_config.json at `path`.

    Raises `InvalidConfig`, or `UnsupportedAdapter` naming what can't be merged.
    """
    reader = ConfigReader(path, config)
    if config.get("peft_type", "LORA") != "LORA":
        raise UnsupportedAdapter(path, "peft_type", shorten(config["peft_type"]))
    if reader.flag("use_dora", default=False):
        raise UnsupportedAdapter(path, "use_dora", "True")
    for name in _CHANGES_OF_THE_MODEL:
        if config.get(name):
            raise UnsupportedAdapter(path, name, shorten(config[name]))
    if config.get("bias", "none") != "none" or config.get("lora_bias"):
        raise UnsupportedAdapter(path, "bias", shorten(config.get("bias")))
    start = config.get("init_lora_weights", True)
    if not any(start is known or start == known for known in _HARMLESS_STARTS):
        raise UnsupportedAdapter(path, "init_lora_weights", shorten(start))
    return LoraSettings(
        path=path,
        rank=reader.integer(["r"], high=MAX_RANK),
        alpha=reader.number("lora_alpha", low=-1e6, high=1e6),
        rank_pattern={
            name: ConfigReader(path, {name: value}).integer([name], high=MAX_RANK)
            for name, value in _patterns(reader, "rank_pattern")
        },
        alpha_pattern={
            name: ConfigReader(path, {name: value}).number(name, low=-1e6, high=1e6)
            for name, value in _patterns(reader, "alpha_pattern")
        },
        is_rank_stabilized=reader.flag("use_rslora", default=False),
        is_transposed=reader.flag("fan_in_fan_out", default=False),
        saved_modules=_saved_modules(reader),
        base=str(config.get("base_model_name_or_path") or "?")[:200],
    )


def _patterns(reader: ConfigReader, name: str) -> list[tuple[str, Any]]:
    items = list(reader.section(name).config.items())
    if len(items) > _MAX_PATTERNS:
        raise InvalidConfig(reader.path, name, f"{len(items)} entries")
    for key, _ in items:
        if not _PLAIN_NAME.fullmatch(key):
            raise UnsupportedAdapter(reader.path, name, shorten(key))
    return items


def _saved_modules(reader: ConfigReader) -> tuple[str, ...]:
    value = reader.config.get("modules_to_save") or []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidConfig(reader.path, "modules_to_save", shorten(value))
    return tuple(value)


def _match(pattern: Mapping[str, _Number], module: str, default: _Number) -> _Number:
    for key, value in pattern.items():
        if module == key or module.endswith(f".{key}"):
            return value
    return default
