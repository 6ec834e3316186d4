"""PEFT adapters, and what merging them means: plain matrix products."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builders.checkpoints import Weights
from builders.gptq import write_arrays

PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapter:
    """A written adapter; `pairs` are A and B by module, `change` is what it adds with scale 1."""

    folder: Path
    pairs: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    factor: float

    def merged(self, weights: Mapping[str, NDArray[np.float32]], scale: float = 1.0) -> Weights:
        """The base's weights plus scale * alpha / r * B A."""
        result = dict(weights)
        for module, (a, b) in self.pairs.items():
            name = f"{module}.weight"
            change = scale * self.factor * (b.astype(np.float64) @ a.astype(np.float64))
            result[name] = (result[name] + change).astype(np.float32)
        return result


def write_adapter(
    folder: Path,
    weights: Mapping[str, NDArray[np.float32]],
    targets: Sequence[str],
    *,
    rank: int = 4,
    alpha: float = 8,
    file: str = "adapter_model.safetensors",
    adapter_name: str = "",
    extra: Mapping[str, NDArray[Any]] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Adapter:
    """An adapter for every layer of `weights` whose name ends like one of `targets`.

    extra: further tensors, by their full name. settings: of adapter_config.json, None removes one.
    """
    random = np.random.default_rng(seed)
    modules = [
        name.removesuffix(".weight")
        for name in weights
        if name.removesuffix(".weight").rpartition(".")[2] in targets and name.endswith(".weight")
    ]
    pairs, arrays = {}, {}
    middle = f".{adapter_name}" if adapter_name else ""
    for module in modules:
        n_out, n_in = weights[f"{module}.weight"].shape
        a = (random.standard_normal((rank, n_in)) / np.sqrt(n_in)).astype(np.float32)
        b = (0.3 * random.standard_normal((n_out, rank))).astype(np.float32)
        pairs[module] = (a, b)
        arrays[f"{PREFIX}{module}.lora_A{middle}.weight"] = a
        arrays[f"{PREFIX}{module}.lora_B{middle}.weight"] = b
    write_arrays(folder / file, arrays | dict(extra or {}))
    write_config(folder, r=rank, lora_alpha=alpha, target_modules=list(targets), **settings)
    return Adapter(folder, pairs, alpha / rank)


def write_parts(folder: Path, parts: Mapping[str, NDArray[Any]], **settings: Any) -> Path:
    """An adapter of these tensors, named as PEFT 0.21 names them without `PREFIX`."""
    arrays = {f"{PREFIX}{name}": np.ascontiguousarray(array) for name, array in parts.items()}
    write_arrays(folder / "adapter_model.safetensors", arrays)
    write_config(folder, **settings)
    return folder


def write_config(folder: Path, **settings: Any) -> None:
    """adapter_config.json as PEFT of 2023 wrote it."""
    usual: dict[str, Any] = {
        "base_model_name_or_path": "BelleGroup/BELLE-7B-2M",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": 4,
        "target_modules": [],
        "task_type": "CAUSAL_LM",
    }
    values = {name: value for name, value in (usual | settings).items() if value is not None}
    (folder / "adapter_config.json").write_text(json.dumps(values))
