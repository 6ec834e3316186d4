"""Matrices that bitsandbytes quantized, read by rows: 4-bit numbers in one run, and rows of 8-bit integers.

The layout and the arithmetic are in `convert.sources.bitsandbytes`, which finds the parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.sources.tensors import StoredRead, StoredTensor

# 1 / 127 as the library writes it.
_INT8_STEP = np.float32(7.874015718698502e-3)


@dataclass(frozen=True)
class NestedScales:
    """How a u8 `absmax` is read: values `(256)`; scales, one for `block` of them; offset."""

    values: NDArray[np.float32]
    scales: StoredTensor
    block: int
    offset: np.float32


@dataclass(frozen=True)
class FourBitTensor:
    """A `Tensor` that is stored as one run of 4-bit numbers.

    packed: its bytes, `(n / 2)` u8. values: of the 16 numbers. block: numbers that share a largest weight
    (`absmax`). rounded_to: "f32", "f16" or "bf16", what the library computes it in.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    packed: StoredTensor
    values: NDArray[np.float32]
    block: int
    absmax: StoredTensor
    nested: NestedScales | None
    rounded_to: str

    @property
    def dtype(self) -> str:
        """What `read_rows` computes; nothing is stored as such."""
        return "f32"

    @property
    def quantization(self) -> str:
        """What the file holds, for people."""
        return f"bitsandbytes {self.kind}"

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """As the library's own `dequantize_4bit`, bit for bit."""
        first, end = self._numbers(start, stop)
        data = self.packed.read_stored(first // 2, -(-end // 2))
        numbers = np.empty((len(data), 2), np.uint8)
        numbers[:, 0], numbers[:, 1] = data >> 4, data & 15
        weights = self.values[numbers.reshape(-1)[first % 2 : first % 2 + end - first]]
        blocks = slice(first // self.block, -(-end // self.block))
        largest = np.repeat(self._read_absmax(blocks.start, blocks.stop), self.block)
        skipped = first - blocks.start * self.block
        with np.errstate(over="ignore", invalid="ignore"):
            weights *= largest[skipped : skipped + len(weights)]
            rounded = _rounded(weights, self.rounded_to)
        return rounded.reshape(stop - start, *self.shape[1:])

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """The reads of the numbers and of their blocks' scales."""
        first, end = self._numbers(start, stop)
        yield from self.packed.stored_reads(first // 2, -(-end // 2))
        blocks = first // self.block, -(-end // self.block)
        yield from self.absmax.stored_reads(*blocks)
        if self.nested is not None:
            yield from self.nested.scales.stored_reads(*_outer(blocks, self.nested.block))

    def _numbers(self, start: int, stop: int) -> tuple[int, int]:
        width = math.prod(self.shape[1:])
        return start * width, stop * width

    def _read_absmax(self, start: int, stop: int) -> NDArray[np.float32]:
        stored = self.absmax.read_stored(start, stop)
        nested = self.nested
        if nested is None:
            return stored.astype(np.float32)
        first, end = _outer((start, stop), nested.block)
        scales = nested.scales.read_stored(first, end)
        with np.errstate(over="ignore", invalid="ignore"):
            products = nested.values[stored] * scales[np.arange(start, stop) // nested.block - first]
            return np.asarray(products + nested.offset, np.float32)


@dataclass(frozen=True)
class Int8Tensor:
    """A `Tensor` of 8-bit integers with a scale for each row."""

    weight: StoredTensor
    row_statistics: StoredTensor

    @property
    def name(self) -> str:
        return self.weight.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    @property
    def dtype(self) -> str:
        """What `read_rows` computes; nothing is stored as such."""
        return "f32"

    @property
    def quantization(self) -> str:
        """What the file holds, for people."""
        return "bitsandbytes int8"

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """As the library's own `int8_vectorwise_dequant`, bit for bit."""
        weights = self.weight.read_stored(start, stop).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            weights *= self.row_statistics.read_stored(start, stop)[:, None]
            weights *= _INT8_STEP
        return weights

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """The weight's reads and those of its scales."""
        yield from self.weight.stored_reads(start, stop)
        yield from self.row_statistics.stored_reads(start, stop)


def _outer(blocks: tuple[int, int], size: int) -> tuple[int, int]:
    return blocks[0] // size, -(-blocks[1] // size)


def _rounded(values: NDArray[np.float32], dtype: str) -> NDArray[np.float32]:
    if dtype == "f16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "bf16":
        bits = values.view(np.uint32)
        nearest = bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))
        return np.where(np.isnan(values), values, (nearest & np.uint32(0xFFFF0000)).view(np.float32))
    return values
