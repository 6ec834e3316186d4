"""Weights that a LoRA adapter changes: what the base holds, and what is added while it is read.

Knows neither files nor names. Source: PEFT's `tuners/lora/layer.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import Architecture, MappedTensor
from convert.sources.tensors import StoredTensor, Tensor, quantization_of

# Products are computed in blocks of rows that start at multiples of this, so that a row is the same bit for
# bit whichever rows are read with it.
_BLOCK_ROWS = 64


@dataclass(frozen=True)
class LoraTensor:
    """A `Tensor`: `base` plus factor * B A, computed in float64 and added in float32.

    is_transposed: the weight is (in, out), and A^T B^T is added. row_order: as in `MappedTensor`, where the
    base has its rows in that order already.
    """

    base: Tensor
    a: StoredTensor
    b: StoredTensor
    factor: float
    is_transposed: bool = False
    row_order: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def dtype(self) -> str:
        return self.base.dtype

    @property
    def quantization(self) -> str | None:
        """The base's: it was quantized, though its blocks can no longer be copied."""
        return quantization_of(self.base)

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        rows = self.base.read_rows(start, stop)
        if start == stop:
            return rows
        with np.errstate(over="ignore", invalid="ignore"):
            return rows + self._change(start, stop)

    def reordered(self, row_order: NDArray[np.int64]) -> LoraTensor:
        """The same over a base whose rows are in this order already."""
        base = self.base.reordered(row_order) if isinstance(self.base, LoraTensor) else self.base
        return replace(self, base=base, row_order=row_order)

    def _change(self, start: int, stop: int) -> NDArray[np.float32]:
        first = start - start % _BLOCK_ROWS
        end = min(self.shape[0], stop + -stop % _BLOCK_ROWS)
        left, right = self._left(first, end), self._right()
        change = np.empty((end - first, self.shape[1]), np.float32)
        for row in range(0, end - first, _BLOCK_ROWS):
            block = slice(row, row + _BLOCK_ROWS)
            # einsum adds up in one order on every processor, and needs no BLAS, which bundles don't have;
            # for ranks this small it costs what `@` does.
            change[block] = self.factor * np.einsum("rk,kc->rc", left[block], right)
        return change[start - first : stop - first]

    def _left(self, start: int, stop: int) -> NDArray[np.float64]:
        """(rows, rank)"""
        if self.is_transposed or self.row_order is not None:
            rows = slice(start, stop) if self.row_order is None else self.row_order[start:stop]
            whole = _read_all(self.a).T if self.is_transposed else _read_all(self.b)
            return np.ascontiguousarray(whole[rows], np.float64)
        return self.b.read_rows(start, stop).astype(np.float64)

    def _right(self) -> NDArray[np.float64]:
        """(rank, columns)"""
        matrix = _read_all(self.b).T if self.is_transposed else _read_all(self.a)
        return np.ascontiguousarray(matrix, np.float64)


@dataclass(frozen=True)
class SavedTensor:
    """A `Tensor` that was trained whole and takes the base's place; its rows are in transformers' order."""

    base: Tensor
    saved: StoredTensor

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.saved.shape

    @property
    def dtype(self) -> str:
        return self.saved.dtype

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.saved.read_rows(start, stop)


def map_ordered(architecture: Architecture, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
    """As `Architecture.map_tensors`, for files whose rows are in GGUF's order already.

    An adapter's rows are in transformers' order all the same.
    """
    return [_without_order(tensor) for tensor in architecture.map_tensors(path, tensors)]


def _without_order(tensor: MappedTensor) -> MappedTensor:
    source, innermost = tensor.source, tensor.source
    while isinstance(innermost, LoraTensor):
        innermost = innermost.base
    if tensor.row_order is None or isinstance(innermost, SavedTensor):
        return tensor
    if isinstance(source, LoraTensor):
        source = source.reordered(tensor.row_order)
    return replace(tensor, source=source, row_order=None)


def _read_all(tensor: StoredTensor) -> NDArray[np.float32]:
    return tensor.read_rows(0, tensor.shape[0])
