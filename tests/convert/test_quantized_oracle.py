"""FP8 and bitsandbytes checkpoints that the real libraries write, against what they read back themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.sources.bitsandbytes import read_bitsandbytes
from convert.sources.byte_source import FileSource
from convert.sources.safetensors import read_safetensors
from convert.sources.scaled import read_scaled

NAME = "layer.weight"


def saved(folder: Path, tensors: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    path = folder / "model.safetensors"
    save_file(tensors, path)
    return path


def float32_of(tensor: Any) -> NDArray[np.float32]:
    import torch

    found: NDArray[np.float32] = tensor.to(torch.float32).numpy()
    return found


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_a_cast_to_float8_is_read_as_torch_casts_it_back(tmp_path: Path, kind: str) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.randn((70, 33), generator=torch.manual_seed(0)).to(getattr(torch, kind))
    with FileSource(saved(tmp_path, {NAME: weight})) as source:
        found = read_scaled(read_safetensors(source)).tensors[NAME]
        np.testing.assert_array_equal(found.read_rows(0, 70), float32_of(weight))


@pytest.mark.torch
@pytest.mark.parametrize("block", [(128, 128), (1, 32), (256, 384), (1, 384)])
@pytest.mark.parametrize("scale_dtype", ["float32", "bfloat16"])
def test_blocks_of_fp8_are_read_as_transformers_reads_them(
    tmp_path: Path, block: tuple[int, int], scale_dtype: str
) -> None:
    torch = pytest.importorskip("torch")
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    weight = torch.randn((256, 384), generator=torch.manual_seed(0))
    grid = (256 // block[0], 384 // block[1])
    blocks = weight.reshape(grid[0], block[0], grid[1], block[1])
    scales = (blocks.abs().amax((1, 3)) / 448).to(getattr(torch, scale_dtype))
    scaled = blocks / scales.float()[:, None, :, None]
    numbers = scaled.clamp(-448, 448).to(torch.float8_e4m3fn).reshape(256, 384)
    # In the type of the scales: of bfloat16 the result would be rounded to that.
    expected = Fp8Dequantize(None).convert({"weight": numbers, "weight_scale_inv": scales.float()})["weight"]
    path = saved(tmp_path, {NAME: numbers, f"{NAME}_scale_inv": scales})
    with FileSource(path) as source:
        found = read_scaled(read_safetensors(source)).tensors[NAME]
        np.testing.assert_array_equal(found.read_rows(0, 256), float32_of(expected))


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("shape", "block"), [((300, 128), 64), ((48, 512), 256), ((5, 64), 64)])
def test_four_bits_are_read_as_bitsandbytes_reads_them(
    tmp_path: Path, kind: str, nested: bool, dtype: str, shape: tuple[int, int], block: int
) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(shape, generator=torch.manual_seed(0)).to(getattr(torch, dtype))
    packed, state = functional.quantize_4bit(
        weight, quant_type=kind, compress_statistics=nested, blocksize=block
    )
    parts = {f"{NAME}.{part}": tensor for part, tensor in state.as_dict(packed=True).items()}
    with FileSource(saved(tmp_path, {NAME: packed, **parts})) as source:
        found = read_bitsandbytes(read_safetensors(source)).tensors[NAME]
        expected = float32_of(functional.dequantize_4bit(packed, state))
        np.testing.assert_array_equal(found.read_rows(0, shape[0]), expected)


@pytest.mark.torch
def test_blocks_run_on_where_rows_end(tmp_path: Path) -> None:
    """Rows of 96 in blocks of 64: bitsandbytes 0.50.2 itself mixes the scales up, but on processors only."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn((300, 96), generator=torch.manual_seed(0))
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)
    parts = {f"{NAME}.{part}": tensor for part, tensor in state.as_dict(packed=True).items()}
    numbers = torch.stack([packed.reshape(-1) >> 4, packed.reshape(-1) & 15], 1).reshape(-1).int()
    expected = state.code[numbers].reshape(-1, 64) * state.absmax[:, None]
    with FileSource(saved(tmp_path, {NAME: packed, **parts})) as source:
        found = read_bitsandbytes(read_safetensors(source)).tensors[NAME].read_rows(0, 300)
    np.testing.assert_array_equal(found, float32_of(expected.reshape(300, 96)))
    assert np.abs(found - weight.numpy()).max() < 0.2 * weight.abs().max().item()


@pytest.mark.torch
def test_eight_bits_are_read_as_bitsandbytes_reads_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn((40, 96), generator=torch.manual_seed(0)).to(torch.float16)
    numbers, statistics, _ = functional.int8_vectorwise_quant(weight)
    path = saved(tmp_path, {NAME: numbers, "layer.SCB": statistics})
    with FileSource(path) as source:
        found = read_bitsandbytes(read_safetensors(source)).tensors[NAME].read_rows(0, 40)
    np.testing.assert_array_equal(found, functional.int8_vectorwise_dequant(numbers, statistics).numpy())
