"""Every float16 and every bfloat16 becomes the float32 it is."""

from __future__ import annotations

import numpy as np
import pytest

from convert.sources.half_floats import widen_bfloat16, widen_float16

ALL_BITS = np.arange(1 << 16, dtype=np.uint16)


def test_all_numbers_of_float16() -> None:
    stored = ALL_BITS.view(np.float16)
    finite = stored[np.isfinite(stored)]
    np.testing.assert_array_equal(
        widen_float16(finite).view(np.uint32), finite.astype(np.float32).view(np.uint32)
    )


@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF])
def test_what_is_no_number_stays_that_and_leaves_its_neighbours(bits: int) -> None:
    stored = np.array([[0x0001, bits], [0x8000, 0x7BFF]], np.uint16).view(np.float16)
    np.testing.assert_array_equal(
        widen_float16(stored).view(np.uint32), stored.astype(np.float32).view(np.uint32)
    )


def test_all_of_bfloat16() -> None:
    found = widen_bfloat16(ALL_BITS)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), ALL_BITS.astype(np.uint32) << 16)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (1,), (2, 3, 5)])
def test_shapes_stay(shape: tuple[int, ...]) -> None:
    assert widen_float16(np.zeros(shape, np.float16)).shape == shape
    assert widen_bfloat16(np.zeros(shape, np.uint16)).shape == shape
