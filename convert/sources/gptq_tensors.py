"""One linear layer that GPTQ quantized, as a matrix that is read by rows: the transposed weight.

The files hold such matrices column by column: all of a layer's words are read at once, and kept until another
layer has taken their place. Knows the numbers of `convert.sources.gptq_blocks`; which layers there are and
how they were quantized is decided in `convert.sources.gptq`.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import InvalidFile
from convert.sources.ggml_blocks import ScaleTooLarge
from convert.sources.gptq_blocks import dequantize, pack_q4_1, unpack_bits
from convert.sources.tensors import STORAGE_DTYPES, StoredRead, StoredTensor

_PACKED_ALIGNMENT = 32
"""So many numbers are whole words, whatever their bits."""

# The threads of a conversion work at the end of one layer and the start of the next. A 13B model's largest
# matrix has 71 MB in 8 bits; of one too large to be kept, columns are read from the file each time.
_MAX_KEPT_BYTES = 160 << 20
_MAX_MATRIX_BYTES = _MAX_KEPT_BYTES // 2
# A matrix comes in pieces of this size, so that of one far away several are on their way at once.
_PIECE_BYTES = 4 << 20


class MatrixCache:
    """The matrices that were read last, shared by the layers of a checkpoint; each is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def columns(self, tensor: StoredTensor, start: int, stop: int) -> NDArray[Any]:
        """Columns `start` to `stop` of a matrix, as stored."""
        size_bytes = _size_bytes(tensor)
        if size_bytes > _MAX_MATRIX_BYTES:
            return _read_columns(tensor, start, stop)
        with self._lock:  # whoever comes second would read the same
            matrix = self._kept.get(tensor.name)
            if matrix is None:
                while sum(kept.nbytes for kept in self._kept.values()) + size_bytes > _MAX_KEPT_BYTES:
                    self._kept.popitem(last=False)
                matrix = self._kept[tensor.name] = _read_matrix(tensor)
            self._kept.move_to_end(tensor.name)
        return matrix[:, start:stop]


@dataclass(frozen=True)
class GptqTensor:
    """A `Tensor` of shape (out, in), computed from what GPTQ stored.

    group_weights: inputs in a group, the last of which may be shorter. group_index: the group of each input
    where they are not in order (`g_idx`), else None. zero_offset: what to add to a stored zero point.
    zero_mask: applied to the sum where the tool's own kernel does so, else None.
    """

    name: str
    shape: tuple[int, int]
    bits: int
    group_weights: int
    qweight: StoredTensor
    qzeros: StoredTensor
    scales: StoredTensor
    cache: MatrixCache
    group_index: NDArray[np.int64] | None = None
    zero_offset: int = 1
    zero_mask: int | None = None

    @property
    def dtype(self) -> str:
        """What `read_rows` computes; nothing is stored as such."""
        return "f32"

    @property
    def quantization(self) -> str:
        """What the file holds, for people."""
        return f"gptq {self.bits}-bit"

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self.qweight.source.path

    @property
    def is_kept_whole(self) -> bool:
        """Whether all of the layer is read at its first rows, and then kept."""
        return all(_size_bytes(part) <= _MAX_MATRIX_BYTES for part in self._parts)

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """All of the layer's reads, in the order of the file; none where it is not kept."""
        if self.is_kept_whole:
            for part in sorted(self._parts, key=lambda part: part.offset):
                for first, end in _row_pieces(part):
                    yield from part.stored_reads(first, end)

    @property
    def _parts(self) -> tuple[StoredTensor, ...]:
        return self.scales, self.qzeros, self.qweight

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """scale * (q - zero) in float32; a damaged scale gives what it gives."""
        groups = self.group_index
        if groups is None:
            groups = np.arange(self.shape[1], dtype=np.int64) // self.group_weights
        values = unpack_bits(self.read_words(start, stop), self.bits)
        with np.errstate(over="ignore", invalid="ignore"):
            return dequantize(values, self.read_scales(start, stop), self.read_zeros(start, stop), groups)

    def read_words(self, start: int, stop: int) -> NDArray[Any]:
        """Packed numbers of these rows, `(stop - start, in * bits / 32)`."""
        return np.ascontiguousarray(self.cache.columns(self.qweight, start, stop).T)

    def read_scales(self, start: int, stop: int) -> NDArray[np.float32]:
        """`(stop - start, groups)`."""
        stored = self.cache.columns(self.scales, start, stop)
        if self.scales.dtype == "bf16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return np.ascontiguousarray(stored.T, dtype=np.float32)

    def read_zeros(self, start: int, stop: int) -> NDArray[np.int16]:
        """Zero points, `(stop - start, groups)`, as the kernel of the file's own tool reads them."""
        first, end = start // _PACKED_ALIGNMENT, -(-stop // _PACKED_ALIGNMENT)
        words = self.cache.columns(self.qzeros, first * self.bits, end * self.bits)
        skipped = first * _PACKED_ALIGNMENT
        stored = unpack_bits(words, self.bits)[:, start - skipped : stop - skipped]
        zeros = stored.T.astype(np.int16) + np.int16(self.zero_offset)
        return zeros if self.zero_mask is None else zeros & np.int16(self.zero_mask)


@dataclass(frozen=True)
class PackedGptqTensor(GptqTensor):
    """A `PackedTensor`: four bits, in groups that are whole q4_1 blocks."""

    @property
    def packed_type(self) -> str:
        return "q4_1"

    def read_packed_rows(self, start: int, stop: int) -> bytes:
        """Repacked blocks; raises `InvalidFile` for a scale that no model has."""
        scales, zeros = self.read_scales(start, stop), self.read_zeros(start, stop)
        try:
            return pack_q4_1(self.read_words(start, stop), scales, zeros, self.group_weights).tobytes()
        except ScaleTooLarge as error:
            detail = f"a scale in rows {start} to {stop} of tensor {self.name!r}"
            raise InvalidFile(self.path, detail) from error


def _size_bytes(tensor: StoredTensor) -> int:
    return math.prod(tensor.shape) * STORAGE_DTYPES[tensor.dtype].itemsize


def _row_pieces(tensor: StoredTensor) -> Iterator[tuple[int, int]]:
    """All rows of a matrix, as many at once as `_PIECE_BYTES` holds: (first, end)."""
    n_rows = tensor.shape[0]
    step = max(1, _PIECE_BYTES * n_rows // max(1, _size_bytes(tensor)))
    for first in range(0, n_rows, step):
        yield first, min(first + step, n_rows)


def _read_matrix(tensor: StoredTensor) -> NDArray[Any]:
    matrix = np.empty(tensor.shape, STORAGE_DTYPES[tensor.dtype])
    for first, end in _row_pieces(tensor):
        matrix[first:end] = tensor.read_stored(first, end)
    return matrix


def _read_columns(tensor: StoredTensor, start: int, stop: int) -> NDArray[Any]:
    """Columns of a matrix that is not kept."""
    n_rows, _ = tensor.shape
    offset = tensor.offset + start * tensor.strides[1] * STORAGE_DTYPES[tensor.dtype].itemsize
    return replace(tensor, shape=(n_rows, stop - start), offset=offset).read_stored(0, n_rows)
