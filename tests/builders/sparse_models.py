"""GGUF files of real shapes and sizes that take no disk: the header is written, the tensors are a hole.

llama.cpp loads and runs them (all weights are zero), so that memory can be measured with any shape and type.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from builders.gguf_models import N_CONTROL, byte_vocabulary

_ALIGNMENT = 32


@dataclass(frozen=True)
class SparseShape:
    """Dimensions; `quantization` is gguf-py's name of the type of all matrices."""

    architecture: str
    n_embd: int
    n_heads: int
    n_layers: int
    n_ff: int
    n_vocab: int
    quantization: str = "Q4_0"
    n_kv_heads: int | None = None
    n_merges: int = 0
    context: int = 2048
    window: int = 0


def write_sparse_model(path: Path, shape: SparseShape) -> Path:
    """Write the header and make the file as long as it says."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    _add_metadata(writer, shape)
    size_bytes = 0
    for name, dims, kind in _tensors(shape):
        n_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        n_bytes = math.prod(dims) // n_block * block_bytes
        is_plain = kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
        dtype = np.dtype(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16)
        writer.add_tensor_info(
            name,
            dims if is_plain else gguf.quant_shape_to_byte_shape(dims, kind),
            dtype if is_plain else np.dtype(np.uint8),
            n_bytes,
            raw_dtype=kind,
        )
        size_bytes += -(-n_bytes // _ALIGNMENT) * _ALIGNMENT
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    data_start = -(-path.stat().st_size // _ALIGNMENT) * _ALIGNMENT
    with path.open("r+b") as file:
        file.truncate(data_start + size_bytes)
    return path


def write_filled_model(path: Path, shape: SparseShape) -> Path:
    """The same with weights in it, for speed: Q4_0 blocks of random digits, repeated; norms are ones."""
    write_sparse_model(path, shape)
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (4096, 18), dtype=np.uint8)  # a float16 scale, 32 digits of 4 bits
    blocks[:, :2] = np.frombuffer(np.float16(0.004).tobytes(), np.uint8)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_0:
            rows = tensor.data.reshape(-1)
            rows[:] = np.resize(blocks.reshape(-1), rows.size)
        else:
            tensor.data[...] = 1
    return path


def _add_metadata(writer: gguf.GGUFWriter, shape: SparseShape) -> None:
    vocabulary = byte_vocabulary()
    tokens = [*vocabulary.tokens]
    tokens += [f"<extra_{index}>" for index in range(shape.n_vocab - len(tokens))]
    merges = [*vocabulary.merges, *(f"Ġabc{index} def{index}" for index in range(shape.n_merges))]
    writer.add_name("sparse")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_block_count(shape.n_layers)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads or shape.n_heads)
    if shape.architecture == "bloom":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(shape.n_embd // shape.n_heads)
    if shape.window:
        writer.add_sliding_window(shape.window)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control] * N_CONTROL + [normal] * (len(tokens) - N_CONTROL))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors(shape: SparseShape) -> Iterator[tuple[str, tuple[int, ...], gguf.GGMLQuantizationType]]:
    matrix, plain = gguf.GGMLQuantizationType[shape.quantization], gguf.GGMLQuantizationType.F32
    n, ff = shape.n_embd, shape.n_ff
    yield "token_embd.weight", (shape.n_vocab, n), matrix
    for layer in range(shape.n_layers):
        sizes = _bloom_layer(n, ff) if shape.architecture == "bloom" else _llama_layer(shape)
        if shape.architecture == "gemma3":
            sizes |= _gemma3_norms(shape)
        for name, dims in sizes.items():
            yield f"blk.{layer}.{name}", dims, matrix if len(dims) > 1 else plain
    yield "output_norm.weight", (n,), plain
    if shape.architecture == "llama":
        yield "output.weight", (shape.n_vocab, n), matrix
    if shape.architecture != "bloom":
        return
    for name in ("output_norm.bias", "token_embd_norm.weight", "token_embd_norm.bias"):
        yield name, (n,), plain


def _llama_layer(shape: SparseShape) -> dict[str, tuple[int, ...]]:
    n, ff = shape.n_embd, shape.n_ff
    n_kv = n // shape.n_heads * (shape.n_kv_heads or shape.n_heads)
    return {
        "attn_norm.weight": (n,),
        "attn_q.weight": (n, n),
        "attn_k.weight": (n_kv, n),
        "attn_v.weight": (n_kv, n),
        "attn_output.weight": (n, n),
        "ffn_norm.weight": (n,),
        "ffn_gate.weight": (ff, n),
        "ffn_up.weight": (ff, n),
        "ffn_down.weight": (n, ff),
    }


def _gemma3_norms(shape: SparseShape) -> dict[str, tuple[int, ...]]:
    head = (shape.n_embd // shape.n_heads,)
    return {
        "attn_q_norm.weight": head,
        "attn_k_norm.weight": head,
        "post_attention_norm.weight": (shape.n_embd,),
        "post_ffw_norm.weight": (shape.n_embd,),
    }


def _bloom_layer(n: int, ff: int) -> dict[str, tuple[int, ...]]:
    return {
        "attn_norm.weight": (n,),
        "attn_norm.bias": (n,),
        "attn_qkv.weight": (3 * n, n),
        "attn_qkv.bias": (3 * n,),
        "attn_output.weight": (n, n),
        "attn_output.bias": (n,),
        "ffn_norm.weight": (n,),
        "ffn_norm.bias": (n,),
        "ffn_up.weight": (ff, n),
        "ffn_up.bias": (ff,),
        "ffn_down.weight": (n, ff),
        "ffn_down.bias": (n,),
    }
