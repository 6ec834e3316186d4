"""Named tensors that are read a few rows at a time.

Every reader in this folder hands out `Tensor` objects; the architectures rearrange them, the pipeline streams
them. Nothing here knows file layouts or target types.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tensor(Protocol):
    """A tensor of a checkpoint, lazily readable by rows of its first axis, from several threads at once."""

    @property
    def name(self) -> str:
        """The name in the checkpoint."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Row-major, slowest axis first, as PyTorch prints it; at least one axis."""
        ...

    @property
    def dtype(self) -> str:
        """As stored: "f32", "f16", "bf16", or an integer type ("i8", "u8", "i32", "i64", "bool")."""
        ...

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows `start` to `stop` of the first axis as float32, shape `(stop - start, *shape[1:])`, C-contiguous.

        float16 and bfloat16 are widened exactly. Raises `TruncatedFile` or `DamagedFile`.
        """
        ...
