"""Layers that see only the last tokens, in families whose llama.cpp code has no such layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from convert.arch.config import MAX_CONTEXT, MAX_LAYERS, ConfigReader, shorten
from convert.arch.gated import GatedTransformer
from convert.errors import InvalidConfig
from convert.notes import Note

_Model = TypeVar("_Model", bound=GatedTransformer)

_DEFAULT_WINDOW = 4096
_DEFAULT_FULL_LAYERS = 28


def within_window(model: _Model, reader: ConfigReader) -> _Model:
    """The model with a context that fits into its windows: so far, each layer sees all anyway."""
    window = _read_window(reader, model.n_layer)
    if window is None or window >= model.n_context:
        return model
    note = Note("sliding_window", {"n_tokens": window, "n_trained": model.n_context})
    return replace(model, n_context=window, notes=(*model.notes, note))


def _read_window(reader: ConfigReader, n_layers: int) -> int | None:
    """How many tokens the narrowest layer sees; None where each layer sees all. Raises `InvalidConfig`.

    Source: transformers `configuration_qwen2.py`, which Qwen3's follows: a window counts only where
    `use_sliding_window` is set, in the layers from `max_window_layers` on unless `layer_types` names them.
    """
    if not reader.flag("use_sliding_window", default=False):
        return None
    window = reader.integer(["sliding_window"], high=MAX_CONTEXT, default=_DEFAULT_WINDOW)
    if "sliding_window" in reader.config and reader.config["sliding_window"] is None:
        return None
    kinds = reader.config.get("layer_types")
    if kinds is None:
        n_full = reader.integer(["max_window_layers"], low=0, high=MAX_LAYERS, default=_DEFAULT_FULL_LAYERS)
        return window if n_full < n_layers else None
    if not isinstance(kinds, list) or not set(map(str, kinds)) <= {"full_attention", "sliding_attention"}:
        raise InvalidConfig(reader.path, "layer_types", shorten(kinds))
    return window if "sliding_attention" in kinds else None
