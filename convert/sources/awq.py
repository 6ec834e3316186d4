"""Checkpoints that AWQ quantized, in AutoAWQ's form "GEMM": each quantized layer becomes one weight matrix.

| tensor  | type              | shape             |                                             |
|---------|-------------------|-------------------|---------------------------------------------|
| qweight | i32               | (in, out / 8)     | each row words of eight 4-bit numbers       |
| qzeros  | i32               | (groups, out / 8) | the zero points, in such words              |
| scales  | f16, bf16 or f32  | (groups, out)     |                                             |

w = scale * (q - zero). From the lowest bits up, a word holds the outputs 0, 2, 4, 6, 1, 3, 5, 7 of its eight.
Groups are in order, so the numbers are repacked as q4_1, as those of GPTQ are; see
`convert.sources.gptq_blocks`.

Source: AutoAWQ's `utils/packing_utils.py` and `modules/linear/gemm.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.arch.config import MAX_WIDTH, shorten
from convert.errors import InvalidFile, UnsupportedQuantization
from convert.sources.gptq_blocks import BLOCK_WEIGHTS, unpack_bits
from convert.sources.gptq_tensors import GptqTensor, MatrixCache, PackedGptqTensor
from convert.sources.layer_parts import matrix_part, mismatch
from convert.sources.tensors import StoredTensor, Tensor

_BITS, _PER_WORD = 4, 8
# Where in its word each of eight neighbouring outputs is.
_PLACES = np.argsort([0, 2, 4, 6, 1, 3, 5, 7])
_MARK = ".qweight"
_MAX_INPUTS = 8 * MAX_WIDTH


@dataclass(frozen=True)
class AwqModel:
    """tensors: all of the checkpoint, the parts of a quantized layer replaced by its weight."""

    tensors: Mapping[str, Tensor]
    layers: tuple[GptqTensor, ...]

    @property
    def details(self) -> str:
        """For people: "4-bit, group 128"."""
        sizes = sorted({layer.group_weights for layer in self.layers})
        return ", ".join(["4-bit", *(f"group {size}" for size in sizes)])


@dataclass(frozen=True)
class AwqTensor(GptqTensor):
    """A layer that is stored in AWQ's order."""

    @property
    def quantization(self) -> str:
        return "awq 4-bit"

    def read_words(self, start: int, stop: int) -> NDArray[Any]:
        numbers = np.ascontiguousarray(self._read_numbers(self.qweight, start, stop).T)
        return (numbers[:, ::2] | numbers[:, 1::2] << np.uint8(4)).view(np.int32)

    def read_zeros(self, start: int, stop: int) -> NDArray[np.int16]:
        return np.ascontiguousarray(self._read_numbers(self.qzeros, start, stop).T.astype(np.int16))

    def _read_numbers(self, tensor: StoredTensor, start: int, stop: int) -> NDArray[np.uint8]:
        first, end = start // _PER_WORD, -(-stop // _PER_WORD)
        numbers = unpack_bits(self.cache.columns(tensor, first, end), _BITS)
        in_order = numbers.reshape(len(numbers), -1, _PER_WORD)[..., _PLACES].reshape(len(numbers), -1)
        return in_order[:, start - first * _PER_WORD : stop - first * _PER_WORD]


@dataclass(frozen=True)
class PackedAwqTensor(AwqTensor, PackedGptqTensor):
    """A `PackedTensor`: groups that are whole q4_1 blocks."""


def is_awq(tensors: Mapping[str, StoredTensor], stated: Mapping[str, Any]) -> bool:
    """Whether AWQ quantized any layer: the configuration says so, or the words lie along the outputs."""
    marked = next((tensor for name, tensor in tensors.items() if name.endswith(_MARK)), None)
    if marked is None or stated.get("quant_method") not in (None, "awq"):
        return False
    scales = tensors.get(f"{marked.name.removesuffix(_MARK)}.scales")
    is_along_outputs = scales is not None and scales.shape[-1] == marked.shape[-1] * _PER_WORD
    return is_along_outputs or stated.get("quant_method") == "awq"


def read_awq(tensors: Mapping[str, StoredTensor], path: Path, stated: Mapping[str, Any]) -> AwqModel:
    """The model in a checkpoint for which `is_awq` holds; reads nothing.

    path, stated: the configuration and what it says of the quantization. Raises `UnsupportedQuantization` for
    another form than "GEMM", `MissingTensor`, `QuantizationMismatch` or `InvalidFile`.
    """
    for setting, usual in (("version", "gemm"), ("bits", _BITS)):
        value = stated.get(setting, usual)
        if (value.lower() if isinstance(value, str) else value) != usual:
            raise UnsupportedQuantization(path, f"awq {setting}", shorten(value))
    cache = MatrixCache()
    stems = [name.removesuffix(_MARK) for name in tensors if name.endswith(_MARK)]
    layers = [_read_layer(stem, tensors, cache) for stem in stems]
    parts = {f"{stem}.{part}" for stem in stems for part in ("qweight", "qzeros", "scales")}
    result: dict[str, Tensor] = {name: item for name, item in tensors.items() if name not in parts}
    for layer in layers:
        if layer.name in result:
            raise InvalidFile(layer.path, f"{layer.name!r} is there quantized and as it was")
        result[layer.name] = layer
    return AwqModel(result, tuple(layers))


def _read_layer(stem: str, tensors: Mapping[str, StoredTensor], cache: MatrixCache) -> GptqTensor:
    marked = tensors[stem + _MARK]
    qweight = matrix_part(marked, marked.name, tensors, ("i32",))
    qzeros = matrix_part(marked, f"{stem}.qzeros", tensors, ("i32",))
    scales = matrix_part(marked, f"{stem}.scales", tensors, ("f16", "bf16", "f32"))
    n_inputs, n_outputs, n_groups = qweight.shape[0], qweight.shape[1] * _PER_WORD, scales.shape[0]
    group_weights = n_inputs // n_groups
    if n_inputs % BLOCK_WEIGHTS or n_inputs > _MAX_INPUTS:
        raise mismatch(qweight, "shape", f"rows in blocks of {BLOCK_WEIGHTS}", qweight.shape)
    if scales.shape[1] != n_outputs or group_weights * n_groups != n_inputs:
        raise mismatch(scales, "shape", f"groups of {n_inputs} inputs, {n_outputs}", scales.shape)
    if qzeros.shape != (n_groups, qweight.shape[1]):
        raise mismatch(qzeros, "shape", str((n_groups, qweight.shape[1])), qzeros.shape)
    return (AwqTensor if group_weights % BLOCK_WEIGHTS else PackedAwqTensor)(
        name=f"{stem}.weight",
        shape=(n_outputs, n_inputs),
        bits=_BITS,
        group_weights=group_weights,
        qweight=qweight,
        qzeros=qzeros,
        scales=scales,
        cache=cache,
        zero_offset=0,
    )
