"""Files that torch, bitsandbytes and AutoAWQ wrote, and what those libraries say they mean.

`tests/data/quantized/make.py` wrote the files and printed the hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.sources.awq import read_awq
from convert.sources.bitsandbytes import read_bitsandbytes
from convert.sources.byte_source import FileSource
from convert.sources.safetensors import read_safetensors
from convert.sources.scaled import read_scaled
from convert.sources.tensors import StoredTensor, Tensor

FOLDER = Path(__file__).resolve().parents[1] / "data" / "quantized"
Tensors = Mapping[str, Tensor]


def bitsandbytes_tensors(stored: Mapping[str, StoredTensor]) -> Tensors:
    return read_bitsandbytes(stored).tensors


def scaled_tensors(stored: Mapping[str, StoredTensor]) -> Tensors:
    return read_scaled(stored).tensors


def awq_tensors(stored: Mapping[str, StoredTensor]) -> Tensors:
    return read_awq(stored, FOLDER, {}).tensors


GOLDEN: list[Any] = [
    pytest.param(
        *("bitsandbytes_nf4", bitsandbytes_tensors, "layer.weight", (136, 128)),
        "931f8c5afff98d7817fe7634e47698d3d7e36c04dfc3d44112adb894371cd6d4",
        id="nf4, two blocks of nested scales, rounded to bfloat16",
    ),
    pytest.param(
        *("bitsandbytes_fp4", bitsandbytes_tensors, "layer.weight", (24, 64)),
        "bc93446c6c87abcc38de62de1754b2cf9b98981d95f259f9f0459a65346c5111",
        id="fp4, rounded to float16",
    ),
    pytest.param(
        *("bitsandbytes_int8", bitsandbytes_tensors, "layer.weight", (40, 96)),
        "f4ac6fd132edcf61361526093738f963284d2e18b487ac93ce807ebf68045dda",
        id="LLM.int8",
    ),
    pytest.param(
        *("float8", scaled_tensors, "e4m3", (16, 16)),
        "422eccfaa21e72a6b26855bb10cdcfead6c1ce3262ecd813c99d8cbf9677f2e2",
        id="E4M3",
    ),
    pytest.param(
        *("float8", scaled_tensors, "e5m2", (16, 16)),
        "229a94c5f728edf2259da970a0e1dfb45cc1d69cce2b30e37659f3212ec4b8b9",
        id="E5M2",
    ),
    pytest.param(
        *("awq", awq_tensors, "layer.weight", (64, 128)),
        "86950b47908a1ec486191eff831fe20d72dd74a41ca87f4a279c4143e730ad36",
        id="AWQ",
    ),
]


@pytest.mark.parametrize(("file", "read", "name", "shape", "sha256"), GOLDEN)
def test_weights_are_bit_for_bit_what_the_library_makes_of_its_own_file(
    file: str,
    read: Callable[[Mapping[str, StoredTensor]], Tensors],
    name: str,
    shape: tuple[int, int],
    sha256: str,
) -> None:
    with FileSource(FOLDER / f"{file}.safetensors") as source:
        tensor = read(read_safetensors(source))[name]
        assert tensor.shape == shape
        rows = tensor.read_rows(0, shape[0])
        for start, stop in ((0, 1), (3, 10), (shape[0] - 1, shape[0])):
            np.testing.assert_array_equal(tensor.read_rows(start, stop), rows[start:stop])
    numbers = np.where(np.isnan(rows), np.float32(np.nan), rows)
    assert hashlib.sha256(numbers.tobytes()).hexdigest() == sha256
