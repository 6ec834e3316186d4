"""Quantized blocks of 2023: golden bytes, exact weights, and what repacking may change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.ggml_files import BITS, TENSOR_TYPES, Kind, Layout, Quantized, pack, quantize
from convert.errors import DamagedFile
from convert.sources.ggml_blocks import Era, block_layouts, gather_blocks, is_plausible
from convert.sources.ggml_tensors import BlockTensor
from engine.native.kernels import GgmlType, dequantize_rows, quantize_rows

ERAS = {"rows": Era.OLD, "old": Era.OLD, "v2": Era.V2, "v3": Era.V3}
ROWS_OF_MARCH: list[tuple[Kind, Layout]] = [("q4_0", "rows"), ("q4_1", "rows")]
KINDS: tuple[Kind, ...] = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0")
LAYOUTS: tuple[Layout, ...] = ("old", "v2", "v3")
ALL = [*ROWS_OF_MARCH, *((kind, layout) for kind in KINDS for layout in LAYOUTS)]

# d = 0.5 and m = -1; q counts up: 0 to 15 twice (four bits), 0 to 31 (five), -16 to 15 (eight).
F32_D, F32_M, F16_D, F16_M = "0000003f", "000080bf", "0038", "00bc"
NEIGHBOURS = "1032547698badcfe" * 2
HALVES = "00112233445566778899aabbccddeeff"
FIFTH_BITS = "0000ffff"
SIGNED = bytes(range(240, 256)).hex() + bytes(range(16)).hex()
GOLDEN: dict[tuple[str, str], str] = {
    ("q4_0", "rows"): F32_D * 2 + NEIGHBOURS * 2,
    ("q4_1", "rows"): F32_M * 2 + F32_D * 2 + NEIGHBOURS * 2,
    ("q4_0", "old"): (F32_D + NEIGHBOURS) * 2,
    ("q4_1", "old"): (F32_D + F32_M + NEIGHBOURS) * 2,
    ("q5_0", "old"): (F16_D + FIFTH_BITS + NEIGHBOURS) * 2,
    ("q5_1", "old"): (F16_D + F16_M + FIFTH_BITS + NEIGHBOURS) * 2,
    ("q8_0", "old"): (F32_D + SIGNED) * 2,
    ("q4_0", "v2"): (F32_D + HALVES) * 2,
    ("q4_1", "v2"): (F32_D + F32_M + HALVES) * 2,
    ("q5_0", "v2"): (F16_D + FIFTH_BITS + HALVES) * 2,
    ("q5_1", "v2"): (F16_D + F16_M + FIFTH_BITS + HALVES) * 2,
    ("q8_0", "v2"): (F32_D + SIGNED) * 2,
    ("q4_0", "v3"): (F16_D + HALVES) * 2,
    ("q4_1", "v3"): (F16_D + F16_M + HALVES) * 2,
    ("q5_0", "v3"): (F16_D + FIFTH_BITS + HALVES) * 2,
    ("q5_1", "v3"): (F16_D + F16_M + FIFTH_BITS + HALVES) * 2,
    ("q8_0", "v3"): (F16_D + SIGNED) * 2,
}
WEIGHTS = {
    "q4_0": [(place % 16 - 8) * 0.5 for place in range(32)],
    "q4_1": [place % 16 * 0.5 - 1 for place in range(32)],
    "q5_0": [(place - 16) * 0.5 for place in range(32)],
    "q5_1": [place * 0.5 - 1 for place in range(32)],
    "q8_0": [(place - 16) * 0.5 for place in range(32)],
}


@dataclass
class MemorySource:
    """A `ByteSource` over bytes."""

    data: bytes
    path: Path = Path("memory.bin")

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        assert 0 <= offset <= offset + size <= len(self.data)
        return self.data[offset : offset + size]

    def close(self) -> None:
        """Nothing is held."""


def tensor(data: bytes, shape: tuple[int, int], kind: str, layout: Layout, number: int = -1) -> BlockTensor:
    blocks = block_layouts(ERAS[layout])[TENSOR_TYPES.get(kind, number)]
    return BlockTensor("w", shape, MemorySource(b"head" + data), 4, blocks, layout == "rows")


def random_rows(n_rows: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    scale = 2.0 ** random.uniform(-9, 2, (n_rows, 1))
    return (random.standard_normal((n_rows, width)) * scale).astype(np.float32)


@pytest.mark.parametrize(("kind", "layout"), GOLDEN, ids="-".join)
def test_golden_bytes_mean_the_weights_of_the_format_page(kind: str, layout: Layout) -> None:
    golden = tensor(bytes.fromhex(GOLDEN[kind, layout]), (1, 64), kind, layout)
    assert golden.packed_type == kind
    assert golden.read_rows(0, 1).tolist() == [WEIGHTS[kind] * 2]
    assert golden.read_packed_rows(0, 1).hex() == GOLDEN[kind, "v3"]


@pytest.mark.parametrize(("kind", "layout"), GOLDEN, ids="-".join)
def test_the_builders_write_the_golden_bytes(kind: Kind, layout: Layout) -> None:
    q = {4: np.arange(32) % 16, 5: np.arange(32), 8: np.arange(32) - 16}[BITS[kind]]
    d = np.full((1, 2), 0.5, np.float32)
    m = np.full((1, 2), -1, np.float32) if kind.endswith("_1") else None
    assert pack(Quantized(kind, np.tile(q, (1, 2, 1)), d, m), layout).hex() == GOLDEN[kind, layout]


@pytest.mark.parametrize(("kind", "layout"), ALL, ids="-".join)
def test_weights_are_exactly_those_of_the_old_bytes(kind: Kind, layout: Layout) -> None:
    blocks = quantize(kind, random_rows(7, 96), layout)
    read = tensor(pack(blocks, layout), (7, 96), kind, layout)
    np.testing.assert_array_equal(read.read_rows(0, 7), blocks.values(), strict=True)
    np.testing.assert_array_equal(read.read_rows(2, 5), blocks.values()[2:5])


@pytest.mark.parametrize(("kind", "layout"), ALL, ids="-".join)
def test_repacking_keeps_every_number_and_rounds_only_scales(kind: Kind, layout: Layout) -> None:
    """llama.cpp's own dequantization of the repacked blocks is the oracle."""
    n_rows, width = 9, 160
    blocks = quantize(kind, random_rows(n_rows, width), layout)
    read = tensor(pack(blocks, layout), (n_rows, width), kind, layout)
    packed = np.frombuffer(read.read_packed_rows(0, n_rows), np.uint8).reshape(n_rows, -1)
    found = dequantize_rows(GgmlType[kind.upper()], np.ascontiguousarray(packed), width)
    assert (np.abs(found - blocks.values()) <= repack_bound(blocks)).all()
    parts = [read.read_packed_rows(row, row + 1) for row in range(n_rows)]
    assert b"".join(parts) == packed.tobytes()


