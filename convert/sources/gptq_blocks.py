"""The numbers of one GPTQ matrix: packed bits to integers, to float32, and to blocks of ggml's q4_1.

| tensor  | type       | shape                     |                                                         |
|---------|------------|---------------------------|---------------------------------------------------------|
| qweight | i32        | (in * bits / 32, out)     | each column a stream of numbers of `bits`, lowest first |
| qzeros  | i32        | (groups, out * bits / 32) | each row such a stream: the zero points minus one       |
| scales  | f32 or f16 | (groups, out)             |                                                         |

w = scale * (q - zero). A number of 3 bits may lie in two words: 32 numbers fill three words without a gap, so
that eight numbers are always three bytes. A q4_1 block is 32 weights of a row, q * d + m, with d = scale and
m = -scale * zero, both float16; see `convert.sources.ggml_blocks`.

Knows neither names nor files. Source: models/gptq/quant.py of BELLE; AutoGPTQ's qlinear modules.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.sources.ggml_blocks import Bytes, ScaleTooLarge, split_halves

BLOCK_WEIGHTS = 32
"""Weights in a q4_1 block."""

_BLOCK_BYTES = 20


def unpack_bits(words: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Rows of 32-bit words as the numbers packed into them; `bits` is 2, 3, 4 or 8."""
    data = np.ascontiguousarray(words).view(np.uint8)
    if bits == 8:
        return data
    if bits == 3:
        triples = data.reshape(len(data), -1, 3).astype(np.uint32)
        joined = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
        shifts = np.arange(0, 24, 3, dtype=np.uint32)
        return (joined[..., None] >> shifts & 7).astype(np.uint8).reshape(len(data), -1)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (data[..., None] >> shifts & np.uint8((1 << bits) - 1)).reshape(len(data), -1)


def dequantize(
    values: NDArray[np.uint8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.int16],
    groups: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Weights `(n_rows, width)`.

    values: `(n_rows, width)`. scales and zeros: `(n_rows, n_groups)`. groups: the group of each column.
    """
    weights = values.astype(np.float32)
    weights -= zeros[:, groups]
    weights *= scales[:, groups]
    return weights


def pack_q4_1(
    words: NDArray[Any], scales: NDArray[np.float32], zeros: NDArray[np.int16], group_weights: int
) -> Bytes:
    """The q4_1 blocks of rows of packed 4-bit numbers, `(n_rows, bytes of a row)`; no number changes.

    words: `(n_rows, width / 8)`. scales and zeros: `(n_rows, n_groups)`; a group of `group_weights`, a
    multiple of 32, is whole blocks. d and m are rounded to float16: with d >= 2^-14 a weight moves by at most
    2^-11 * (15 * d + |m|). Below that float16 is subnormal and d is off by up to 2^-25 instead, a weight by
    15 * 2^-25. Such blocks are kept as well: in q8_0, whose own scale is float16 too and some 127/15 times
    smaller than d, that rounding alone moves a weight by up to 127 * 2^-25, and rounding to 8 bits is added
    (measured in tests/convert/test_gptq_blocks.py). Raises `ScaleTooLarge`.
    """
    packed = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1, 16)
    n_blocks = packed.shape[1]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        d = scales.astype("<f2")
        # In float64 the product is exact: m is rounded once.
        m = (-scales.astype(np.float64) * zeros).astype("<f2")
    if not (np.isfinite(d).all() and np.isfinite(m).all()):
        raise ScaleTooLarge
    n_repeats = group_weights // BLOCK_WEIGHTS
    blocks = np.empty((len(words), n_blocks, _BLOCK_BYTES), np.uint8)
    for place, numbers in ((0, d), (2, m)):
        repeated = np.repeat(numbers, n_repeats, axis=1)[:, :n_blocks, None]
        blocks[..., place : place + 2] = np.ascontiguousarray(repeated).view(np.uint8)
    blocks[..., 4:] = split_halves(packed.reshape(-1, 16)).reshape(packed.shape)
    return blocks.reshape(len(words), -1)
