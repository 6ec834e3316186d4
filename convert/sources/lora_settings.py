"""What adapter_config.json of a PEFT adapter asks for, as far as it can be merged into weights.

Knows no tensors. Source: PEFT's LoraConfig and the merging in its `tuners/lora/layer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from convert.arch.config import MAX_VOCAB, ConfigReader, shorten
from convert.errors import InvalidConfig, PromptAdapter, UnsupportedAdapter
from convert.sources.name_pattern import NamePattern

MAX_RANK = 2048
# Initialisations that leave the base as it was; PiSSA, OLoRA, LoftQ and CorDA change it.
_HARMLESS_STARTS = (True, False, "gaussian", "orthogonal", "eva")
_CHANGES_OF_THE_MODEL = (
    "layer_replication",
    "target_parameters",
    "use_qalora",
    "use_bdlora",
    "kasa_config",
    "monteclora_config",
    "enable_lora",
)
# What depends on the text that the model is given; PEFT can't merge these either.
_PROMPT_KINDS = (
    "PROMPT_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "ADAPTION_PROMPT",
    "CPT",
    "CARTRIDGE",
    "XLORA",
    "POLY",
)
_PROMPT_SETTINGS = ("alora_invocation_tokens", "arrow_config")
INPUT_EMBEDDING = ""
"""The key of `token_rows` for tokens whose module is not named: the input embedding."""
_MAX_PATTERNS = 1000

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class LoraSettings:
    """ranks and alphas: what modules whose name matches have instead, the first that matches.

    has_magnitudes: `use_dora`. saved_modules: ends of the names of modules that were trained whole.
    token_rows: by the end of a module's name, the tokens whose rows were trained. keeps_tied: input and
    output embedding stay one (`ensure_weight_tying`). base: where the adapter's author had the base model,
    "?" where that is not said. `fan_in_fan_out` is not among them: PEFT heeds it for GPT-2's layers only.
    """

    path: Path
    rank: int
    alpha: float
    ranks: tuple[tuple[NamePattern, int], ...]
    alphas: tuple[tuple[NamePattern, float], ...]
    is_rank_stabilized: bool
    has_magnitudes: bool
    saved_modules: tuple[str, ...]
    token_rows: Mapping[str, tuple[int, ...]]
    keeps_tied: bool
    base: str

    def rank_of(self, module: str) -> int:
        """The rank of the matrices of this module."""
        return _match(self.ranks, module, self.rank)

    def factor_of(self, module: str) -> float:
        """alpha / r, or with rank-stabilized LoRA alpha / sqrt(r)."""
        rank = self.rank_of(module)
        alpha = _match(self.alphas, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.is_rank_stabilized else rank)


def read_lora_settings(path: Path, config: Mapping[str, Any]) -> LoraSettings:
    """The settings in adapter_config.json at `path`.

    Raises `InvalidConfig`, `UnsupportedAdapter` naming what can't be merged here, or `PromptAdapter`.
    """
    reader = ConfigReader(path, config)
    _check_kind(path, config)
    return LoraSettings(
        path=path,
        rank=reader.integer(["r"], high=MAX_RANK),
        alpha=reader.number("lora_alpha", low=-1e6, high=1e6),
        ranks=tuple(
            (pattern, ConfigReader(path, {name: value}).integer([name], high=MAX_RANK))
            for name, pattern, value in _patterns(reader, "rank_pattern")
        ),
        alphas=tuple(
            (pattern, ConfigReader(path, {name: value}).number(name, low=-1e6, high=1e6))
            for name, pattern, value in _patterns(reader, "alpha_pattern")
        ),
        is_rank_stabilized=reader.flag("use_rslora", default=False),
        has_magnitudes=reader.flag("use_dora", default=False),
        saved_modules=_saved_modules(reader),
        token_rows=_token_rows(reader),
        keeps_tied=reader.flag("ensure_weight_tying", default=False),
        base=str(config.get("base_model_name_or_path") or "?")[:200],
    )


def _check_kind(path: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type", "LORA")
    if kind in _PROMPT_KINDS:
        raise PromptAdapter(path, "peft_type", kind)
    if kind != "LORA":
        raise UnsupportedAdapter(path, "peft_type", shorten(kind))
    for name in _PROMPT_SETTINGS:
        if config.get(name):
            raise PromptAdapter(path, name, shorten(config[name]))
    for name in _CHANGES_OF_THE_MODEL:
        if config.get(name):
            raise UnsupportedAdapter(path, name, shorten(config[name]))
    start = config.get("init_lora_weights", True)
    if not any(start is known or start == known for known in _HARMLESS_STARTS):
        raise UnsupportedAdapter(path, "init_lora_weights", shorten(start))


def _patterns(reader: ConfigReader, name: str) -> list[tuple[str, NamePattern, Any]]:
    items = reader.section(name).config
    if len(items) > _MAX_PATTERNS:
        raise InvalidConfig(reader.path, name, f"{len(items)} entries")
    patterns: list[tuple[str, NamePattern, Any]] = []
    for key, value in items.items():
        try:
            patterns.append((key, NamePattern.parse(key), value))
        except ValueError as error:
            raise UnsupportedAdapter(reader.path, name, shorten(key)) from error
    return patterns


def _saved_modules(reader: ConfigReader) -> tuple[str, ...]:
    value = reader.config.get("modules_to_save") or []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidConfig(reader.path, "modules_to_save", shorten(value))
    return tuple(value)


def _token_rows(reader: ConfigReader) -> dict[str, tuple[int, ...]]:
    name = "trainable_token_indices"
    value = reader.config.get(name) or {}
    by_module = value if isinstance(value, dict) else {INPUT_EMBEDDING: value}
    for tokens in by_module.values():
        if not isinstance(tokens, list) or not tokens or len(set(map(str, tokens))) != len(tokens):
            raise InvalidConfig(reader.path, name, shorten(tokens))
        for token in tokens:
            if type(token) is not int or not 0 <= token < MAX_VOCAB:  # bool is an int in Python
                raise InvalidConfig(reader.path, name, shorten(token))
    return {module: tuple(tokens) for module, tokens in by_module.items()}


def _match(patterns: Sequence[tuple[NamePattern, _Number]], module: str, default: _Number) -> _Number:
    return next((value for pattern, value in patterns if pattern.matches(module)), default)
