"""GPTQ's numbers: how they are packed, what they mean, and what a q4_1 block keeps of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.gptq import Layer, pack, quantize
from convert.sources.ggml_blocks import ScaleTooLarge
from convert.sources.gptq_blocks import dequantize, pack_q4_1, unpack_bits
from engine.native.kernels import GgmlType, dequantize_rows, quantize_rows

SUBNORMAL = 2.0**-14


def random_layer(
    bits: int, n_inputs: int, n_outputs: int, group: int, *, size: float = 1.0, seed: int = 0, **options: Any
) -> Layer:
    weight = np.random.default_rng(seed).standard_normal((n_outputs, n_inputs)).astype(np.float32)
    return quantize(weight * np.float32(size), bits, group, **options)


def q4_1_blocks(layer: Layer, group: int) -> NDArray[np.uint8]:
    scales = np.ascontiguousarray(layer.scales.T, np.float32)
    return pack_q4_1(pack(layer.q.T, 4), scales, layer.zeros.T.astype(np.int16), group)


def kept_weights(layer: Layer, group: int) -> NDArray[np.float32]:
    """What ggml itself reads in the repacked blocks."""
    return dequantize_rows(GgmlType.Q4_1, q4_1_blocks(layer, group), len(layer.q))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_packed_numbers_are_read_back(bits: int) -> None:
    numbers = np.random.default_rng(bits).integers(0, 1 << bits, (5, 96))
    np.testing.assert_array_equal(unpack_bits(pack(numbers, bits), bits), numbers)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (2, [0xE4E4E4E4, 0xE4E4E4E4]),
        # Octal digits; the 11th number and the 22nd lie in two words.
        (3, [0x88FAC688, 0xC688FAC6, 0xFAC688FA]),
        (4, [0x76543210, 0x76543210, 0x76543210, 0x76543210]),
        (8, [0x03020100, 0x07060504] * 4),
    ],
)
def test_golden_words(bits: int, words: list[int]) -> None:
    """0, 1, 2, ... as quant.py of GPTQ-for-LLaMa packs them."""
    numbers = np.arange(32) % min(8, 1 << bits)
    assert unpack_bits(np.array([words], np.uint32), bits)[0].tolist() == numbers.tolist()


def test_golden_block() -> None:
    """q = 0 to 15 twice, scale 1/2, zero 8: d = 0.5, m = -4 in float16, element j with j + 16 in a byte."""
    words = np.array([[0x76543210, 0xFEDCBA98] * 2], np.uint32)
    block = pack_q4_1(words, np.array([[0.5]], np.float32), np.array([[8]], np.int16), 32)
    assert block.tobytes().hex() == "003800c4" + "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shuffle", [None, np.random.default_rng(1)], ids=["in-order", "shuffled"])
def test_weights_equal_the_slow_formula(bits: int, shuffle: Any) -> None:
    layer = random_layer(bits, 96, 32, 64, shuffle=shuffle, scale_dtype=np.float16)
    values = unpack_bits(pack(layer.q.T, bits), bits)
    scales = np.ascontiguousarray(layer.scales.T, np.float32)
    found = dequantize(values, scales, layer.zeros.T.astype(np.int16), layer.groups)
    np.testing.assert_array_equal(found, layer.weight())


@pytest.mark.parametrize("scale_dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("group", "n_inputs"), [(128, 256), (32, 96), (64, 96), (256, 256)])
def test_a_repacked_weight_stays_within_the_rounding_of_d_and_m(
    group: int, n_inputs: int, scale_dtype: Any
) -> None:
    for seed in range(10):
        size = 10.0 ** -(seed % 4)
        layer = random_layer(4, n_inputs, 64, group, size=size, seed=seed, scale_dtype=scale_dtype)
        d = layer.scales.astype(np.float64)[layer.groups].T
        m = d * layer.zeros[layer.groups].T
        assert d.min() >= SUBNORMAL
        exact = d * (layer.q - layer.zeros[layer.groups]).T
        error = np.abs(kept_weights(layer, group) - exact)
        # ggml's own float32 arithmetic adds a last bit.
        assert (error <= 2.0**-11 * (15 * d + np.abs(m)) + 2.0**-22 * np.abs(m)).all()
        if scale_dtype is np.float16:  # d is exact, m all that is rounded
            assert (error <= 2.0**-11 * np.abs(m) + 2.0**-22 * np.abs(m)).all()


def test_no_number_changes() -> None:
    layer = random_layer(4, 64, 32, 32)
    blocks = q4_1_blocks(layer, 32).reshape(32, 2, 20)[..., 4:]
    kept = np.concatenate([blocks & 15, blocks >> 4], axis=2).reshape(32, 64)
    np.testing.assert_array_equal(kept, layer.q.T)


@pytest.mark.parametrize("exponent", [-15, -17, -19, -21])
def test_blocks_below_float16s_normal_range_are_kept_because_q8_0_is_worse(exponent: int) -> None:
    """formats.md names q8_0 for these; measured, it moves weights further, so the blocks stay.

    Absolute bound: d and m are off by 2^-25 each, d up to 15 times.
    """
    for seed in range(5):
        layer = random_layer(4, 256, 64, 128, seed=seed)
        scales = (2.0**exponent * (1 + np.random.default_rng(seed).random(layer.scales.shape))).astype("f4")
        layer = Layer(4, layer.q, layer.zeros, scales, layer.groups)
        d = scales.astype(np.float64)[layer.groups].T
        assert d.max() < SUBNORMAL
        exact = d * (layer.q - layer.zeros[layer.groups]).T
        error = np.abs(kept_weights(layer, 128) - exact)
        assert (error <= 15 * 2.0**-25 + 2.0**-11 * np.abs(d * layer.zeros[layer.groups].T) + 2.0**-25).all()
        q8_0 = dequantize_rows(GgmlType.Q8_0, quantize_rows(GgmlType.Q8_0, layer.weight()), 256)
        requantized = np.abs(q8_0 - exact)
        assert requantized.max() > 2 * error.max()
        assert np.sqrt((requantized**2).mean()) > 2 * np.sqrt((error**2).mean())


@pytest.mark.parametrize("scale", [np.inf, np.nan, 1e5, 6e4])
def test_a_scale_beyond_float16_is_refused(scale: float) -> None:
    words = np.zeros((1, 4), np.uint32)
    with pytest.raises(ScaleTooLarge):  # 6e4 itself is in reach, 6e4 * 2 is not
        pack_q4_1(words, np.array([[scale]], np.float32), np.array([[2]], np.int16), 32)
