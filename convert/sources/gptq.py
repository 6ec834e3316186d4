"""Checkpoints that GPTQ quantized: each quantized layer becomes one weight matrix.

A quantized layer `NAME` is stored as `NAME.qweight`, `NAME.qzeros`, `NAME.scales` and, by tools after
BELLE's, `NAME.g_idx`: the group of each input, which is not in order where columns were quantized by
importance ("activation order"). Bits and groups follow from the shapes, and any configuration has to agree.

Settings and files contradict each other in public checkpoints. What one part of a file can only mean one way
is read that way, and noted:
- The zero point of a symmetric layer is the middle of the range. All of a layer's first zero points being
  the middle, or one less, tell whether they were stored less one, whatever the settings say.
- `g_idx` of nothing but zeros where there are several groups was never filled: the inputs are in order.
- `g_idx` with an order of its own is followed though the settings say that there is none.
Anything else is refused.

Four bits in groups in order are repacked as q4_1, the rest is computed in float32. Layouts and arithmetic
are in `convert.sources.gptq_blocks`. Source: models/gptq of BELLE, AutoGPTQ, GPTQModel, vLLM's kernels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.arch.config import MAX_VOCAB, MAX_WIDTH
from convert.errors import InvalidFile, MissingTensor, UnsupportedQuantization
from convert.notes import Note
from convert.sources.gptq_blocks import BLOCK_WEIGHTS, unpack_bits
from convert.sources.gptq_settings import BITS, GptqSettings
from convert.sources.gptq_tensors import GptqTensor, MatrixCache, PackedGptqTensor
from convert.sources.layer_parts import matrix_part, mismatch
from convert.sources.tensors import StoredRead, StoredTensor, Tensor, announce_reads

_MARK, _ZEROS, _INDEX = ".qweight", ".qzeros", ".g_idx"
_MAX_INPUTS, _MAX_OUTPUTS = 8 * MAX_WIDTH, MAX_VOCAB
# LLaMA-70B has 8 million. They are read when a file is opened, and one storage may be named many times.
_MAX_INDEXED = 1 << 24
# The quantizers take powers of two; the last group of a layer may be shorter.
_USUAL_GROUPS = (128, 32, 64, 256, 512, 1024)


@dataclass(frozen=True)
class GptqModel:
    """tensors: all of the checkpoint, the parts of a quantized layer replaced by its weight.

    notes: how contradictions between parts and settings were read.
    """

    tensors: Mapping[str, Tensor]
    layers: tuple[GptqTensor, ...]
    notes: tuple[Note, ...] = ()

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

    Some zero points are read as well. Raises `MissingTensor`, `QuantizationMismatch`,
    `UnsupportedQuantization` or `InvalidFile`.
    """
    n_indexed = sum(math.prod(tensor.shape) for name, tensor in tensors.items() if name.endswith(_INDEX))
    if n_indexed > _MAX_INDEXED:
        first = next(iter(tensors.values()))
        raise InvalidFile(first.source.path, f"{n_indexed} inputs in all layers' g_idx together")
    announce_reads(_reads_at_once(tensors))
    cache = MatrixCache()
    n_layers: Counter[str] = Counter()
    result: dict[str, Tensor] = {}
    layers: list[GptqTensor] = []
    stems = {name.removesuffix(_MARK) for name in tensors if name.endswith(_MARK)}
    parts = {f"{stem}.{part}" for stem in stems for part in ("qzeros", "scales", "g_idx")}
    for name, tensor in tensors.items():
        if name.endswith(_MARK):
            layer, contradictions = _read_layer(name.removesuffix(_MARK), tensors, settings, cache)
            n_layers.update(contradictions)
            if layer.name in tensors:
                raise InvalidFile(tensor.source.path, f"{layer.name!r} is there quantized and as it was")
            result[layer.name] = layer
            layers.append(layer)
        elif name not in parts:
            result[name] = tensor
    notes = tuple(Note(key, {"n_layers": count}) for key, count in sorted(n_layers.items()))
    return GptqModel(result, tuple(layers), notes)


def _reads_at_once(tensors: Mapping[str, StoredTensor]) -> Iterator[StoredRead]:
    for name, tensor in tensors.items():
        if name.endswith(_INDEX):
            yield from tensor.stored_reads(0, tensor.shape[0])
        elif name.endswith(_ZEROS) and 0 < math.prod(tensor.shape[1:]) <= _MAX_OUTPUTS:
            yield from tensor.stored_reads(0, min(1, tensor.shape[0]))


