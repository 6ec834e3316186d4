"""Quantized blocks as ggml's files of 2023 hold them, and what they are today.

A block of 32 weights (one quantized row is a run of them), all little-endian:

| type | before ggjt v2           | ggjt v2                  | ggjt v3, and today       | weight      |
|------|--------------------------|--------------------------|--------------------------|-------------|
| q4_0 | f32 d, 16 bytes a        | f32 d, 16 bytes b        | f16 d, 16 bytes b        | (q - 8) d   |
| q4_1 | f32 d, f32 m, 16 bytes a | f32 d, f32 m, 16 bytes b | f16 d, f16 m, 16 bytes b | q d + m     |
| q5_0 | f16 d, u32 h, 16 bytes a | f16 d, u32 h, 16 bytes b | as v2                    | (q - 16) d  |
| q5_1 | f16 d, f16 m, u32 h, a   | f16 d, f16 m, u32 h, b   | as v2                    | q d + m     |
| q8_0 | f32 d, 32 x i8           | f32 d, 32 x i8           | f16 d, 32 x i8           | q d         |

a: byte l holds q[2l] in its low and q[2l+1] in its high half. b: byte j holds q[j] low and q[j+16] high.
h: bit i is the fifth bit of q[i], in every version. Files of early March 2023 hold q4_0 and q4_1 row by row
instead: all m (q4_1), all d, then all bytes a. ggjt v3 has today's k-quants too, which need no change.

Repacking keeps every q. Scales go from f32 to f16: off by at most 2^-11 of their size, or by 2^-25 below
2^-14 (where f16 is subnormal). A wider type would not help there: q8_0's own scale is f16 as well and 127/8
times smaller. So such blocks are kept, as ggml's quantizers do today; a scale beyond f16 is refused.

Source: ggml.c and the k-quants of llama.cpp's releases of 2023; ggml-quants.c of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# Scales of real weights lie well within; nibbles read as a float32 mostly do not.
_SMALLEST_SCALE = 1e-12
_LARGEST_SCALE = 1e4
_MIN_PLAUSIBLE_SHARE = 0.99


class Era(Enum):
    """The three layouts of blocks: before ggjt v2, ggjt v2, ggjt v3."""

    OLD = "old"
    V2 = "v2"
    V3 = "v3"


class ScaleTooLarge(ValueError):
    """A block's scale is infinite, NaN or beyond float16."""


class BlockLayout(Protocol):
    """One tensor type as one era stores it; blocks are uint8 `(n_blocks, block_bytes)`."""

    @property
    def type_name(self) -> str:
        """The ggml type in lower case ("q4_0"), of the old and the repacked blocks alike."""
        ...

    @property
    def block_weights(self) -> int:
        """Weights in a block."""
        ...

    @property
    def block_bytes(self) -> int:
        """Bytes in a block."""
        ...

    def dequantize(self, blocks: Bytes) -> NDArray[np.float32]:
        """The weights as the program of that time computed them, `(n_blocks, block_weights)`."""
        ...

    def repack(self, blocks: Bytes) -> Bytes:
        """The same blocks in today's layout; raises `ScaleTooLarge`."""
        ...


@dataclass(frozen=True)
class Block32:
    """A block of 32 weights: `n_scales` of `scale_dtype`, four bytes of fifth bits where `bits` is 5, then q.

    is_interleaved: the halves of a byte are neighbours ("a" in the module's table).
    """

    type_name: str
    bits: int
    n_scales: int
    scale_dtype: np.dtype[Any]
    is_interleaved: bool
    block_weights: int = 32

    @property
    def scales_bytes(self) -> int:
        """Bytes of all scales of a block, d and m."""
        return self.n_scales * self.scale_dtype.itemsize

    @property
    def block_bytes(self) -> int:
        return self.scales_bytes + (4 if self.bits == 5 else 0) + (32 if self.bits == 8 else 16)

    def scales(self, blocks: Bytes) -> NDArray[Any]:
        """d, or d and m, of each block, `(n_blocks, n_scales)` as stored."""
        return np.ascontiguousarray(blocks[:, : self.scales_bytes]).view(self.scale_dtype)

    def dequantize(self, blocks: Bytes) -> NDArray[np.float32]:
        scales = self.scales(blocks).astype(np.float32)
        values = self._values(blocks)
        if self.n_scales == 2:
            return values * scales[:, :1] + scales[:, 1:]
        zero = np.float32(0 if self.bits == 8 else 1 << (self.bits - 1))
        return (values - zero) * scales

    def repack(self, blocks: Bytes) -> Bytes:
        with np.errstate(over="ignore"):
            scales = self.scales(blocks).astype("<f2")
        if not np.isfinite(scales).all():
            raise ScaleTooLarge
        rest = blocks[:, self.scales_bytes :]
        if self.is_interleaved:
            rest = np.concatenate([rest[:, :-16], split_halves(rest[:, -16:])], axis=1)
        return np.concatenate([scales.view(np.uint8), rest], axis=1)

    def _values(self, blocks: Bytes) -> NDArray[np.float32]:
        """q of each block in the order of the weights, `(n_blocks, 32)`."""
        if self.bits == 8:
            return blocks[:, -32:].view(np.int8).astype(np.float32)
        packed = blocks[:, -16:]
        if self.is_interleaved:
            packed = split_halves(packed)
        values = np.concatenate([packed & 15, packed >> 4], axis=1)
        if self.bits == 5:
            high = blocks[:, self.scales_bytes : self.scales_bytes + 4]
            values |= np.unpackbits(np.ascontiguousarray(high), axis=1, bitorder="little") << 4
        return values.astype(np.float32)


