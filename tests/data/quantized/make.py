"""Writes the files of this folder with the libraries whose formats they are in, and prints what they mean.

Made with torch 2.13.0, safetensors 0.8.0, bitsandbytes 0.50.2, AutoAWQ 0.2.9 and AutoGPTQ 0.7.1 (nothing that
is used here needs a graphics card):

    python tests/data/quantized/make.py FOLDER

Each hash is that of the float32 bytes which the library itself dequantizes the tensor to; for float8 it is
the cast to float32. `tests/convert/test_quantized_golden.py` has them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import bitsandbytes as bnb
import torch
from auto_gptq.nn_modules.qlinear.qlinear_cuda import QuantLinear
from awq.modules.linear.gemm import WQLinear_GEMM
from awq.utils.packing_utils import dequantize_gemm
from bitsandbytes import functional
from safetensors.torch import save_file


def digest(weight: torch.Tensor) -> str:
    numbers = weight.to(torch.float32).contiguous()
    numbers[numbers.isnan()] = torch.nan
    return hashlib.sha256(numbers.numpy().tobytes()).hexdigest()


def write_four_bit(
    folder: Path, kind: str, dtype: torch.dtype, shape: tuple[int, int], *, nested: bool
) -> str:
    """As `Linear4bit` saves its weight."""
    weight = torch.randn(shape, generator=torch.manual_seed(1)).to(dtype)
    packed, state = functional.quantize_4bit(weight, quant_type=kind, compress_statistics=nested)
    parts = {f"layer.weight.{name}": part for name, part in state.as_dict(packed=True).items()}
    save_file({"layer.weight": packed, **parts}, folder / f"bitsandbytes_{kind}.safetensors")
    return digest(functional.dequantize_4bit(packed, state))


def write_int8(folder: Path) -> str:
    """As `Linear8bitLt` saves its weight."""
    weight = torch.randn((40, 96), generator=torch.manual_seed(2)).to(torch.float16)
    layer = bnb.nn.Linear8bitLt(96, 40, bias=False, has_fp16_weights=False)
    layer.weight = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    layer = layer.to("cpu")
    state = layer.state_dict(prefix="layer.")
    save_file(state, folder / "bitsandbytes_int8.safetensors")
    return digest(functional.int8_vectorwise_dequant(state["layer.weight"], state["layer.SCB"]))


def write_float8(folder: Path) -> dict[str, str]:
    """All numbers of both types, NaN and infinities included."""
    codes = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    tensors = {"e4m3": codes.view(torch.float8_e4m3fn), "e5m2": codes.clone().view(torch.float8_e5m2)}
    save_file(tensors, folder / "float8.safetensors")
    return {name: digest(tensor) for name, tensor in tensors.items()}


def write_awq(folder: Path) -> str:
    """A layer in groups of 64; the library rounds to float16, which is left out here."""
    torch.manual_seed(3)
    linear = torch.nn.Linear(128, 64, bias=False)
    grouped = linear.weight.data.reshape(64, 2, 64)
    low, high = grouped.amin(2), grouped.amax(2)
    scales = ((high - low) / 15).half().float()
    zeros = (-low / scales).round().clamp(0, 15)
    layer = WQLinear_GEMM.from_linear(linear, 4, 64, scales=scales.T.contiguous(), zeros=zeros.T.contiguous())
    parts = {name: getattr(layer, name) for name in ("qweight", "qzeros", "scales")}
    save_file(
        {f"layer.{name}": part.contiguous() for name, part in parts.items()}, folder / "awq.safetensors"
    )
    weight = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales.float(), 4, 64)
    return digest(weight.T)


def write_gptq(folder: Path, bits: int) -> str:
    """A symmetric layer in groups of 32, as the library packs it and multiplies a unit matrix with it."""
    torch.manual_seed(4)
    linear = torch.nn.Linear(64, 32, bias=False)
    layer = QuantLinear(bits, 32, 64, 32, False, weight_dtype=torch.float32)
    scales = linear.weight.data.reshape(32, 2, 32).abs().amax(2) * 2 / (2**bits - 1)
    zeros = torch.full_like(scales, 2 ** (bits - 1))
    largest = scales.repeat_interleave(32, 1) * (2 ** (bits - 1) - 1)
    linear.weight.data = torch.minimum(linear.weight.data, largest)
    layer.pack(linear, scales, zeros)
    parts = {name: getattr(layer, name) for name in ("qweight", "qzeros", "scales", "g_idx")}
    save_file({f"layer.{name}": part for name, part in parts.items()}, folder / f"gptq_{bits}.safetensors")
    return digest(layer(torch.eye(64)).T)


def main(folder: Path) -> None:
    hashes = {
        "nf4": write_four_bit(folder, "nf4", torch.bfloat16, (136, 128), nested=True),
        "fp4": write_four_bit(folder, "fp4", torch.float16, (24, 64), nested=False),
        "int8": write_int8(folder),
        **write_float8(folder),
        "awq": write_awq(folder),
        **{f"gptq_{bits}": write_gptq(folder, bits) for bits in (2, 3, 4, 8)},
    }
    sys.stdout.writelines(f"{name} {sha256}\n" for name, sha256 in hashes.items())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
