"""GGUF files written by gguf-py from what the converter maps, without the converter's own pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import Architecture, MappedTensor
from convert.vocab import Vocabulary


@dataclass(frozen=True)
class ArrayTensor:
    """A `Tensor` over an array in memory."""

    name: str
    values: NDArray[np.float32]
    dtype: str = "f32"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.values[start:stop], np.float32)


def as_tensors(weights: Mapping[str, NDArray[np.float32]], dtype: str = "f32") -> dict[str, ArrayTensor]:
    """Weights as a reader would hand them out."""
    return {name: ArrayTensor(name, values, dtype) for name, values in weights.items()}


def gather(tensor: MappedTensor) -> NDArray[np.float32]:
    """All rows of a mapped tensor, in the GGUF's order."""
    rows = tensor.source.read_rows(0, tensor.shape[0])
    return rows if tensor.row_order is None else rows[tensor.row_order]


def write_gguf(
    path: Path,
    vocabulary: Vocabulary,
    *,
    architecture: Architecture | None = None,
    tensors: Sequence[MappedTensor] = (),
    f16: bool = False,
) -> None:
    """Without `architecture` the file holds a vocabulary only (llama.cpp loads it with `vocab_only`)."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture.family.gguf_name if architecture else "llama")
    for key, value in (architecture.metadata() if architecture else _HOLLOW).items():
        _add(writer, key, value)
    add_vocabulary(writer, vocabulary)
    for tensor in tensors:
        data = gather(tensor)
        writer.add_tensor(tensor.name, data.astype(np.float16) if f16 and data.ndim > 1 else data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


_HOLLOW = {
    "llama.context_length": 64,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 64,
    "llama.block_count": 1,
    "llama.attention.head_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-6,
}


def add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """The `tokenizer.ggml.*` keys."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre or "default")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    if vocabulary.scores is not None:
        writer.add_token_scores(list(vocabulary.scores))
    if vocabulary.merges is not None:
        writer.add_token_merges(list(vocabulary.merges))
    for name in ("bos", "eos", "eot", "eom", "unk", "pad"):
        token = getattr(vocabulary, f"{name}_id")
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(vocabulary.add_bos)
    if vocabulary.add_space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.add_space_prefix)


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)
