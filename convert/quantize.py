"""Row chunks of checkpoint tensors in, bytes of the target type out, on a pool of threads.

Chunks come out in order and only a few are in flight, so memory does not grow with the model. A row never
depends on its neighbours, so the bytes do not depend on the number of threads or the size of a chunk.
Nothing here knows files, names of targets or the order of a GGUF's sections.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import MappedTensor
from convert.errors import QuantizationUnsupported
from convert.sources.tensors import PackedTensor, StoredRead, Tensor, is_kept_whole, prefetch, stored_reads
from engine.native.kernels import GgmlType, is_valid, quantize_rows, row_size

_Item = TypeVar("_Item", np.float32, np.uint8)

_MAX_CHUNK_BYTES = 4 * 2**20
_MIN_CHUNK_BYTES = 2**19
# float32 bytes that all threads work on together; a chunk lives about four times (read, widened, reordered,
# quantized), so the whole takes at most four times this.
_WORKING_SET_BYTES = 64 * 2**20

_SOURCE_ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "i8": 1, "u8": 1, "bool": 1, "i32": 4, "i64": 8}
# float16 also holds the block scales of every quantized type.
_FLOAT16_MAX = 65504.0
_LARGEST = {GgmlType.F32: float(np.finfo(np.float32).max), GgmlType.BF16: 3.3895313892515355e38}


@dataclass(frozen=True)
class Job:
    """One tensor to write as `type`; is_copied: its source holds blocks of that type (a `PackedTensor`)."""

    mapped: MappedTensor
    type: GgmlType
    is_copied: bool = False


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of `job` in its target type; chunks of a tensor come in order, `is_last` ends it.

    n_source_bytes: how much of the checkpoint this was. n_nonfinite: weights that were NaN or infinite
    (written as 0) or beyond what the type can hold (written as its largest number).
    """

    job: Job
    data: NDArray[np.uint8]
    n_source_bytes: int
    n_nonfinite: int
    is_last: bool


def default_threads() -> int:
    """Threads that this process may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def source_size_bytes(mapped: MappedTensor) -> int:
    """Bytes that this tensor takes in the checkpoint; of blocks, what they take today."""
    if mapped.packed is not None:
        n_rows, width = mapped.shape
        return n_rows * row_size(GgmlType[mapped.packed.packed_type.upper()], width)
    return prod(mapped.shape) * _SOURCE_ITEM_BYTES.get(mapped.source.dtype, 4)


def quantize_tensors(jobs: Sequence[Job], *, n_threads: int) -> Generator[Chunk, None, None]:
    """All rows of all `jobs`, in order.

    Closing the generator drops what is queued and waits for the few chunks at work. Raises what the sources
    raise, and `QuantizationUnsupported` if a kernel's result, or a copied block, is not finite.
    """
    pending: deque[Future[Chunk]] = deque()
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="quantize")
    try:
        for job, start, stop in _pieces(jobs, n_threads):
            if not is_kept_whole(job.mapped.source):
                prefetch(_piece_reads(job.mapped, start, stop))
            pending.append(pool.submit(_quantize_piece, job, start, stop))
            if len(pending) > n_threads + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def source_reads(jobs: Sequence[Job], *, n_threads: int) -> Iterator[StoredRead]:
    """The reads that `quantize_tensors` will make of the checkpoint's files, in the order it asks for them.

    For sources that take long to answer, and can be told in advance.
    """
    kept: Tensor | None = None
    for job, start, stop in _pieces(jobs, n_threads):
        source = job.mapped.source
        if not is_kept_whole(source):
            yield from _piece_reads(job.mapped, start, stop)
        elif source is not kept:
            yield from stored_reads(source, 0, job.mapped.shape[0])
            kept = source


def _piece_reads(mapped: MappedTensor, start: int, stop: int) -> Iterator[StoredRead]:
    """The reads that `read_mapped_rows` makes."""
    if mapped.row_order is None:
        yield from stored_reads(mapped.source, start, stop)
    elif len(mapped.shape) == 1:
        yield from stored_reads(mapped.source, 0, mapped.shape[0])
    else:
        for run in _runs(np.unique(mapped.row_order[start:stop])):
            yield from stored_reads(mapped.source, int(run[0]), int(run[-1]) + 1)


def read_mapped_rows(mapped: MappedTensor, start: int, stop: int) -> NDArray[np.float32]:
    """Rows `start` to `stop` of the tensor as the GGUF orders them, as float32.

    Reads each run of neighbouring source rows once, and nothing else: the rows of a chunk may be scattered
    (BLOOM's Q, K and V) or interleaved (LLaMA's rotary order). Vectors are short and read whole.
    """
    if mapped.row_order is None:
        return mapped.source.read_rows(start, stop)
    wanted = mapped.row_order[start:stop]
    if len(mapped.shape) == 1:
        return mapped.source.read_rows(0, mapped.shape[0])[wanted]
    return _gather(mapped.source.read_rows, wanted)


def read_mapped_blocks(
    mapped: MappedTensor, packed: PackedTensor, start: int, stop: int
) -> NDArray[np.uint8]:
    """As `read_mapped_rows`, the blocks of `packed`, its source: shape `(stop - start, bytes of a row)`."""

    def read(first: int, end: int) -> NDArray[np.uint8]:
        return np.frombuffer(packed.read_packed_rows(first, end), np.uint8).reshape(end - first, -1)

    return read(start, stop) if mapped.row_order is None else _gather(read, mapped.row_order[start:stop])


def _gather(read: Callable[[int, int], NDArray[_Item]], wanted: NDArray[np.int64]) -> NDArray[_Item]:
    """The rows `wanted`, in that order, each read once together with its neighbours."""
    rows = np.unique(wanted)
    parts = [read(int(run[0]), int(run[-1]) + 1) for run in _runs(rows)]
    block = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return block if np.array_equal(rows, wanted) else block[np.searchsorted(rows, wanted)]


def _runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Ascending rows, cut where one is left out."""
    return np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)