@dataclass(frozen=True)
class KBlock:
    """A k-quant block of 256 weights, unchanged since ggjt v3."""

    type_name: str
    block_bytes: int
    block_weights: int = 256

    def dequantize(self, blocks: Bytes) -> NDArray[np.float32]:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        weights: NDArray[np.float32] = dequantize(blocks, GGMLQuantizationType[self.type_name.upper()])
        return weights

    def repack(self, blocks: Bytes) -> Bytes:
        return blocks


FLOAT_TYPES: Mapping[int, str] = {0: "f32", 1: "f16"}
"""ggml's numbers of the plain types."""

REFUSED_TYPES: Mapping[int, str] = {4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K"}
"""Types that ggml has had, and that no current program reads in a file."""

# Number, name, bits, scales, whether the scales were f32 before ggjt v3.
_BLOCK32_TYPES = (
    (2, "q4_0", 4, 1, True),
    (3, "q4_1", 4, 2, True),
    (6, "q5_0", 5, 1, False),
    (7, "q5_1", 5, 2, False),
    (8, "q8_0", 8, 1, True),
)
_K_TYPES = ((10, "q2_k", 84), (11, "q3_k", 110), (12, "q4_k", 144), (13, "q5_k", 176), (14, "q6_k", 210))


def block_layouts(era: Era) -> Mapping[int, BlockLayout]:
    """The layouts of an era by ggml's type number."""
    layouts: dict[int, BlockLayout] = {}
    for number, name, bits, n_scales, was_f32 in _BLOCK32_TYPES:
        dtype = np.dtype("<f4" if was_f32 and era is not Era.V3 else "<f2")
        layouts[number] = Block32(name, bits, n_scales, dtype, era is Era.OLD and bits != 8)
    if era is Era.V3:
        layouts |= {number: KBlock(name, size) for number, name, size in _K_TYPES}
    return layouts


def gather_blocks(rows: Bytes, layout: Block32) -> Bytes:
    """Rows of early March 2023 (all m, all d, all q) as blocks; rows `(n_rows, row_bytes)`."""
    n_rows, row_bytes = rows.shape
    n_blocks = row_bytes // layout.block_bytes
    scales = rows[:, : n_blocks * layout.scales_bytes].reshape(n_rows, layout.n_scales, n_blocks, 4)
    values = rows[:, n_blocks * layout.scales_bytes :].reshape(n_rows, n_blocks, 16)
    # The blocks that came later have d before m.
    ordered = [scales[:, index] for index in reversed(range(layout.n_scales))]
    return np.concatenate([*ordered, values], axis=2).reshape(-1, layout.block_bytes)


def is_plausible(blocks: Bytes, layout: Block32) -> bool:
    """Whether the scales look like those of real weights: finite, of ordinary size, and for q4_1 d >= 0.

    Blocks whose scales are all zero say nothing; without any other block the reading counts as plausible.
    """
    scales = layout.scales(blocks).astype(np.float32)
    scales = scales[(scales != 0).any(axis=1)]
    if not len(scales):
        return True
    with np.errstate(invalid="ignore"):
        size = np.abs(scales)
        fits = ((size >= _SMALLEST_SCALE) & (size <= _LARGEST_SCALE)) | (size == 0)
        if layout.n_scales == 2:
            fits[:, 0] &= scales[:, 0] >= 0
    return bool(fits.all(axis=1).mean() >= _MIN_PLAUSIBLE_SHARE)


def split_halves(packed: Bytes) -> Bytes:
    """Rows of 16 bytes in order "a" of the module's table, in order "b"."""
    first, second = packed[:, :8], packed[:, 8:]
    split = np.empty(packed.shape, np.uint8)
    split[:, 0::2] = (first & 15) | (second << 4)
    split[:, 1::2] = (first >> 4) | (second & 0xF0)
    return split
