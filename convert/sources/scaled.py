"""Matrices of 8-bit floats (FP8), with a scale for each block, each row or all of them, or without.

| tensor           | type                      | shape                                                 |
|------------------|---------------------------|-------------------------------------------------------|
| weight           | F8_E4M3 or F8_E5M2        | (out, in)                                             |
| weight_scale_inv | f32, f16, bf16 or F8_E8M0 | (out / 128, in / 128), or one for all                 |
| weight_scale     | the same                  | (out, 1) or (out), or one for all                     |

w = number * scale, whatever the name of the scale: `_inv` is DeepSeek's and transformers', the other that of
compressed-tensors, FBGEMM and ModelOpt. Blocks at the edges may be cut. Scales of activations and of the
key/value cache change no weight and are left out.

E4M3 here is the variant "fn": one sign, four bits of exponent with bias 7, three of mantissa; no infinity,
NaN where all but the sign are set. E5M2 is the upper half of a float16. E8M0 is a power of two with bias 127.
Source: OCP 8-bit Floating Point Specification and OCP Microscaling Formats; transformers' finegrained FP8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.errors import InvalidFile, MissingTensor
from convert.sources.layer_parts import mismatch
from convert.sources.tensors import StoredRead, StoredTensor, Tensor, contiguous_strides

Block = tuple[int, int]
"""Rows and columns that share a scale."""

_NUMBERS: Mapping[str, str] = {"f8_e4m3": "E4M3", "f8_e5m2": "E5M2"}
_SCALE_DTYPES = ("f32", "f16", "bf16", "f8_e8m0", "u8")
_USUAL_BLOCK: Block = (128, 128)
# After the name of a weight; the last two after its layer's.
_SCALE_ENDS = ("_scale_inv", "_scale")
_LAYER_SCALES = ("qscale_weight", "scale")


def _e4m3_values() -> NDArray[np.float32]:
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, (codes & 7).astype(np.float64)
    sign = np.where(codes & 128, -1.0, 1.0)
    normal, subnormal = np.exp2(exponent - 7.0) * (1 + mantissa / 8), 2.0**-6 * mantissa / 8
    values = sign * np.where(exponent == 0, subnormal, normal)
    values[codes & 127 == 127] = np.nan
    return values.astype(np.float32)


def _e5m2_values() -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # some are NaN
        return (np.arange(256, dtype=np.uint16) << 8).view(np.float16).astype(np.float32)


_VALUES: Mapping[str, NDArray[np.float32]] = {"f8_e4m3": _e4m3_values(), "f8_e5m2": _e5m2_values()}


@dataclass(frozen=True)
class ScaledModel:
    """tensors: all of the checkpoint, with FP8 ones that can be read. details: for people."""

    tensors: Mapping[str, Tensor]
    matrices: tuple[ScaledTensor, ...]

    @property
    def has_scales(self) -> bool:
        return any(matrix.scale is not None for matrix in self.matrices)

    @property
    def details(self) -> str:
        """For people: "E4M3, block 128x128"; several kinds are all named."""
        kinds = sorted({_NUMBERS[matrix.weight.dtype] for matrix in self.matrices})
        return ", ".join(["/".join(kinds), *sorted({matrix.scale_kind for matrix in self.matrices})])


@dataclass(frozen=True)
class ScaledTensor:
    """A `Tensor` of FP8 numbers, each times the scale of its `block`.

    scale: `(blocks of rows, blocks of columns)`; None where the numbers are the weights.
    """

    weight: StoredTensor
    scale: StoredTensor | None
    block: Block

    @property
    def name(self) -> str:
        return self.weight.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    @property
    def dtype(self) -> str:
        """What `read_rows` computes; nothing is stored as such."""
        return "f32"

    @property
    def quantization(self) -> str:
        """What the file holds, for people."""
        return f"fp8 {_NUMBERS[self.weight.dtype].lower()}"

    @property
    def scale_kind(self) -> str:
        """For people: what shares a scale."""
        if self.scale is None:
            return "no scales"
        if self.block == self.shape:
            return "a scale a matrix"
        if self.block == (1, self.shape[1]):
            return "a scale a row"
        return f"block {self.block[0]}x{self.block[1]}"

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Number times scale in float32, as transformers computes it; NaN stays."""
        numbers: NDArray[np.float32] = _VALUES[self.weight.dtype][self.weight.read_stored(start, stop)]
        if self.scale is None:
            return numbers
        first, end = self._scale_rows(start, stop)
        scales = _as_float32(self.scale.read_stored(first, end), self.scale.dtype)
        of_rows = scales[np.arange(start, stop) // self.block[0] - first]
        width = self.block[1]
        with np.errstate(over="ignore", invalid="ignore"):
            if numbers.shape[1] % width == 0:
                numbers.reshape(*of_rows.shape, width)[...] *= of_rows[..., None]
            else:
                for column in range(of_rows.shape[1]):
                    numbers[:, column * width : (column + 1) * width] *= of_rows[:, column, None]
        return numbers

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """The weight's reads and those of its scales."""
        yield from self.weight.stored_reads(start, stop)
        if self.scale is not None:
            yield from self.scale.stored_reads(*self._scale_rows(start, stop))

    def _scale_rows(self, start: int, stop: int) -> tuple[int, int]:
        return start // self.block[0], -(-stop // self.block[0])


def is_scaled(tensors: Mapping[str, Tensor]) -> bool:
    """Whether any tensor is of 8-bit floats."""
    return any(tensor.dtype in _NUMBERS for tensor in tensors.values())


def read_scaled(
    tensors: Mapping[str, StoredTensor], *, block: Block | None = None, needs_scales: bool = False
) -> ScaledModel:
    """The model in a checkpoint for which `is_scaled` holds; reads nothing.

    block: as the configuration has it. needs_scales: the configuration says that there are some. Raises
    `MissingTensor` for a weight without a scale where others have one, `QuantizationMismatch` for a scale
    that does not fit, `InvalidFile` for two of one weight.
    """
    scales = {name: _find_scale(name, tensors) for name, item in tensors.items() if item.dtype in _NUMBERS}
    needs_scales = needs_scales or any(scales.values())
    used = {scale.name for scale in scales.values() if scale is not None}
    result: dict[str, Tensor] = {}
    matrices: list[ScaledTensor] = []
    for name, tensor in tensors.items():
        if name in scales:
            scale = scales[name]
            if scale is None and needs_scales and len(tensor.shape) > 1:
                raise MissingTensor(tensor.source.path, f"{name}{_SCALE_ENDS[0 if block else 1]}")
            matrix = _with_scale(tensor, scale, block)
            result[name] = matrix
            matrices.append(matrix)
        elif name not in used:
            result[name] = tensor
    return ScaledModel(result, tuple(matrices))


def _find_scale(name: str, tensors: Mapping[str, StoredTensor]) -> StoredTensor | None:
    layer = name.removesuffix("weight")
    of_layer = _LAYER_SCALES if name.endswith(".weight") else ()
    names = [*(f"{name}{end}" for end in _SCALE_ENDS), *(f"{layer}{part}" for part in of_layer)]
    found = [tensors[each] for each in names if each in tensors]
    if len(found) > 1:
        raise InvalidFile(
            found[1].source.path, f"{found[0].name!r} and {found[1].name!r}, both of one tensor"
        )
    return found[0] if found else None


def _with_scale(weight: StoredTensor, scale: StoredTensor | None, block: Block | None) -> ScaledTensor:
    if scale is None:
        return ScaledTensor(weight, None, (1, 1))
    if scale.dtype not in _SCALE_DTYPES:
        raise mismatch(scale, "dtype", " or ".join(_SCALE_DTYPES), scale.dtype)
    if len(weight.shape) != 2 or 0 in weight.shape:
        raise mismatch(weight, "shape", "a matrix", weight.shape)
    n_rows, width = weight.shape
    grid = _as_grid(scale)
    if grid is None:
        raise mismatch(scale, "shape", f"scales of {n_rows} rows", scale.shape)
    found = _find_block(weight.shape, grid.shape, block)
    if found is None:
        wanted = block or _USUAL_BLOCK
        expected = (-(-n_rows // wanted[0]), -(-width // wanted[1]))
        raise mismatch(scale, "shape", f"{expected}, (1,) or ({n_rows}, 1)", scale.shape)
    return ScaledTensor(weight, grid, found)


def _as_grid(scale: StoredTensor) -> StoredTensor | None:
    """The scales as a matrix: one alone, or one for each row of the weight, may have fewer axes or more."""
    if 0 in scale.shape:
        return None
    if all(length == 1 for length in scale.shape):
        return replace(scale, shape=(1, 1), strides=(1, 1))
    if len(scale.shape) == 1:
        return replace(scale, shape=(*scale.shape, 1), strides=(*scale.strides, 1))
    if len(scale.shape) > 2 and scale.strides == contiguous_strides(scale.shape) and scale.shape[0] == 1:
        return _as_grid(replace(scale, shape=scale.shape[1:], strides=scale.strides[1:]))
    return scale if len(scale.shape) == 2 else None


def _find_block(shape: tuple[int, ...], grid: tuple[int, ...], stated: Block | None) -> Block | None:
    """Rows and columns of a block; what nobody stated is told from the number of scales."""
    n_rows, width = shape
    for block in filter(None, (stated, (n_rows, width), (1, width), _USUAL_BLOCK)):
        if grid == (-(-n_rows // block[0]), -(-width // block[1])):
            return block
    if stated or grid[0] > n_rows or grid[1] > width or n_rows % grid[0] or width % grid[1]:
        return None
    return n_rows // grid[0], width // grid[1]


def _as_float32(stored: NDArray[np.generic], dtype: str) -> NDArray[np.float32]:
    if dtype == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if dtype in ("f8_e8m0", "u8"):
        powers = np.ldexp(np.float32(1), stored.astype(np.int32) - 127)
        return np.where(stored == np.uint8(255), np.float32(np.nan), powers)
    return stored.astype(np.float32)
