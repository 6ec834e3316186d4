"""The tensors of one checkpoint, claimed one by one under their names in the GGUF.

Checks names, shapes and types before a byte is read. Knows no architecture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import MappedTensor
from convert.errors import MissingTensor, TensorShapeMismatch, UnsupportedDtype, UnsupportedModel
from convert.sources.tensors import Tensor

FLOAT_DTYPES = frozenset({"f32", "f16", "bf16"})


class TensorTable:
    """Tensors by their name without `prefix` (some checkpoints of a family carry it, some do not)."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor], *, prefix: str) -> None:
        self._path = path
        self._left: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            short = name.removeprefix(prefix)
            if short in self._left:
                raise UnsupportedModel(path, "tensor", f"{short}, with and without {prefix!r}")
            self._left[short] = tensor
        self.mapped: list[MappedTensor] = []

    def claim(
        self,
        name: str,
        gguf_name: str,
        shape: tuple[int, ...],
        row_order: NDArray[np.int64] | None = None,
    ) -> None:
        """Map `name`; raises `MissingTensor`, `TensorShapeMismatch` or `UnsupportedDtype`."""
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise MissingTensor(self._path, name)
        if tensor.shape != shape:
            raise TensorShapeMismatch(self._path, tensor.name, shape, tensor.shape)
        if tensor.dtype not in FLOAT_DTYPES:
            raise UnsupportedDtype(self._path, tensor.name, tensor.dtype)
        self.mapped.append(MappedTensor(gguf_name, tensor, row_order))

    def drop(self, name: str) -> None:
        """Leave a tensor out on purpose, if it is there at all."""
        self._left.pop(name, None)

    def drop_zeros(self, name: str, n_values: int) -> None:
        """Leave out a vector that is nothing but zeros, as GPTQ tools store for layers without a bias.

        Any other stays, for `finish` to refuse.
        """
        tensor = self._left.get(name)
        if tensor is None or tensor.shape != (n_values,) or tensor.dtype not in FLOAT_DTYPES:
            return
        if not tensor.read_rows(0, n_values).any():
            self.drop(name)

    def finish(self, buffers: re.Pattern[str]) -> list[MappedTensor]:
        """All mapped tensors; whatever is left must be a known buffer, or the model is not what it says."""
        for name in self._left:
            if not buffers.fullmatch(name):
                raise UnsupportedModel(self._path, "tensor", name)
        return self.mapped
