"""GGUF files that are sound and no chat models, written with gguf-py as the tools that make such files do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import numpy as np

from builders.gguf_models import byte_vocabulary

Metadata = Mapping[str, str | int | bool]


def write_gguf(
    path: Path, architecture: str | None, metadata: Metadata, tensors: tuple[str, ...] = ("a.weight",)
) -> Path:
    """A file with these keys and small tensors of these names; architecture None leaves the key out."""
    writer = gguf.GGUFWriter(path, architecture or "x")
    if architecture is None:
        writer.kv_data[0].pop("general.architecture")
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, value)
    for name in tensors:
        writer.add_tensor(name, np.zeros((2, 32), np.float32))
    _write(writer)
    return path


def write_vocabulary(path: Path) -> Path:
    """A vocabulary without weights, in the shape of llama.cpp's models/ggml-vocab-*.gguf."""
    vocabulary = byte_vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_context_length, 512),
        (writer.add_embedding_length, 32),
        (writer.add_block_count, 2),
        (writer.add_feed_forward_length, 64),
        (writer.add_head_count, 4),
    ):
        add(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_merges(list(vocabulary.merges))
    _write(writer)
    return path


def write_big_endian(path: Path) -> Path:
    """A GGUF for an IBM Z."""
    writer = gguf.GGUFWriter(path, "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("token_embd.weight", np.zeros((2, 32), np.float32))
    _write(writer)
    return path


def other_ggufs() -> dict[str, Callable[[Path], Path]]:
    """What writes a file, by the name of the error that it means."""

    def made(
        architecture: str | None, metadata: Metadata, tensors: tuple[str, ...] = ("token_embd.weight",)
    ) -> Callable[[Path], Path]:
        return lambda path: write_gguf(path, architecture, metadata, tensors)

    imatrix = {"general.type": "imatrix", "imatrix.chunk_count": 3}
    return {
        "ProjectorFile": made("clip", {"general.type": "mmproj", "clip.has_vision_encoder": True}),
        "AdapterFile": made("llama", {"general.type": "adapter", "adapter.type": "lora"}),
        "AdapterFile vector": made("controlvector", {"controlvector.layer_count": 2}, ("direction.1",)),
        "ImportanceMatrixFile": made(None, imatrix, ("blk.0.attn_q.weight.in_sum2",)),
        "VocabularyFile": write_vocabulary,
        "EmbeddingModel bert": made("bert", {"bert.attention.causal": False, "bert.pooling_type": 2}),
        "EmbeddingModel qwen3": made("qwen3", {"qwen3.pooling_type": 3}),
        "EmbeddingModel reranker": made("qwen3", {"qwen3.pooling_type": 4}),
        "EmbeddingModel t5": made("t5encoder", {"t5encoder.block_count": 1}),
        "EncoderDecoderModel": made("t5", {"t5.decoder_start_token_id": 0}),
        "DiffusionModel": made("llada", {"llada.attention.causal": False}),
        "ImageModel": made("flux", {}),
        "ImageModel unnamed": made(None, {}, ("model.diffusion_model.input_blocks.0.0.weight",)),
        "SpeechModel": made("wavtokenizer-dec", {"wavtokenizer-dec.attention.causal": False}),
        "DraftModel": made("eagle3", {}),
    }


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
