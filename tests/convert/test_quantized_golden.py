"""Files that torch, bitsandbytes, AutoAWQ and AutoGPTQ wrote, and what those libraries say they mean.

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
from convert.sources.gptq import read_gptq
from convert.sources.gptq_settings import GptqSettings
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


def gptq_tensors(stored: Mapping[str, StoredTensor]) -> Tensors:
    return read_gptq(stored, GptqSettings(is_symmetric=True, is_later_tool=True)).tensors


GPTQ = {
    2: "694d626fb278046e1578b3376ae7672d17738321554726161b9d8501f4197978",
    3: "d9716c9ba658397648937674f071feaf67a62a8b46640870b7777960b0d7fcdf",
    4: "496bad9e1b564332507e7a2ffff18d8913dbc525b0571e009cd827646888a7aa",
    8: "ccfa26c897225542f735565768aa6622799debd32978396abfe95a8ccd2eec52",
}
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
    *(
        pytest.param(f"gptq_{bits}", gptq_tensors, "layer.weight", (32, 64), sha256, id=f"GPTQ, {bits} bits")
        for bits, sha256 in GPTQ.items()
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


@pytest.mark.parametrize("bits", GPTQ)
@pytest.mark.parametrize("said", [False, True, None])
def test_the_library_stores_symmetric_zero_points_less_one_and_a_wrong_setting_is_noted(
    bits: int, said: bool | None
) -> None:
    settings = GptqSettings(bits, 32, is_symmetric=True, stores_zero_itself=said, is_later_tool=True)
    with FileSource(FOLDER / f"gptq_{bits}.safetensors") as source:
        model = read_gptq(read_safetensors(source), settings)
        rows = model.tensors["layer.weight"].read_rows(0, 32)
    assert hashlib.sha256(rows.tobytes()).hexdigest() == GPTQ[bits]
    assert [note.key for note in model.notes] == (["gptq_zero_less_one"] if said else [])
