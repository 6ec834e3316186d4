"""What there is to know of a model family, and what one model of it says: its tensors, keys and prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from convert.notes import Note
from convert.sources.tensors import PackedTensor, Tensor, quantization_of
from engine.prompt import BASE

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


@dataclass(frozen=True)
class DefaultPrompt:
    """The prompt format of a checkpoint that brings no chat template.

    name: one of the engine's own. reason: why, worded in the catalogs under `prompt_reason.<reason>`.
    """

    name: str
    reason: str


NO_TEMPLATE = DefaultPrompt(BASE.name, "no-template")
"""For every model that BELLE did not train: it continues text."""


@dataclass(frozen=True)
class Family:
    """What is known of a model family before any of its models is opened.

    gguf_name: `general.architecture` in the GGUF. title: as people write it. class_names: in `architectures`
    of config.json; model_type: there, and among a hub's tags. tokenizer: which file its tokenizer comes in.
    belle_license: what BELLE published its models of this family under, None where that is not settled.
    read: its settings from config.json at a path; raises `InvalidConfig` or `UnsupportedModel`.
    """

    gguf_name: str
    title: str
    class_names: tuple[str, ...]
    model_type: str
    tokenizer: str
    read: Callable[[Path, Mapping[str, Any]], Architecture]
    belle_license: str | None = None


class Architecture(Protocol):
    """One model of a family, as its config.json describes it."""

    @property
    def family(self) -> Family: ...

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

    @property
    def notes(self) -> tuple[Note, ...]:
        """What llama.cpp does otherwise than the model's makers, and what that comes to."""
        ...

    @property
    def has_fine_values(self) -> bool:
        """Whether llama.cpp's recipes never give its attention values fewer than 5 bits ("70B" there)."""
        ...

    def default_prompt(self) -> DefaultPrompt:
        """How it is asked, where the checkpoint has no chat template of its own."""
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
