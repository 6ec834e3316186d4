"""The quantization kernels against gguf-py's NumPy versions, and what guards them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from engine.errors import NativeLibraryMissing
from engine.native.kernels import (
    GgmlType,
    block_size,
    dequantize_rows,
    is_valid,
    quantize_rows,
    row_size,
    type_size,
)
from engine.native.libraries import library_path

TYPES = list(GgmlType)


@pytest.mark.parametrize("type_", TYPES)
def test_numbers_and_sizes_are_ggufs(type_: GgmlType) -> None:
    assert GGMLQuantizationType[type_.name] == int(type_)
    assert GGML_QUANT_SIZES[GGMLQuantizationType(int(type_))] == (block_size(type_), type_size(type_))


@pytest.mark.parametrize("type_", TYPES)
def test_dequantizes_as_gguf_py_does(type_: GgmlType) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 512)).astype(np.float32)
    data = quantize_rows(type_, rows)
    assert data.shape == (3, row_size(type_, 512))
    assert is_valid(type_, data)
    found = dequantize_rows(type_, data, 512)
    np.testing.assert_array_equal(found, dequantize(data, GGMLQuantizationType(int(type_))).reshape(3, 512))
    assert np.abs(found - rows).max() < (1.0 if type_ is GgmlType.Q2_K else 0.6)


@pytest.mark.parametrize("type_", TYPES)
def test_rows_do_not_depend_on_their_neighbours(type_: GgmlType) -> None:
    rows = np.random.default_rng(2).standard_normal((4, 256)).astype(np.float32)
    whole = quantize_rows(type_, rows)
    parts = [quantize_rows(type_, rows[index : index + 1]) for index in range(4)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_importance_moves_the_error_to_unimportant_columns() -> None:
    rows = np.random.default_rng(3).standard_normal((64, 256)).astype(np.float32)
    importance = np.ones(256, np.float32)
    importance[::8] = 1000
    plain = dequantize_rows(GgmlType.Q4_K, quantize_rows(GgmlType.Q4_K, rows), 256)
    weighted = dequantize_rows(GgmlType.Q4_K, quantize_rows(GgmlType.Q4_K, rows, importance), 256)
    assert np.abs(weighted - rows)[:, ::8].mean() < np.abs(plain - rows)[:, ::8].mean()


def test_bfloat16_infinity_is_not_valid() -> None:
    data = quantize_rows(GgmlType.BF16, np.array([[1.0, np.inf]], np.float32))
    assert not is_valid(GgmlType.BF16, data)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 100), np.float32),
        np.zeros((2, 256), np.float64),
        np.zeros(256, np.float32),
        np.zeros((256, 2), np.float32).T,
    ],
    ids=["width", "dtype", "vector", "not contiguous"],
)
def test_what_would_abort_the_process_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="multiple|matrix"):
        quantize_rows(GgmlType.Q4_K, rows)


def test_wrong_importance_and_row_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="importance"):
        quantize_rows(GgmlType.Q4_0, np.zeros((1, 64), np.float32), np.ones(32, np.float32))
    with pytest.raises(ValueError, match="not a row"):
        dequantize_rows(GgmlType.Q4_0, np.zeros((1, 18), np.uint8), 64)


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(NativeLibraryMissing) as caught:
        library_path("ggml-base")
    assert str(tmp_path) in caught.value.detail


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("kernels_first", [True, False])
def test_llama_cpp_and_the_kernels_share_one_library(kernels_first: bool) -> None:
    kernels = "from engine.native.kernels import GgmlType, block_size; block_size(GgmlType.Q4_K)\n"
    llama = "import llama_cpp\n"
    script = (kernels + llama if kernels_first else llama + kernels) + (
        "maps = open('/proc/self/maps').read().split()\n"
        "print(len({word for word in maps if 'libggml-base' in word}))\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout
    assert output.split()[-1] == b"1"
