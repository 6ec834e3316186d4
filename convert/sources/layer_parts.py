"""The tensors that together are one quantized layer: found by name, checked against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from convert.errors import MissingTensor, QuantizationMismatch
from convert.sources.tensors import StoredTensor, contiguous_strides


def matrix_part(
    of: StoredTensor, name: str, tensors: Mapping[str, StoredTensor], dtypes: Sequence[str]
) -> StoredTensor:
    """The matrix `name`, which belongs to the tensor `of`; raises `MissingTensor`, `QuantizationMismatch`."""
    tensor = tensors.get(name)
    if tensor is None:
        raise MissingTensor(of.source.path, name)
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        raise mismatch(tensor, "shape", "a matrix", tensor.shape)
    if tensor.dtype not in dtypes:
        raise mismatch(tensor, "dtype", " or ".join(dtypes), tensor.dtype)
    return tensor


def list_part(
    of: StoredTensor, name: str, tensors: Mapping[str, StoredTensor], dtype: str, n_items: int
) -> StoredTensor:
    """The `n_items` numbers of `name`, as a vector; raises `MissingTensor`, `QuantizationMismatch`."""
    tensor = tensors.get(name)
    if tensor is None:
        raise MissingTensor(of.source.path, name)
    if tensor.dtype != dtype or math.prod(tensor.shape) != n_items:
        raise mismatch(tensor, "shape", f"{n_items} {dtype}", f"{tensor.shape}, {tensor.dtype}")
    return flat(tensor)


def flat(tensor: StoredTensor) -> StoredTensor:
    """The same numbers on one axis; raises `QuantizationMismatch` where they do not lie side by side."""
    if tensor.strides != contiguous_strides(tensor.shape):
        raise mismatch(tensor, "strides", str(contiguous_strides(tensor.shape)), tensor.strides)
    return replace(tensor, shape=(math.prod(tensor.shape),), strides=(1,))


def mismatch(tensor: StoredTensor, setting: str, expected: str, found: object) -> QuantizationMismatch:
    """What to raise for a part that does not fit the others."""
    return QuantizationMismatch(tensor.source.path, tensor.name, setting, expected, str(found))
