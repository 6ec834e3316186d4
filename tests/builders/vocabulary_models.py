"""Tiny models with vocabularies that others made: llama.cpp's own test files hold them without weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

_N_EMBD = 32


def write_with_vocabulary(path: Path, vocabulary: Path) -> Path:
    """Write a LLaMA of one silent layer with the tokenizer of the GGUF `vocabulary`, without a template."""
    reader = gguf.GGUFReader(vocabulary)
    writer = gguf.GGUFWriter(path, "llama")
    fields = [field for field in reader.fields.values() if field.name.startswith("tokenizer.")]
    for field in fields:
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
        elif field.name != "tokenizer.chat_template":
            writer.add_key_value(field.name, field.contents(), field.types[0])
    n_vocab = len(reader.fields["tokenizer.ggml.tokens"].data)
    _add_dimensions(writer, n_vocab)
    writer.add_tensor("token_embd.weight", np.zeros((n_vocab, _N_EMBD), np.float16))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((_N_EMBD, _N_EMBD), np.float16))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_N_EMBD, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_dimensions(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    writer.add_vocab_size(n_vocab)
    writer.add_context_length(4096)
    writer.add_embedding_length(_N_EMBD)
    writer.add_feed_forward_length(_N_EMBD)
    writer.add_block_count(1)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_N_EMBD)
