"""What an architecture has to say: which GGUF tensors exist, where they come from, and its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from convert.sources.tensors import PackedTensor, Tensor, quantization_of

MetadataValue = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float]


@dataclass(frozen=True)
class MappedTensor:
    """One tensor of the GGUF: `shape` is row-major (slowest axis first).

    `row_order` (int64, one entry a row) says which row of `source` each output row is; None keeps the order.
    """

    name: str
    source: Tensor
    row_order: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def packed(self) -> PackedTensor | None:
        """The source, where it holds blocks of a ggml type that can be copied."""
        return cast(PackedTensor, self.source) if hasattr(self.source, "packed_type") else None

    @property
    def quantization(self) -> str | None:
        """How the checkpoint holds this tensor, where it is quantized there; see `quantization_of`."""
        return quantization_of(self.source)


class Architecture(Protocol):
    """A model family, read from one config.json."""

    @property
    def gguf_name(self) -> str:
        """`general.architecture` in the GGUF."""
        ...

    @property
    def n_vocab(self) -> int:
        """Rows of the embedding."""
        ...

    @property
    def n_context(self) -> int:
        """Tokens of the context that the model was trained with."""
        ...

    @property
    def tied(self) -> bool:
        """Whether the output matrix is the embedding again."""
        ...

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read what is needed from config.json at `path`; raises `InvalidConfig` or `UnsupportedModel`."""
        ...

    def metadata(self) -> dict[str, MetadataValue]:
        """The `<arch>.*` keys of the GGUF."""
        ...

    def map_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        """GGUF tensors in file order, each shape checked against the config before anything is read.

        Raises `MissingTensor`, `TensorShapeMismatch`, `UnsupportedDtype` or, for a tensor that has no
        place in this family, `UnsupportedModel`; `path` names the checkpoint in them.
        """
        ...
