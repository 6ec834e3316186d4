"""Weights that an adapter changes: what the base holds, and what is done to it while it is read.

Knows neither files nor names. Source: PEFT's `tuners/lora/layer.py`, `tuners/lora/dora.py` and
`tuners/trainable_tokens/layer.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import Architecture, MappedTensor
from convert.sources.tensors import StoredTensor, Tensor, quantization_of

# Products and sums are computed in blocks of rows that start at multiples of this, so that a row is the same
# bit for bit whichever rows are read with it.
_BLOCK_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class ChangedTensor:
    """A `Tensor` made of `base`, which keeps its name and shape.

    row_order: as in `MappedTensor`, where the base has its rows in that order already.
    """

    base: Tensor
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
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._change(rows, start, stop)

    def reordered(self, row_order: NDArray[np.int64]) -> Self:
        """The same over a base whose rows are in this order already."""
        base = self.base.reordered(row_order) if isinstance(self.base, ChangedTensor) else self.base
        return replace(self, base=base, row_order=row_order)

    def _change(self, rows: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        raise NotImplementedError

    def _own_rows(self, start: int, stop: int) -> slice | NDArray[np.int64]:
        """Which rows of what the adapter holds these are."""
        return slice(start, stop) if self.row_order is None else self.row_order[start:stop]


@dataclass(frozen=True, kw_only=True)
class LoraTensor(ChangedTensor):
    """`base` plus factor * B A, computed in float64 and added in float32.

    is_transposed: the weight is (in, out), and A^T B^T is added.
    """

    a: StoredTensor
    b: StoredTensor
    factor: float
    is_transposed: bool = False

    def _change(self, rows: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        first = start - start % _BLOCK_ROWS
        end = min(self.shape[0], stop + -stop % _BLOCK_ROWS)
        left, right = self._left(first, end), self._right()
        change = np.empty((end - first, self.shape[1]), np.float32)
        for row in range(0, end - first, _BLOCK_ROWS):
            block = slice(row, row + _BLOCK_ROWS)
            # einsum adds up in one order on every processor, and needs no BLAS, which bundles don't have;
            # for ranks this small it costs what `@` does.
            change[block] = self.factor * np.einsum("rk,kc->rc", left[block], right)
        return rows + change[start - first : stop - first]

    def _left(self, start: int, stop: int) -> NDArray[np.float64]:
        """(rows, rank)"""
        matrix = _turned(self.a) if self.is_transposed else self.b
        if self.row_order is None:
            return matrix.read_rows(start, stop).astype(np.float64)
        return _read_all(matrix)[self.row_order[start:stop]].astype(np.float64)

    def _right(self) -> NDArray[np.float64]:
        """(rank, columns)"""
        return _read_all(_turned(self.b) if self.is_transposed else self.a).astype(np.float64)


def _turned(matrix: StoredTensor) -> StoredTensor:
    """The same matrix by its columns: those of a long one are read without all others."""
    return replace(matrix, shape=matrix.shape[::-1], strides=matrix.strides[::-1])


class _ColumnNorms:
    """The lengths of a matrix's columns, computed once, when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._norms: NDArray[np.float64] | None = None

    def of(self, tensor: Tensor) -> NDArray[np.float64]:
        """(columns,); reads all of `tensor` the first time."""
        with self._lock:
            if self._norms is None:
                squares = np.zeros(tensor.shape[1], np.float64)
                for start, stop in _blocks(tensor):
                    rows = tensor.read_rows(start, stop)
                    squares += np.einsum("rc,rc->c", rows, rows, dtype=np.float64)
                self._norms = np.sqrt(squares)
            return self._norms


@dataclass(frozen=True, kw_only=True)
class MagnitudeTensor(ChangedTensor):
    """DoRA: `base`, LoRA's sum, with the vectors of the weight brought to the lengths that were trained.

    magnitude: one length for each output of the layer. is_transposed: outputs are columns, not rows.
    """

    magnitude: StoredTensor
    is_transposed: bool = False
    norms: _ColumnNorms = field(default_factory=_ColumnNorms, compare=False, repr=False)

    def _change(self, rows: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        magnitude = _read_all(self.magnitude).reshape(-1).astype(np.float64)
        if self.is_transposed:
            scale = (magnitude / self.norms.of(self.base))[np.newaxis]
        else:
            squares = np.einsum("rc,rc->r", rows, rows, dtype=np.float64)
            scale = (magnitude[self._own_rows(start, stop)] / np.sqrt(squares))[:, np.newaxis]
        return (scale * rows).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class BiasTensor(ChangedTensor):
    """A bias plus factor times the bias of B."""

    bias: StoredTensor
    factor: float

    def _change(self, rows: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        bias = _read_all(self.bias).astype(np.float64)[self._own_rows(start, stop)]
        return rows + (self.factor * bias).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class TokenRowsTensor(ChangedTensor):
    """An embedding in which the rows of a few tokens were trained: `tokens[i]` has row i of `trained`."""

    trained: StoredTensor
    tokens: tuple[int, ...]

    def _change(self, rows: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
        changed = rows.copy()
        for index, token in enumerate(self.tokens):
            if start <= token < stop:
                changed[token - start] = self.trained.read_rows(index, index + 1)[0]
        return changed


@dataclass(frozen=True)
class SavedTensor:
    """A `Tensor` that was trained whole; its rows are in transformers' order. name: the base's."""

    name: str
    saved: StoredTensor

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
    while isinstance(innermost, ChangedTensor):
        innermost = innermost.base
    if tensor.row_order is None or isinstance(innermost, SavedTensor):
        return tensor
    if isinstance(source, ChangedTensor):
        source = source.reordered(tensor.row_order)
    return replace(tensor, source=source, row_order=None)


def is_all_zero(tensor: Tensor) -> bool:
    """Whether nothing but zeros is stored; reads no further than the first that is not."""
    return not any(tensor.read_rows(*rows).any() for rows in _blocks(tensor))


def is_same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same weights; reads no further than the first that differ."""
    if first.shape != second.shape:
        return False
    blocks = _blocks(first)
    return all(np.array_equal(first.read_rows(*rows), second.read_rows(*rows)) for rows in blocks)


def _blocks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    n_rows = tensor.shape[0]
    return ((start, min(start + _BLOCK_ROWS, n_rows)) for start in range(0, n_rows, _BLOCK_ROWS))


def _read_all(tensor: StoredTensor) -> NDArray[np.float32]:
    return tensor.read_rows(0, tensor.shape[0])
