"""Weights as FP8, bitsandbytes and AWQ store them, built number by number with what they mean.

Only for models of any size; that the layouts are those libraries' own, `tests/data/quantized` proves.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, bf16_bits
from builders.gptq import pack, quantize

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Stored:
    """One tensor of a safetensors file, in the file's own words."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> Stored:
        names = {"f4": "F32", "f2": "F16", "i4": "I32", "i1": "I8", "u1": "U8", "u4": "U32"}
        return cls(names[array.dtype.str[1:]], array.shape, np.ascontiguousarray(array).tobytes())


Parts = dict[str, Stored]


def write_stored(path: Path, tensors: Mapping[str, Stored]) -> None:
    """A safetensors file."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(each.data for each in tensors.values()))


# FP8.


def e4m3(code: int) -> float:
    """What a byte means, by the specification's own formula."""
    sign, exponent, mantissa = -1.0 if code & 128 else 1.0, code >> 3 & 15, code & 7
    if code & 127 == 127:
        return math.nan
    return sign * (2.0 ** (exponent - 7) * (1 + mantissa / 8) if exponent else 2.0**-6 * mantissa / 8)


def e5m2(code: int) -> float:
    """The same of E5M2."""
    sign, exponent, mantissa = -1.0 if code & 128 else 1.0, code >> 2 & 31, code & 3
    if exponent == 31:
        return math.nan if mantissa else sign * math.inf
    return sign * (2.0 ** (exponent - 15) * (1 + mantissa / 4) if exponent else 2.0**-14 * mantissa / 4)


