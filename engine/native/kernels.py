"""ggml's quantization kernels, from the very library that llama-cpp-python installs.

The library is opened by ctypes on first use. ctypes lets go of the GIL during a call, so threads scale.
Nothing here knows tensors, files or which type a weight should have.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.errors import NativeLibraryMissing
from engine.native.libraries import library_path, open_library

_LIBRARY = "ggml-base"


class GgmlType(IntEnum):
    """The tensor types that the converter writes, with the numbers of `enum ggml_type`."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    IQ4_NL = 20
    IQ4_XS = 23
    BF16 = 30


_ToFloat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _TypeTraits(ctypes.Structure):
    """`struct ggml_type_traits` of ggml.h."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block_size", ctypes.c_int64),
        ("block_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", _ToFloat),
        ("from_float_ref", ctypes.c_void_p),
    )


def quantize_rows(
    type_: GgmlType, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Rows of weights as bytes of `type_`, shape `(n_rows, row_size)`.

    rows: C-contiguous `(n_rows, width)`, finite, width a multiple of the block size. importance: one positive
    weight a column, or None. Raises `ValueError` for anything else (the kernels would abort the process).
    """
    n_rows, width = _checked_matrix(rows, np.float32)
    target = np.empty((n_rows, row_size(type_, width)), dtype=np.uint8)
    column_weights = None
    if importance is not None:
        if importance.shape != (width,):
            raise ValueError(f"importance must be {width} values, one a column")
        importance = np.ascontiguousarray(importance, dtype=np.float32)
        column_weights = importance.ctypes.data
    if target.size:
        _library().ggml_quantize_chunk(
            int(type_), rows.ctypes.data, target.ctypes.data, 0, n_rows, width, column_weights
        )
    return target


def dequantize_rows(type_: GgmlType, rows: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """The weights that llama.cpp reads out of `rows` (`(n_rows, row_size)`), shape `(n_rows, width)`.

    Raises `ValueError` when the rows are not `width` weights of `type_`.
    """
    n_rows, found_bytes = _checked_matrix(rows, np.uint8)
    if found_bytes != row_size(type_, width):
        raise ValueError(f"{found_bytes} bytes are not a row of {width} weights of {type_.name}")
    if type_ is GgmlType.F32:
        return rows.view(np.float32).copy()
    target = np.empty((n_rows, width), dtype=np.float32)
    if target.size:
        _traits(type_).to_float(rows.ctypes.data, target.ctypes.data, n_rows * width)
    return target


def is_valid(type_: GgmlType, data: NDArray[np.uint8]) -> bool:
    """Whether every number in these quantized rows is finite, by llama.cpp's own validator."""
    if not data.flags.c_contiguous:
        raise ValueError("data must be contiguous")
    return bool(_library().ggml_validate_row_data(int(type_), data.ctypes.data, data.nbytes))


@cache
def block_size(type_: GgmlType) -> int:
    """Weights in one block; a row's width must be a multiple of it."""
    return int(_library().ggml_blck_size(int(type_)))


@cache
def type_size(type_: GgmlType) -> int:
    """Bytes in one block."""
    return int(_library().ggml_type_size(int(type_)))


def row_size(type_: GgmlType, width: int) -> int:
    """Bytes in a row of `width` weights; raises `ValueError` when the width is not whole blocks."""
    n_blocks, rest = divmod(width, block_size(type_))
    if rest or width < 0:
        raise ValueError(f"{width} is not a multiple of {type_.name}'s block size {block_size(type_)}")
    return n_blocks * type_size(type_)


def _checked_matrix(
    rows: NDArray[np.float32] | NDArray[np.uint8], dtype: type[np.generic]
) -> tuple[int, int]:
    if rows.ndim != 2 or rows.dtype != dtype or not rows.flags.c_contiguous:
        raise ValueError(f"rows must be a contiguous {dtype.__name__} matrix, not {rows.dtype} {rows.shape}")
    n_rows, width = rows.shape
    return n_rows, width


@cache
def _library() -> ctypes.CDLL:
    path = library_path(_LIBRARY)
    library = open_library(path)
    try:
        _declare(library)
    except AttributeError as error:
        raise NativeLibraryMissing(f"{path}: {error}") from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    pointer, integer, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = (
        ctypes.c_int,
        pointer,
        pointer,
        integer,
        integer,
        integer,
        pointer,
    )
    library.ggml_quantize_chunk.restype = size
    library.ggml_validate_row_data.argtypes = (ctypes.c_int, pointer, size)
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_blck_size.argtypes = (ctypes.c_int,)
    library.ggml_blck_size.restype = integer
    library.ggml_type_size.argtypes = (ctypes.c_int,)
    library.ggml_type_size.restype = size
    library.ggml_get_type_traits.argtypes = (ctypes.c_int,)
    library.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)


@cache
def _traits(type_: GgmlType) -> _TypeTraits:
    """The type's entry in ggml's table, refused when its layout is not the one declared above."""
    traits: _TypeTraits = _library().ggml_get_type_traits(int(type_)).contents
    if traits.block_size != block_size(type_) or traits.type_size != type_size(type_):
        raise NativeLibraryMissing(f"{library_path(_LIBRARY)}: unknown layout of ggml_type_traits")
    return traits
