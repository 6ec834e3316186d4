"""Checkpoints that GPTQ quantized: each quantized layer becomes one weight matrix.

A quantized layer `NAME` is stored as `NAME.qweight`, `NAME.qzeros`, `NAME.scales` and, by tools after
BELLE's, `NAME.g_idx`: the group of each input, which is not in order where columns were quantized by
importance ("activation order"). Bits and groups follow from the shapes, and any configuration has to agree.

Four bits in groups in order are repacked as q4_1, the rest is computed in float32. Layouts and arithmetic
are in `convert.sources.gptq_blocks`. Source: models/gptq of BELLE, AutoGPTQ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.arch.config import MAX_WIDTH
from convert.errors import DamagedFile, MissingTensor, QuantizationMismatch, UnsupportedQuantization
from convert.sources.gptq_blocks import BLOCK_WEIGHTS
from convert.sources.gptq_settings import BITS, GptqSettings
from convert.sources.gptq_tensors import GptqTensor, MatrixCache, PackedGptqTensor
from convert.sources.tensors import StoredTensor, Tensor, announce_reads

_MARK, _INDEX = ".qweight", ".g_idx"
_MAX_INPUTS = 8 * MAX_WIDTH
# LLaMA-70B has 8 million. They are read when a file is opened, and one storage may be named many times.
_MAX_INDEXED = 1 << 24
# The quantizers take powers of two; the last group of a layer may be shorter.
_USUAL_GROUPS = (128, 32, 64, 256, 512, 1024)


@dataclass(frozen=True)
class GptqModel:
    """tensors: all of the checkpoint, the parts of a quantized layer replaced by its weight."""

    tensors: Mapping[str, Tensor]
    layers: tuple[GptqTensor, ...]

    @property
    def details(self) -> str:
        """For people: "4-bit, group 128"; several widths or groups are all named."""
        bits = "/".join(str(number) for number in sorted({layer.bits for layer in self.layers}))
        sizes = {layer.group_weights for layer in self.layers if layer.group_weights < layer.shape[1]}
        groups = [f"group {size}" for size in sorted(sizes)] or ["whole columns"]
        is_ordered = all(layer.group_index is None for layer in self.layers)
        return ", ".join([f"{bits}-bit", *groups, *([] if is_ordered else ["activation order"])])


def is_gptq(tensors: Mapping[str, Tensor]) -> bool:
    """Whether any layer is quantized."""
    return any(name.endswith(_MARK) for name in tensors)


def read_gptq(tensors: Mapping[str, StoredTensor], settings: GptqSettings) -> GptqModel:
    """The model in a checkpoint for which `is_gptq` holds; reads no weights but the order of the groups.

    Raises `MissingTensor`, `QuantizationMismatch`, `UnsupportedQuantization` or `DamagedFile`.
    """
    n_indexed = sum(math.prod(tensor.shape) for name, tensor in tensors.items() if name.endswith(_INDEX))
    if n_indexed > _MAX_INDEXED:
        first = next(iter(tensors.values()))
        raise DamagedFile(first.source.path, f"{n_indexed} inputs in all layers' g_idx together")
    indexes = [tensor for name, tensor in tensors.items() if name.endswith(_INDEX) and tensor.shape]
    announce_reads(read for tensor in indexes for read in tensor.stored_reads(0, tensor.shape[0]))
    cache = MatrixCache()
    result: dict[str, Tensor] = {}
    layers: list[GptqTensor] = []
    stems = {name.removesuffix(_MARK) for name in tensors if name.endswith(_MARK)}
    parts = {f"{stem}.{part}" for stem in stems for part in ("qzeros", "scales", "g_idx")}
    for name, tensor in tensors.items():
        if name.endswith(_MARK):
            layer = _read_layer(name.removesuffix(_MARK), tensors, settings, cache)
            if layer.name in tensors:
                raise DamagedFile(tensor.source.path, f"{layer.name!r} is there quantized and as it was")
            result[layer.name] = layer
            layers.append(layer)
        elif name not in parts:
            result[name] = tensor
    return GptqModel(result, tuple(layers))


def _read_layer(
    stem: str, tensors: Mapping[str, StoredTensor], settings: GptqSettings, cache: MatrixCache
) -> GptqTensor:
    qweight = _part(stem, "qweight", tensors, ("i32",))
    qzeros = _part(stem, "qzeros", tensors, ("i32",))
    scales = _part(stem, "scales", tensors, ("f32", "f16", "bf16"))
    bits = _find_bits(qweight, qzeros, scales, settings)
    n_inputs, rest = divmod(qweight.shape[0] * 32, bits)
    if rest or n_inputs % 32 or not 1 <= n_inputs <= _MAX_INPUTS:
        raise _mismatch(qweight, "shape", f"{bits}-bit", qweight.shape)
    group_weights = _find_group(qweight, scales, n_inputs, settings)
    group_index = _read_group_index(stem, tensors, n_inputs, scales.shape[0], group_weights)
    is_packed = bits == 4 and group_index is None and group_weights % BLOCK_WEIGHTS == 0
    return (PackedGptqTensor if is_packed else GptqTensor)(
        name=f"{stem}.weight",
        shape=(qweight.shape[1], n_inputs),
        bits=bits,
        group_weights=group_weights,
        qweight=qweight,
        qzeros=qzeros,
        scales=scales,
        cache=cache,
        group_index=group_index,
        zero_offset=0 if settings.stores_zero_itself else 1,
        # BELLE's kernel reads 16 where later tools' wrap around to 0.
        zero_mask=(1 << bits) - 1 if settings.is_later_tool else None,
    )


def _part(stem: str, part: str, tensors: Mapping[str, StoredTensor], dtypes: tuple[str, ...]) -> StoredTensor:
    name = f"{stem}.{part}"
    tensor = tensors.get(name)
    if tensor is None:
        raise MissingTensor(tensors[stem + _MARK].source.path, name)
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        raise _mismatch(tensor, "shape", "a matrix", tensor.shape)
    if tensor.dtype not in dtypes:
        raise _mismatch(tensor, "dtype", " or ".join(dtypes), tensor.dtype)
    return tensor


def _find_bits(
    qweight: StoredTensor, qzeros: StoredTensor, scales: StoredTensor, settings: GptqSettings
) -> int:
    """Bits from the zero points: one for each of the outputs, which are the columns of the other two."""
    n_outputs = qweight.shape[1]
    if scales.shape[1] != n_outputs:
        raise _mismatch(scales, "shape", f"{n_outputs} columns", scales.shape)
    if qzeros.shape[0] != scales.shape[0]:
        raise _mismatch(qzeros, "shape", f"{scales.shape[0]} rows", qzeros.shape)
    bits, rest = divmod(qzeros.shape[1] * 32, n_outputs)
    if rest or n_outputs % 32:
        raise _mismatch(qzeros, "shape", f"zero points of {n_outputs} outputs", qzeros.shape)
    if bits not in BITS:
        raise UnsupportedQuantization(qweight.source.path, "bits", str(bits))
    if settings.bits not in (None, bits):
        raise _mismatch(qzeros, "bits", str(settings.bits), bits)
    return bits


def _find_group(qweight: StoredTensor, scales: StoredTensor, n_inputs: int, settings: GptqSettings) -> int:
    """Inputs in a group; where no configuration says it, a usual number that makes as many as there are."""
    n_groups, stated = scales.shape[0], settings.group_weights
    if stated is None and n_groups > 1:
        fitting = [size for size in _USUAL_GROUPS if n_groups == -(-n_inputs // size)]
        stated = fitting[0] if fitting else n_inputs // n_groups
    group_weights = stated or n_inputs
    if group_weights < 1 or n_groups != -(-n_inputs // group_weights):
        raise _mismatch(scales, "groups", f"{n_inputs} inputs in groups of {group_weights}", n_groups)
    return min(group_weights, n_inputs)


def _read_group_index(
    stem: str, tensors: Mapping[str, StoredTensor], n_inputs: int, n_groups: int, group_weights: int
) -> NDArray[np.int64] | None:
    """`g_idx` where it is there and says anything."""
    tensor = tensors.get(f"{stem}{_INDEX}")
    if tensor is None:
        return None
    if tensor.shape != (n_inputs,) or tensor.dtype not in ("i32", "i64"):
        raise _mismatch(tensor, "shape", f"{n_inputs} integers", f"{tensor.shape}, {tensor.dtype}")
    groups = tensor.read_stored(0, n_inputs).astype(np.int64)
    if groups.min() < 0 or groups.max() >= n_groups:
        raise _mismatch(tensor, "groups", f"0 to {n_groups - 1}", f"{groups.min()} to {groups.max()}")
    in_order = np.arange(n_inputs, dtype=np.int64) // group_weights
    return None if np.array_equal(groups, in_order) else groups


def _mismatch(tensor: StoredTensor, setting: str, expected: str, found: object) -> QuantizationMismatch:
    return QuantizationMismatch(tensor.source.path, tensor.name, setting, expected, str(found))
