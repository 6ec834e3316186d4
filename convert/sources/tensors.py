"""Named tensors that are read a few rows at a time.

Every reader in this folder hands out `Tensor` objects; the architectures rearrange them, the pipeline streams
them. Nothing here knows file layouts or target types.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedDtype
from convert.sources.byte_source import ByteSource
from convert.sources.half_floats import widen_bfloat16, widen_float16
from convert.sources.storage_check import StorageCheck

STORAGE_DTYPES: Mapping[str, np.dtype[Any]] = {
    "f64": np.dtype("<f8"),
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),  # numpy has no bfloat16: the upper half of a float32
    "i64": np.dtype("<i8"),
    "i32": np.dtype("<i4"),
    "i16": np.dtype("<i2"),
    "i8": np.dtype("i1"),
    "u64": np.dtype("<u8"),
    "u32": np.dtype("<u4"),
    "u16": np.dtype("<u2"),
    "u8": np.dtype("u1"),
    "bool": np.dtype("?"),
    # numpy has none of these: the bytes, which `convert.sources.scaled` reads.
    "f8_e4m3": np.dtype("u1"),
    "f8_e5m2": np.dtype("u1"),
    "f8_e8m0": np.dtype("u1"),
}
"""Element types as they lie in files, by the name used in `Tensor.dtype`."""

MAX_NAME_LENGTH = 500
"""Characters. Real names have some 60; names out of files appear in messages."""

# Below this a strided read fetches everything between its first and last element at once.
_SMALL_SPAN_BYTES = 1 << 20


class Tensor(Protocol):
    """A tensor of a checkpoint, lazily readable by rows of its first axis, from several threads at once."""

    @property
    def name(self) -> str:
        """The name in the checkpoint."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Row-major, slowest axis first, as PyTorch prints it."""
        ...

    @property
    def dtype(self) -> str:
        """The element type as stored, a key of `STORAGE_DTYPES`."""
        ...

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows `start` to `stop` of the first axis as C-contiguous float32, `(stop - start, *shape[1:])`.

        float16 and bfloat16 are widened exactly. Raises `TruncatedFile`, `SourceMissing`, `UnsupportedDtype`.
        """
        ...


class PackedTensor(Tensor, Protocol):
    """A tensor whose file already holds blocks of a ggml type: copied, not quantized again."""

    @property
    def packed_type(self) -> str:
        """The ggml type of the blocks, in lower case ("q4_1", "q8_0", …)."""
        ...

    def read_packed_rows(self, start: int, stop: int) -> bytes:
        """Rows `start` to `stop` as blocks of `packed_type` in today's layout, without padding."""
        ...


class StoredRead(NamedTuple):
    """A read of `size` bytes at `offset`, of the source that a tensor lies in."""

    source: ByteSource
    offset: int
    size: int


def stored_reads(tensor: Tensor, start: int, stop: int) -> Iterator[StoredRead]:
    """The reads that reading these rows leads to, in order; none where they can't be told in advance.

    A tensor that can tell has a method of this name.
    """
    own = getattr(tensor, "stored_reads", None)
    return iter(()) if own is None else own(start, stop)


def announce_reads(reads: Iterable[StoredRead]) -> None:
    """Tell sources what is going to be read of them, in order; those that want to know have `expect`."""
    by_source: dict[int, list[StoredRead]] = {}
    for read in reads:
        by_source.setdefault(id(read.source), []).append(read)
    for same in by_source.values():
        expect = getattr(same[0].source, "expect", None)
        if expect is not None:
            expect([(read.offset, read.size) for read in same])


def prefetch(reads: Iterable[StoredRead]) -> None:
    """Have sources begin to fetch what is read of them soon; those that can have a method of this name."""
    for read in reads:
        own = getattr(read.source, "prefetch", None)
        if own is not None:
            own(read.offset, read.size)


def is_kept_whole(tensor: Tensor) -> bool:
    """Whether the first rows that are read bring in all others: the tensor says so by `is_kept_whole`."""
    return bool(getattr(tensor, "is_kept_whole", False))


def quantization_of(tensor: Tensor) -> str | None:
    """What the checkpoint holds instead of floats, for people ("q4_0", "gptq 8-bit"), or None.

    A tensor says so by `packed_type`, or by `quantization` where its blocks can't be copied.
    """
    packed_type: str | None = getattr(tensor, "packed_type", None)
    return packed_type or getattr(tensor, "quantization", None)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies uncompressed in a source: `offset` in bytes, `strides` in elements.

    check: is told what is read, where the file has a CRC of it; reading may raise `DamagedTensor` then.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: ByteSource
    offset: int
    strides: tuple[int, ...]
    check: StorageCheck | None = None

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        if self.dtype not in ("f32", "f16", "bf16"):
            raise UnsupportedDtype(self.source.path, self.name, self.dtype)
        stored = self.read_stored(start, stop)
        if self.dtype == "bf16":
            return widen_bfloat16(stored)
        if self.dtype == "f16":
            return widen_float16(stored)
        return np.ascontiguousarray(stored, dtype=np.float32)

    def read_stored(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop` in the stored type (bfloat16 as uint16), C-contiguous."""
        item_bytes = STORAGE_DTYPES[self.dtype].itemsize
        offset = self.offset + start * self.strides[0] * item_bytes
        return self._read_block(offset, (stop - start, *self.shape[1:]), self.strides)

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """See the function; none for a matrix so sparse that it is walked."""
        shape, item_bytes = (stop - start, *self.shape[1:]), STORAGE_DTYPES[self.dtype].itemsize
        if 0 not in shape and _is_read_at_once(shape, self.strides, item_bytes):
            offset = self.offset + start * self.strides[0] * item_bytes
            yield StoredRead(self.source, offset, _span(shape, self.strides) * item_bytes)

    def _read_block(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
        dtype = STORAGE_DTYPES[self.dtype]
        if 0 in shape:
            return np.zeros(shape, dtype)
        if _is_read_at_once(shape, strides, dtype.itemsize):
            n_bytes = _span(shape, strides) * dtype.itemsize
            data = self.source.read_at(offset, n_bytes)
            if self.check is not None:
                self.check.add(self.name, offset, data)
            flat = np.frombuffer(data, dtype)
            byte_strides = tuple(stride * dtype.itemsize for stride in strides)
            view = np.lib.stride_tricks.as_strided(flat, shape, byte_strides, writeable=False)
            return np.ascontiguousarray(view)
        # Too sparse to fetch whole (a transposed matrix): walk the axis with the widest steps.
        axis = max((i for i in range(len(shape)) if shape[i] > 1), key=lambda i: strides[i])
        inner_shape = shape[:axis] + (1,) + shape[axis + 1 :]
        step_bytes = strides[axis] * dtype.itemsize
        blocks = [self._read_block(offset + i * step_bytes, inner_shape, strides) for i in range(shape[axis])]
        return np.concatenate(blocks, axis=axis)


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Elements from the first to the last."""
    return 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))


def _is_read_at_once(shape: tuple[int, ...], strides: tuple[int, ...], item_bytes: int) -> bool:
    span = _span(shape, strides)
    return span <= 2 * math.prod(shape) or span * item_bytes <= _SMALL_SPAN_BYTES


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a C-contiguous tensor of this shape."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))
