"""Checkpoints that bitsandbytes quantized: 4 bits (nf4, fp4) and 8 bits (LLM.int8).

A matrix of 4 bits is stored as `NAME` and, after the same name:

| tensor                           | type      | shape            |                                       |
|----------------------------------|-----------|------------------|---------------------------------------|
| (the name itself)                | any       | any              | two numbers a byte, the first high    |
| .quant_map                       | f32       | (16)             | what each number means, -1 to 1       |
| .absmax                          | f32 or u8 | (blocks)         | largest weight of each block          |
| .nested_quant_map                | f32       | (256)            | the same again, where `absmax` is u8  |
| .nested_absmax                   | f32       | (outer blocks)   |                                       |
| .quant_state.bitsandbytes__nf4   | u8        | (bytes)          | JSON: shape, dtype, sizes of blocks   |

Numbers run through the matrix row after row; a block is so many in that order, wherever rows end.
w = quant_map[number] * absmax, rounded to `dtype`; absmax = nested_quant_map[u8] * nested_absmax + offset.

A matrix of 8 bits is `LAYER.weight` (i8) and `LAYER.SCB` (f32, one a row): w = number * SCB / 127.
`LAYER.weight_format` (u8) is 0 where rows are rows, as in all files of today.

Source: bitsandbytes' `QuantState.as_dict` and `functional`; transformers' integration.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from convert.arch.config import MAX_VOCAB, MAX_WIDTH, ConfigReader, shorten
from convert.errors import InvalidConfig, InvalidFile, MissingTensor, UnsupportedQuantization
from convert.sources.bitsandbytes_tensors import FourBitTensor, Int8Tensor, NestedScales
from convert.sources.json_object import parse_json_object
from convert.sources.layer_parts import flat, list_part, matrix_part, mismatch
from convert.sources.tensors import STORAGE_DTYPES, StoredRead, StoredTensor, Tensor, announce_reads

_STATE = ".quant_state.bitsandbytes__"
_ROW_STATISTICS, _ROW_FORMAT = ".SCB", ".weight_format"
_MAX_STATE_BYTES = 4096
_BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_KINDS = ("nf4", "fp4")
_PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_DTYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_MAX_LENGTH = max(8 * MAX_WIDTH, MAX_VOCAB)


@dataclass(frozen=True)
class BitsandbytesModel:
    """tensors: all of the checkpoint, the parts of a quantized matrix replaced by it."""

    tensors: Mapping[str, Tensor]
    matrices: tuple[FourBitTensor | Int8Tensor, ...]

    @property
    def details(self) -> str:
        """For people: "4-bit nf4, double quantization"."""
        four_bit = [matrix for matrix in self.matrices if isinstance(matrix, FourBitTensor)]
        kinds = [f"4-bit {kind}" for kind in sorted({matrix.kind for matrix in four_bit})]
        if len(four_bit) < len(self.matrices):
            kinds.append("8-bit (LLM.int8)")
        is_nested = any(matrix.nested is not None for matrix in four_bit)
        return ", ".join([*kinds, *(["double quantization"] if is_nested else [])])


def is_bitsandbytes(tensors: Mapping[str, Tensor]) -> bool:
    """Whether any tensor is one that only bitsandbytes writes."""
    return any(_STATE in name or name.endswith(_ROW_STATISTICS) for name in tensors)


def read_bitsandbytes(tensors: Mapping[str, StoredTensor]) -> BitsandbytesModel:
    """The model in a checkpoint for which `is_bitsandbytes` holds; of the weights only small tables are read.

    Raises `MissingTensor`, `QuantizationMismatch`, `UnsupportedQuantization` or `InvalidFile`.
    """
    states = {name.partition(_STATE)[0]: tensor for name, tensor in tensors.items() if _STATE in name}
    announce_reads(_reads_at_once(states, tensors))
    matrices: dict[str, FourBitTensor | Int8Tensor] = {}
    parts = {tensor.name for tensor in states.values()}
    for name, state in states.items():
        matrices[name] = _read_four_bit(name, state, tensors)
        parts |= {f"{name}.{part}" for part in _PARTS}
    for name in tensors:
        if name.endswith(_ROW_STATISTICS):
            layer = name.removesuffix(_ROW_STATISTICS)
            matrices[f"{layer}.weight"] = _read_int8(layer, tensors)
            parts |= {name, layer + _ROW_FORMAT}
    kept = {name: matrices.get(name, tensor) for name, tensor in tensors.items() if name not in parts}
    return BitsandbytesModel(kept, tuple(matrices.values()))


def _reads_at_once(
    states: Mapping[str, StoredTensor], tensors: Mapping[str, StoredTensor]
) -> Iterator[StoredRead]:
    for name, state in states.items():
        for tensor in (state, tensors.get(f"{name}.quant_map"), tensors.get(f"{name}.nested_quant_map")):
            if tensor is not None and math.prod(tensor.shape) <= _MAX_STATE_BYTES:
                yield from tensor.stored_reads(0, tensor.shape[0])


def _read_four_bit(name: str, state: StoredTensor, tensors: Mapping[str, StoredTensor]) -> FourBitTensor:
    stored = tensors.get(name)
    if stored is None:
        raise MissingTensor(state.source.path, name)
    kind = state.name.partition(_STATE)[2]
    if kind not in _KINDS:
        raise UnsupportedQuantization(state.source.path, state.name, kind)
    is_nested = f"{name}.nested_absmax" in tensors
    settings = _Settings.read(state, is_nested=is_nested)
    n_numbers = math.prod(settings.shape)
    packed = _as_bytes(stored)
    if packed.shape[0] != -(-n_numbers // 2):
        raise mismatch(stored, "shape", f"{-(-n_numbers // 2)} bytes", packed.shape[0])
    n_blocks = -(-n_numbers // settings.block)
    return FourBitTensor(
        name=name,
        shape=settings.shape,
        kind=kind,
        packed=packed,
        values=list_part(stored, f"{name}.quant_map", tensors, "f32", 16).read_stored(0, 16),
        block=settings.block,
        absmax=list_part(stored, f"{name}.absmax", tensors, "u8" if is_nested else "f32", n_blocks),
        nested=_read_nested(stored, n_blocks, settings, tensors) if is_nested else None,
        rounded_to=settings.rounded_to,
    )


def _read_nested(
    stored: StoredTensor, n_blocks: int, settings: _Settings, tensors: Mapping[str, StoredTensor]
) -> NestedScales:
    name, n_scales = stored.name, -(-n_blocks // settings.nested_block)
    return NestedScales(
        values=list_part(stored, f"{name}.nested_quant_map", tensors, "f32", 256).read_stored(0, 256),
        scales=list_part(stored, f"{name}.nested_absmax", tensors, "f32", n_scales),
        block=settings.nested_block,
        offset=np.float32(settings.nested_offset),
    )


def _read_int8(layer: str, tensors: Mapping[str, StoredTensor]) -> Int8Tensor:
    statistics = tensors[layer + _ROW_STATISTICS]
    weight = matrix_part(statistics, f"{layer}.weight", tensors, ("i8",))
    of_rows = list_part(weight, statistics.name, tensors, "f32", weight.shape[0])
    order = tensors.get(layer + _ROW_FORMAT)
    if order is not None and list_part(weight, order.name, tensors, "u8", 1).read_stored(0, 1)[0]:
        # The layouts of single graphics cards, which no published file has.
        raise UnsupportedQuantization(order.source.path, order.name, "not row")
    return Int8Tensor(weight, of_rows)


@dataclass(frozen=True)
class _Settings:
    """What the JSON object beside a 4-bit matrix says."""

    shape: tuple[int, int]
    block: int
    rounded_to: str
    nested_block: int
    nested_offset: float

    @classmethod
    def read(cls, state: StoredTensor, *, is_nested: bool) -> _Settings:
        path = state.source.path
        if state.dtype != "u8" or len(state.shape) != 1 or not 0 < state.shape[0] <= _MAX_STATE_BYTES:
            raise mismatch(state, "shape", f"at most {_MAX_STATE_BYTES} u8", f"{state.shape}, {state.dtype}")
        values = parse_json_object(path, state.read_stored(0, state.shape[0]).tobytes())
        for setting, allowed in (("dtype", tuple(_DTYPES)), ("nested_dtype", ("float32",) * is_nested)):
            if allowed and values.get(setting) not in allowed:
                raise UnsupportedQuantization(path, f"{state.name}: {setting}", shorten(values.get(setting)))
        reader = ConfigReader(path, values)
        try:
            block = reader.integer(["blocksize"], high=_BLOCK_SIZES[-1])
            nested_block = reader.integer(["nested_blocksize"], high=_BLOCK_SIZES[-1], default=256)
            offset = reader.number("nested_offset", low=-1e30, high=1e30, default=None if is_nested else 0.0)
        except InvalidConfig as error:
            raise InvalidFile(path, f"{state.name}: {error.setting} is {error.found}") from error
        if block not in _BLOCK_SIZES or nested_block not in _BLOCK_SIZES:
            raise InvalidFile(path, f"{state.name}: blocks of {block} and {nested_block}")
        shape = _checked_shape(state, values.get("shape"))
        return cls(shape, block, _DTYPES[values["dtype"]], nested_block, offset)


def _checked_shape(state: StoredTensor, shape: object) -> tuple[int, int]:
    if isinstance(shape, list) and len(shape) == 2:
        n_rows, width = shape
        if all(type(n) is int and 1 <= n <= _MAX_LENGTH for n in shape):
            return n_rows, width
    raise InvalidFile(state.source.path, f"{state.name}: shape {shorten(shape)}")


def _as_bytes(tensor: StoredTensor) -> StoredTensor:
    """The same memory as bytes: trainers may have it stored as numbers of any type."""
    numbers = flat(tensor)
    n_bytes = numbers.shape[0] * STORAGE_DTYPES[tensor.dtype].itemsize
    return replace(numbers, dtype="u8", shape=(n_bytes,))