def repack_bound(blocks: Quantized) -> NDArray[np.float64]:
    """What float16 scales may change: half a unit of d times q, half a unit of m, and float32 arithmetic."""

    def half_unit(scale: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.maximum(np.abs(scale.astype(np.float64)) * 2.0**-11, 2.0**-25)[..., None]

    zero = {"q4_0": 8, "q5_0": 16}.get(blocks.kind, 0)
    bound = np.abs(blocks.q - zero) * half_unit(blocks.d)
    largest = np.abs(blocks.q - zero) * np.abs(blocks.d.astype(np.float64))[..., None]
    if blocks.m is not None:
        bound = bound + half_unit(blocks.m)
        largest = largest + np.abs(blocks.m.astype(np.float64))[..., None]
    return (bound + 4 * 2.0**-24 * largest).reshape(len(blocks.q), -1)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_the_third_version_are_copied_byte_for_byte(kind: Kind) -> None:
    data = pack(quantize(kind, random_rows(5, 64), "v3"), "v3")
    assert tensor(data, (5, 64), kind, "v3").read_packed_rows(0, 5) == data


@pytest.mark.parametrize(
    ("kind", "number"), [("q2_k", 10), ("q3_k", 11), ("q4_k", 12), ("q5_k", 13), ("q6_k", 14)]
)
def test_k_quants_pass_through_and_dequantize_as_llama_cpp_does(kind: str, number: int) -> None:
    type_ = GgmlType[kind.upper()]
    data = quantize_rows(type_, random_rows(4, 512))
    read = tensor(data.tobytes(), (4, 512), kind, "v3", number)
    assert read.packed_type == kind
    assert read.read_packed_rows(1, 3) == data[1:3].tobytes()
    expected = dequantize_rows(type_, data, 512)
    np.testing.assert_allclose(read.read_rows(0, 4), expected, rtol=1e-6, atol=1e-7)


def test_subnormal_scales_are_kept_to_the_nearest_float16() -> None:
    rows = np.full((1, 32), 1e-6, np.float32)
    rows[0, 5] = 0
    blocks = quantize("q4_0", rows, "v2")
    read = tensor(pack(blocks, "v2"), (1, 32), "q4_0", "v2")
    packed = np.frombuffer(read.read_packed_rows(0, 1), np.uint8).reshape(1, -1)
    found = dequantize_rows(GgmlType.Q4_0, packed.copy(), 32)
    assert (np.abs(found - blocks.values()) <= repack_bound(blocks)).all()


@pytest.mark.parametrize("scale", [65520.0, -7e4, np.inf, np.nan])
def test_a_scale_beyond_float16_is_refused(scale: float) -> None:
    blocks = quantize("q4_0", random_rows(1, 64), "v2")
    blocks.d[0, 1] = scale
    read = tensor(pack(blocks, "v2"), (1, 64), "q4_0", "v2")
    with pytest.raises(DamagedFile, match="scale"):
        read.read_packed_rows(0, 1)


@pytest.mark.parametrize("kind", ["q4_0", "q4_1"])
@pytest.mark.parametrize("seed", range(20))
def test_the_two_layouts_of_march_are_told_apart_by_their_scales(kind: Kind, seed: int) -> None:
    rows = random_rows(4, 256, seed)
    layout = block_layouts(Era.OLD)[TENSOR_TYPES[kind]]
    for written in ("rows", "old"):
        data = np.frombuffer(pack(quantize(kind, rows, "old"), written), np.uint8).reshape(4, -1)
        in_blocks = is_plausible(data.reshape(-1, layout.block_bytes), layout)
        in_rows = is_plausible(gather_blocks(data, layout), layout)
        assert (in_blocks, in_rows) == (written == "old", written == "rows")


def test_negative_scales_of_april_2023_are_plausible() -> None:
    blocks = quantize("q4_0", random_rows(4, 256), "old")
    blocks.d[:] *= np.where(np.arange(8) % 2, 1, -1).astype(np.float32)
    data = np.frombuffer(pack(blocks, "old"), np.uint8).reshape(-1, 20)
    assert is_plausible(data, block_layouts(Era.OLD)[2])