def _read_layer(
    stem: str, tensors: Mapping[str, StoredTensor], settings: GptqSettings, cache: MatrixCache
) -> tuple[GptqTensor, list[str]]:
    """The layer, and the keys of the notes that it asks for."""
    marked = tensors[stem + _MARK]
    qweight = matrix_part(marked, marked.name, tensors, ("i32",))
    qzeros = matrix_part(marked, stem + _ZEROS, tensors, ("i32",))
    scales = matrix_part(marked, f"{stem}.scales", tensors, ("f32", "f16", "bf16"))
    bits = _find_bits(qweight, qzeros, scales, settings)
    n_inputs, rest = divmod(qweight.shape[0] * 32, bits)
    if rest or n_inputs % 32 or not 1 <= n_inputs <= _MAX_INPUTS:
        raise mismatch(qweight, "shape", f"{bits}-bit", qweight.shape)
    group_weights = _find_group(qweight, scales, n_inputs, settings)
    group_index, order_note = _read_group_index(
        tensors.get(f"{stem}{_INDEX}"), scales, n_inputs, group_weights, settings
    )
    zero_offset, zero_note = _find_zero_offset(qzeros, bits, settings)
    is_packed = bits == 4 and group_index is None and group_weights % BLOCK_WEIGHTS == 0
    layer = (PackedGptqTensor if is_packed else GptqTensor)(
        name=f"{stem}.weight",
        shape=(qweight.shape[1], n_inputs),
        bits=bits,
        group_weights=group_weights,
        qweight=qweight,
        qzeros=qzeros,
        scales=scales,
        cache=cache,
        group_index=group_index,
        zero_offset=zero_offset,
        # BELLE's kernel reads 16 where later tools' wrap around to 0.
        zero_mask=(1 << bits) - 1 if settings.is_later_tool else None,
    )
    return layer, [note for note in (order_note, zero_note) if note]


def _find_bits(
    qweight: StoredTensor, qzeros: StoredTensor, scales: StoredTensor, settings: GptqSettings
) -> int:
    """Bits from the zero points: one for each of the outputs, which are the columns of the other two."""
    n_outputs = qweight.shape[1]
    if scales.shape[1] != n_outputs:
        raise mismatch(scales, "shape", f"{n_outputs} columns", scales.shape)
    if qzeros.shape[0] != scales.shape[0]:
        raise mismatch(qzeros, "shape", f"{scales.shape[0]} rows", qzeros.shape)
    bits, rest = divmod(qzeros.shape[1] * 32, n_outputs)
    if rest or n_outputs % 32 or n_outputs > _MAX_OUTPUTS:
        raise mismatch(qzeros, "shape", f"zero points of {n_outputs} outputs", qzeros.shape)
    if bits not in BITS:
        raise UnsupportedQuantization(qweight.source.path, "bits", str(bits))
    if settings.bits not in (None, bits):
        raise mismatch(qzeros, "bits", str(settings.bits), bits)
    return bits


def _find_group(qweight: StoredTensor, scales: StoredTensor, n_inputs: int, settings: GptqSettings) -> int:
    """Inputs in a group; where no configuration says it, a usual number that makes as many as there are."""
    n_groups, stated = scales.shape[0], settings.group_weights
    if stated is None and n_groups > 1:
        fitting = [size for size in _USUAL_GROUPS if n_groups == -(-n_inputs // size)]
        stated = fitting[0] if fitting else n_inputs // n_groups
    group_weights = stated or n_inputs
    if group_weights < 1 or n_groups != -(-n_inputs // group_weights):
        raise mismatch(scales, "groups", f"{n_inputs} inputs in groups of {group_weights}", n_groups)
    return min(group_weights, n_inputs)


def _read_group_index(
    tensor: StoredTensor | None,
    scales: StoredTensor,
    n_inputs: int,
    group_weights: int,
    settings: GptqSettings,
) -> tuple[NDArray[np.int64] | None, str | None]:
    """`g_idx` where it says anything, and the note that it asks for."""
    n_groups = scales.shape[0]
    if tensor is None:
        if settings.has_own_order and n_groups > 1:
            raise MissingTensor(scales.source.path, scales.name.removesuffix(".scales") + _INDEX)
        return None, None
    if tensor.shape != (n_inputs,) or tensor.dtype not in ("i32", "i64"):
        raise mismatch(tensor, "shape", f"{n_inputs} integers", f"{tensor.shape}, {tensor.dtype}")
    groups = tensor.read_stored(0, n_inputs).astype(np.int64)
    in_order = np.arange(n_inputs, dtype=np.int64) // group_weights
    if np.array_equal(groups, in_order):
        return None, None
    if not groups.any() and not settings.has_own_order:
        return None, "gptq_order_empty"
    # Kernels that sort the inputs by group take them to be as many in each, others to be where g_idx says.
    if not np.array_equal(np.sort(groups), in_order):
        found = f"{groups.min()} to {groups.max()}, not as many inputs in each"
        raise mismatch(tensor, "groups", f"0 to {n_groups - 1}, {group_weights} inputs in each", found)
    return groups, "gptq_order_unsaid" if settings.has_own_order is False else None


def _find_zero_offset(qzeros: StoredTensor, bits: int, settings: GptqSettings) -> tuple[int, str | None]:
    """What to add to a stored zero point, and the note that it asks for."""
    offset = 0 if settings.stores_zero_itself else 1
    if settings.is_symmetric is False:
        return offset, None
    middle = 1 << (bits - 1)
    found = np.unique(unpack_bits(qzeros.read_stored(0, 1), bits))
    if len(found) == 1 and found[0] in (middle, middle - 1):
        implied = middle - int(found[0])
        return implied, (None if implied == offset else f"gptq_zero_less_{'one' if implied else 'nothing'}")
    return offset, "gptq_not_symmetric" if settings.is_symmetric else None
