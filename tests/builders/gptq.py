"""GPTQ checkpoints as BELLE's quantizer and AutoGPTQ write them, built number by number.

Packing goes through single bits and knows nothing of words; what a packed layer means is computed in loops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, Weights
from builders.torch_zip import write_torch_zip

Order = Literal["none", "trivial", "shuffled"]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Layer:
    """q `(in, out)`; zeros, the real zero points, and scales `(groups, out)`; the group of each input."""

    bits: int
    q: NDArray[np.int64]
    zeros: NDArray[np.int64]
    scales: NDArray[Any]
    groups: NDArray[np.int64]

    def weight(self) -> NDArray[np.float32]:
        """What the layer means, `(out, in)`: scale * (q - zero), each in float64, rounded to float32."""
        n_inputs, n_outputs = self.q.shape
        weight = np.empty((n_outputs, n_inputs), np.float32)
        for column, group in enumerate(self.groups):
            scale = self.scales[group].astype(np.float64)
            weight[:, column] = scale * (self.q[column] - self.zeros[group])
        return weight

    def arrays(self, stem: str, *, stores_zero_itself: bool = False) -> Arrays:
        """qweight, qzeros and scales as files hold them."""
        stored = self.zeros if stores_zero_itself else self.zeros - 1
        return {
            f"{stem}.qweight": pack(self.q.T, self.bits).T.copy(),
            f"{stem}.qzeros": pack(stored, self.bits),
            f"{stem}.scales": self.scales,
        }


def pack(rows: NDArray[np.int64], bits: int) -> NDArray[np.int32]:
    """Each row's numbers as one stream of bits, lowest bit first, cut into 32-bit words."""
    stream = np.stack([rows >> bit & 1 for bit in range(bits)], axis=-1).reshape(len(rows), -1)
    return np.packbits(stream.astype(np.uint8), axis=1, bitorder="little").view("<i4")


def quantize(
    weight: NDArray[np.float32],
    bits: int,
    group: int,
    *,
    scale_dtype: type[np.floating[Any]] = np.float32,
    shuffle: np.random.Generator | None = None,
) -> Layer:
    """Round to nearest, asymmetric; zero points are 1 to 2^bits, as can be stored less one."""
    n_inputs = weight.shape[1]
    groups = np.arange(n_inputs) // group
    if shuffle is not None:
        groups = shuffle.permutation(groups)
    n_groups, top = int(groups.max()) + 1, (1 << bits) - 1
    scales = np.empty((n_groups, len(weight)), scale_dtype)
    zeros = np.empty((n_groups, len(weight)), np.int64)
    q = np.empty((n_inputs, len(weight)), np.int64)
    for index in range(n_groups):
        part = weight[:, groups == index].T.astype(np.float64)
        low, high = np.minimum(part.min(axis=0), 0), np.maximum(part.max(axis=0), 0)
        scales[index] = ((high - low) / top).astype(scale_dtype)
        step = scales[index].astype(np.float64)
        zeros[index] = np.clip(np.round(-low / step), 1, top + 1)
        q[groups == index] = np.clip(np.round(part / step) + zeros[index], 0, top)
    return Layer(bits, q, zeros, scales, groups)


@dataclass(frozen=True)
class GptqFile:
    """A written checkpoint; `weights` are what it means, in transformers' layout and names."""

    path: Path
    weights: Weights
    arrays: Arrays
    layers: Mapping[str, Layer]


def write_gptq(
    path: Path,
    checkpoint: Checkpoint,
    *,
    bits: int = 4,
    group: int = 128,
    order: Order = "none",
    scale_dtype: type[np.floating[Any]] = np.float16,
    stores_zero_itself: bool = False,
    with_zero_biases: bool = False,
    seed: int = 0,
) -> GptqFile:
    """The checkpoint with every linear layer of its blocks quantized, as `.pt` or `.safetensors`.

    group: -1 is a whole column. order: whether there is a `g_idx`, and what it says. with_zero_biases: as
    the tools write for LLaMA.
    """
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    weights: Weights = {}
    layers: dict[str, Layer] = {}
    for name, weight in checkpoint.weights.items():
        if weight.ndim == 1 or not any(part in name for part in (".h.", "h.", ".layers.")) or "embed" in name:
            arrays[name] = weights[name] = weight
            continue
        stem, width = name.removesuffix(".weight"), weight.shape[1]
        shuffle = random if order == "shuffled" else None
        layer = quantize(
            weight, bits, width if group == -1 else group, scale_dtype=scale_dtype, shuffle=shuffle
        )
        layers[stem], weights[name] = layer, layer.weight()
        arrays |= layer.arrays(stem, stores_zero_itself=stores_zero_itself)
        if order != "none":
            arrays[f"{stem}.g_idx"] = layer.groups.astype(np.int32)
        if with_zero_biases:
            arrays[f"{stem}.bias"] = np.zeros(len(weight), np.float16)
    write_arrays(path, arrays)
    return GptqFile(path, weights, arrays, layers)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Any arrays as a torch ZIP or as safetensors, by the name's end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        from safetensors.numpy import save

        path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    else:
        write_torch_zip(path, {name: np.ascontiguousarray(array) for name, array in arrays.items()})


def write_settings(folder: Path, name: str = "quantize_config.json", **settings: Any) -> None:
    """AutoGPTQ's quantize_config.json."""
    usual = {"bits": 4, "group_size": 128, "desc_act": False, "sym": False}
    (folder / name).write_text(json.dumps(usual | settings))