def fp8(
    name: str,
    weight: Matrix,
    *,
    block: tuple[int, int] | None,
    scale_end: str = "_scale_inv",
    scale_dtype: str = "F32",
    scale_shape: tuple[int, ...] | None = None,
    kind: str = "F8_E4M3",
) -> tuple[Parts, Matrix]:
    """A matrix with a scale for each block (None: without), and what it means."""
    meanings = np.array([(e4m3 if kind == "F8_E4M3" else e5m2)(code) for code in range(256)], np.float32)
    usable = np.flatnonzero(np.isfinite(meanings))
    usable = usable[np.argsort(meanings[usable], kind="stable")]
    n_rows, width = weight.shape
    rows, columns = block or weight.shape
    grid = (-(-n_rows // rows), -(-width // columns))
    scales = np.ones(grid, np.float32)
    codes, meant = np.empty(weight.shape, np.uint8), np.empty(weight.shape, np.float32)
    for i in range(grid[0]):
        for j in range(grid[1]):
            place = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            if block is not None:
                largest = float(np.abs(weight[place]).max())
                scales[i, j] = _representable(largest / meanings[usable[-1]], scale_dtype)
            after = np.searchsorted(meanings[usable], weight[place] / scales[i, j])
            codes[place] = usable[np.clip(after, 0, len(usable) - 1)]
            meant[place] = meanings[codes[place]] * scales[i, j]
    parts = {name: Stored(kind, weight.shape, codes.tobytes())}
    if block is not None:
        data = {
            "F32": lambda: scales.tobytes(),
            "BF16": lambda: bf16_bits(scales).tobytes(),
            "F8_E8M0": lambda: (np.log2(scales) + 127).astype(np.uint8).tobytes(),
            "U8": lambda: (np.log2(scales) + 127).astype(np.uint8).tobytes(),
        }[scale_dtype]()
        parts[f"{name}{scale_end}"] = Stored(scale_dtype, scale_shape or grid, data)
    return parts, meant


def _representable(scale: float, dtype: str) -> np.float32:
    if dtype in ("F8_E8M0", "U8"):
        return np.float32(2.0 ** math.ceil(math.log2(scale)))
    if dtype == "BF16":
        return (bf16_bits(np.array([scale], np.float32)).astype(np.uint32) << 16).view(np.float32)[0]
    return np.float32(scale)


# bitsandbytes.

# The quantiles of a normal distribution, which the library wrote into `quant_map`.
_VALUES = np.sort(np.random.default_rng(4).uniform(-1, 1, 16)).astype(np.float32)
_VALUES[[0, 7, 15]] = -1, 0, 1


def four_bit(
    name: str, weight: Matrix, *, nested: bool, block: int = 64, dtype: str = "float32", kind: str = "nf4"
) -> tuple[Parts, Matrix]:
    """A matrix of 4-bit numbers, and what it means, computed in loops."""
    numbers = weight.reshape(-1)
    n_blocks = -(-numbers.size // block)
    largest = np.array([np.abs(numbers[i * block :][:block]).max() for i in range(n_blocks)], np.float32)
    state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": dtype, "shape": weight.shape}
    parts: Parts = {}
    if nested:
        inner = np.linspace(-1, 1, 256, dtype=np.float32)
        offset = np.float32(largest.mean())
        outer = np.array(
            [np.abs(largest[i : i + 256] - offset).max() for i in range(0, n_blocks, 256)], np.float32
        )
        of_blocks = np.repeat(outer, 256)[:n_blocks]
        codes = np.abs((largest - offset)[:, None] / of_blocks[:, None] - inner).argmin(axis=1)
        largest = (inner[codes] * of_blocks + offset).astype(np.float32)
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
        parts[f"{name}.absmax"] = Stored.of(codes.astype(np.uint8))
        parts[f"{name}.nested_absmax"] = Stored.of(outer)
        parts[f"{name}.nested_quant_map"] = Stored.of(inner)
    else:
        parts[f"{name}.absmax"] = Stored.of(largest)
    codes, meant = np.zeros(numbers.size + numbers.size % 2, np.uint8), np.empty(numbers.size, np.float32)
    for i in range(n_blocks):
        place = slice(i * block, min((i + 1) * block, numbers.size))
        codes[place] = np.abs(numbers[place, None] / largest[i] - _VALUES).argmin(axis=1)
        meant[place] = _VALUES[codes[place]] * largest[i]
    parts[f"{name}.quant_map"] = Stored.of(_VALUES)
    parts[name] = Stored.of((codes[::2] << 4 | codes[1::2])[:, None])
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    parts[f"{name}.quant_state.bitsandbytes__{kind}"] = Stored.of(text)
    return parts, meant.reshape(weight.shape)


def int8(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
    """A matrix of LLM.int8, and what it means."""
    layer = name.removesuffix(".weight")
    largest = np.abs(weight).max(axis=1)
    numbers = np.round(weight / largest[:, None] * 127).astype(np.int8)
    parts = {
        name: Stored.of(numbers),
        f"{layer}.SCB": Stored.of(largest),
        f"{layer}.weight_format": Stored("U8", (), b"\0"),
    }
    return parts, numbers * largest[:, None] * np.float32(1 / 127)


# AWQ.


def awq(name: str, weight: Matrix, *, group: int) -> tuple[Parts, Matrix]:
    """A layer in AutoAWQ's form GEMM, and what it means."""
    layer = quantize(weight, 4, group, scale_dtype=np.float16)
    layer.zeros[:] = np.minimum(layer.zeros, 15)
    stem = name.removesuffix(".weight")
    order = (np.arange(len(weight)).reshape(-1, 8)[:, [0, 2, 4, 6, 1, 3, 5, 7]]).reshape(-1)
    parts = {
        f"{stem}.qweight": Stored.of(pack(layer.q[:, order], 4)),
        f"{stem}.qzeros": Stored.of(pack(layer.zeros[:, order], 4)),
        f"{stem}.scales": Stored.of(layer.scales),
    }
    return parts, layer.weight()


# Whole checkpoints.

Quantize = Callable[[str, Matrix], tuple[Parts, Matrix]]
"""Name and matrix to what is stored of it, and what that means."""


def write_packed(
    folder: Path,
    checkpoint: Checkpoint,
    quantize: Quantize,
    *,
    config: dict[str, Any] | None = None,
    extra: Parts | None = None,
) -> dict[str, Matrix]:
    """The checkpoint with its blocks' matrices quantized; what all of it means."""
    folder.mkdir(exist_ok=True)
    parts: Parts = {}
    meant: dict[str, Matrix] = {}
    for name, weight in checkpoint.weights.items():
        if ".layers." in name and weight.ndim == 2:
            stored, meant[name] = quantize(name, weight)
            parts |= stored
        else:
            parts[name], meant[name] = Stored.of(weight), weight
    write_stored(folder / "model.safetensors", parts | (extra or {}))
    shutil.copy(checkpoint.folder / "tokenizer.model", folder)
    settings = checkpoint.config | ({"quantization_config": config} if config else {})
    (folder / "config.json").write_text(json.dumps(settings))
    return meant


def fp8_as(**options: Any) -> Quantize:
    return lambda name, weight: fp8(name, weight, **options)


def a_scale_a_row(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
    return fp8(name, weight, block=(1, weight.shape[1]), scale_end="_scale", scale_dtype="BF16")


def a_scale_a_matrix(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
    return fp8(name, weight, block=weight.shape, scale_end="_scale", scale_shape=())


def four_bit_as(**options: Any) -> Quantize:
    return lambda name, weight: four_bit(name, weight, **options)
