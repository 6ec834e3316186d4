"""Row chunks: order, reads, threads, and weights that are not numbers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.shaped_models import MemoryTensor
from convert.arch.base import MappedTensor
from convert.quantize import Job, quantize_tensors, read_mapped_rows, source_size_bytes
from convert.sources.byte_source import FileSource
from convert.sources.tensors import StoredTensor
from engine.native.kernels import GgmlType, dequantize_rows, quantize_rows

Reads = list[tuple[int, int]]


def mapped_tensor(n_rows: int, width: int, order: NDArray[np.int64] | None) -> tuple[MappedTensor, Reads]:
    values = np.random.default_rng(0).standard_normal((n_rows, width)).astype(np.float32)
    reads: Reads = []
    return MappedTensor("t.weight", MemoryTensor("t", values, rows_read=reads), order), reads


def bloom_order(n_heads: int, head_width: int) -> NDArray[np.int64]:
    rows = np.arange(n_heads * 3 * head_width).reshape(n_heads, 3, head_width)
    return rows.swapaxes(0, 1).reshape(-1)


def rotary_order(n_heads: int, head_width: int) -> NDArray[np.int64]:
    rows = np.arange(n_heads * head_width).reshape(n_heads, 2, head_width // 2)
    return rows.swapaxes(1, 2).reshape(-1)


def all_bytes(jobs: list[Job], n_threads: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk in quantize_tensors(jobs, n_threads=n_threads):
        name = chunk.job.mapped.name
        found[name] = found.get(name, b"") + chunk.data.tobytes()
    return found


@pytest.mark.parametrize("order", [bloom_order(4, 8), rotary_order(6, 16), np.arange(96)[::-1].copy()])
@pytest.mark.parametrize("n_rows_a_read", [1, 7, 16, 96])
def test_rows_come_in_the_order_asked_for(order: NDArray[np.int64], n_rows_a_read: int) -> None:
    tensor, _ = mapped_tensor(96, 4, order)
    parts = [
        read_mapped_rows(tensor, start, min(96, start + n_rows_a_read))
        for start in range(0, 96, n_rows_a_read)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), tensor.source.read_rows(0, 96)[order])
    assert all(part.flags.c_contiguous for part in parts)


def test_rotary_rows_of_whole_heads_are_one_read() -> None:
    tensor, reads = mapped_tensor(96, 4, rotary_order(6, 16))
    read_mapped_rows(tensor, 16, 64)
    assert reads == [(16, 64)]


def test_only_the_wanted_runs_of_a_fused_matrix_are_read() -> None:
    tensor, reads = mapped_tensor(96, 4, bloom_order(4, 8))
    read_mapped_rows(tensor, 0, 16)
    assert reads == [(0, 8), (24, 32)]


def test_a_vector_is_read_whole() -> None:
    reads: Reads = []
    source = MemoryTensor("b", np.arange(96, dtype=np.float32), rows_read=reads)
    found = read_mapped_rows(MappedTensor("b", source, bloom_order(4, 8)), 8, 24)
    np.testing.assert_array_equal(found, bloom_order(4, 8)[8:24])
    assert reads == [(0, 96)]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_bytes_do_not_depend_on_threads_or_chunks(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    tensor, _ = mapped_tensor(96, 256, rotary_order(6, 16))
    jobs = [Job(tensor, GgmlType.Q4_K)]
    expected = quantize_rows(GgmlType.Q4_K, read_mapped_rows(tensor, 0, 96)).tobytes()
    assert all_bytes(jobs, n_threads) == {"t.weight": expected}
    monkeypatch.setattr("convert.quantize._MAX_CHUNK_BYTES", 5 * 1024)
    monkeypatch.setattr("convert.quantize._MIN_CHUNK_BYTES", 5 * 1024)
    assert all_bytes(jobs, n_threads) == {"t.weight": expected}


def test_few_chunks_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.quantize._MAX_CHUNK_BYTES", 1024)
    monkeypatch.setattr("convert.quantize._MIN_CHUNK_BYTES", 1024)
    tensor, reads = mapped_tensor(200, 256, None)
    chunks = quantize_tensors([Job(tensor, GgmlType.Q8_0)], n_threads=2)
    next(chunks)
    chunks.close()
    assert len(reads) <= 4


class WatchedSource:
    """Bytes in memory that keep a record of what happens to them: (what, offset, size)."""

    path = Path("watched")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)
        self.events: list[tuple[str, int, int]] = []

    def prefetch(self, offset: int, size: int) -> None:
        self.events.append(("prefetch", offset, size))

    def read_at(self, offset: int, size: int) -> bytes:
        self.events.append(("read", offset, size))
        return self._data[offset : offset + size]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("order", [None, bloom_order(4, 8), rotary_order(6, 16)])
def test_what_is_read_was_prefetched_before(
    monkeypatch: pytest.MonkeyPatch, order: NDArray[np.int64] | None
) -> None:
    monkeypatch.setattr("convert.quantize._MAX_CHUNK_BYTES", 16 * 1024)
    monkeypatch.setattr("convert.quantize._MIN_CHUNK_BYTES", 16 * 1024)
    source = WatchedSource(np.ones((96, 256), np.float32).tobytes())
    tensor = StoredTensor("t", (96, 256), "f32", source, 0, (256, 1))
    list(quantize_tensors([Job(MappedTensor("t.weight", tensor, order), GgmlType.Q8_0)], n_threads=2))
    reads = [event for event in source.events if event[0] == "read"]
    assert sum(size for _, _, size in reads) == 96 * 1024
    for read in reads:
        assert source.events.index(("prefetch", *read[1:])) < source.events.index(read)


def test_a_prefetch_is_only_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")
    with FileSource(tmp_path / "a") as source:
        source.prefetch(4, 1 << 40)
        source.prefetch(1 << 40, 4)
        assert source.read_at(2, 4) == b"3456"


def test_closing_stops_the_threads() -> None:
    tensor, _ = mapped_tensor(64, 256, None)
    chunks = quantize_tensors([Job(tensor, GgmlType.Q8_0)] * 8, n_threads=2)
    next(chunks)
    chunks.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("quantize")]


def test_progress_counts_bytes_of_the_checkpoint() -> None:
    values = np.ones((40, 256), np.float32)
    tensor = MappedTensor("t.weight", MemoryTensor("t", values, dtype="bf16"))
    assert source_size_bytes(tensor) == 40 * 256 * 2
    chunks = list(quantize_tensors([Job(tensor, GgmlType.Q8_0)], n_threads=1))
    assert sum(chunk.n_source_bytes for chunk in chunks) == 40 * 256 * 2
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@pytest.mark.parametrize("type_", list(GgmlType))
def test_weights_that_are_not_numbers_are_counted_and_become_zero(type_: GgmlType) -> None:
    values = np.random.default_rng(5).standard_normal((4, 256)).astype(np.float32)
    values[1, 3], values[1, 4], values[2, 200] = np.nan, np.inf, -np.inf
    tensor = MappedTensor("t.weight", MemoryTensor("t", values))
    (chunk,) = quantize_tensors([Job(tensor, type_)], n_threads=1)
    assert chunk.n_nonfinite == 3
    expected = quantize_rows(type_, np.where(np.isfinite(values), values, np.float32(0)))
    assert chunk.data.tobytes() == expected.tobytes()


@pytest.mark.parametrize("type_", list(GgmlType))
@pytest.mark.parametrize("magnitude", [3e38, 1e20, 65504.0, 1e-8, 1e-30, 1e-44, 0.0])
def test_extreme_weights_never_break_a_block(type_: GgmlType, magnitude: float) -> None:
    random = np.random.default_rng(6)
    values = (random.uniform(-1, 1, (8, 256)) * magnitude).astype(np.float32)
    values[4:] = np.where(random.random((4, 256)) < 0.01, values[4:], 0)
    tensor = MappedTensor("t.weight", MemoryTensor("t", values))
    (chunk,) = quantize_tensors([Job(tensor, type_)], n_threads=1)
    assert np.isfinite(dequantize_rows(type_, chunk.data.reshape(8, -1), 256)).all()
    holds_all = type_ in (GgmlType.F32, GgmlType.BF16) or magnitude <= 65504
    assert (chunk.n_nonfinite == 0) == holds_all