def _pieces(jobs: Sequence[Job], n_threads: int) -> Iterator[tuple[Job, int, int]]:
    chunk_bytes = max(_MIN_CHUNK_BYTES, min(_MAX_CHUNK_BYTES, _WORKING_SET_BYTES // n_threads))
    for job in jobs:
        n_rows = job.mapped.shape[0]
        row_bytes = max(1, 4 * prod(job.mapped.shape[1:]))
        n_rows_a_chunk = max(1, chunk_bytes // row_bytes)
        for start in range(0, n_rows, n_rows_a_chunk):
            yield job, start, min(n_rows, start + n_rows_a_chunk)


def _quantize_piece(job: Job, start: int, stop: int) -> Chunk:
    if job.is_copied and job.mapped.packed is not None:
        blocks = read_mapped_blocks(job.mapped, job.mapped.packed, start, stop)
        data, n_nonfinite = np.ascontiguousarray(blocks).reshape(-1), 0
    else:
        rows, n_nonfinite = _bound(read_mapped_rows(job.mapped, start, stop), job.type)
        width = job.mapped.shape[-1] if len(job.mapped.shape) > 1 else rows.size
        data = quantize_rows(job.type, rows.reshape(-1, width)).reshape(-1)
    if not is_valid(job.type, data):
        raise QuantizationUnsupported(job.type.name.lower(), job.mapped.name)
    n_rows = job.mapped.shape[0]
    return Chunk(
        job=job,
        data=data,
        n_source_bytes=source_size_bytes(job.mapped) // n_rows * (stop - start),
        n_nonfinite=n_nonfinite,
        is_last=stop == n_rows,
    )


def _bound(rows: NDArray[np.float32], type_: GgmlType) -> tuple[NDArray[np.float32], int]:
    """The rows with nothing in them that the kernels can't take, and how many weights that changed.

    One NaN would spoil all weights of its block, and llama.cpp refuses to load such a file.
    """
    largest = np.float32(_LARGEST.get(type_, _FLOAT16_MAX))
    with np.errstate(invalid="ignore"):
        if rows.min() >= -largest and rows.max() <= largest:  # both false when there is a NaN
            return rows, 0
        is_kept = np.abs(rows) <= largest
    bounded = np.where(np.isfinite(rows), np.clip(rows, -largest, largest), np.float32(0))
    return np.ascontiguousarray(bounded, dtype=np.float32), int(rows.size - np.count_nonzero(is_kept))
