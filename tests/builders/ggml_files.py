"""ggml files of 2023, written byte by byte from their description, with the quantizers of that time.

Slow and obvious, and sharing nothing with the readers. `layout` says how blocks lie: "rows" (early March
2023), "old" (before ggjt v2), "v2" and "v3".
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, Weights
from builders.tokenizers import llama_tokenizer_model

Kind = Literal["f32", "f16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]
Layout = Literal["rows", "old", "v2", "v3"]

MAGICS = {"ggml": 0x67676D6C, "ggmf": 0x67676D66, "ggjt": 0x67676A74}
TENSOR_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9}
BITS = {"q4_0": 4, "q4_1": 4, "q5_0": 5, "q5_1": 5, "q8_0": 8}
ZERO = {"q4_0": 8, "q5_0": 16, "q8_0": 0}
N_MULT = 32


@dataclass(frozen=True)
class Quantized:
    """Weights as whole numbers q `(n_rows, n_blocks, 32)` with scale d and minimum m a block, float32."""

    kind: Kind
    q: NDArray[np.int64]
    d: NDArray[np.float32]
    m: NDArray[np.float32] | None

    def values(self) -> NDArray[np.float32]:
        """The weights, in float32 arithmetic, `(n_rows, width)`."""
        if self.m is not None:
            weights = self.q.astype(np.float32) * self.d[..., None] + self.m[..., None]
        else:
            weights = (self.q - ZERO[self.kind]).astype(np.float32) * self.d[..., None]
        return weights.reshape(len(self.q), -1)


def has_half_scales(kind: Kind, layout: Layout) -> bool:
    """Whether d and m are float16: everywhere in v3, and always in five bits."""
    return layout == "v3" or kind.startswith("q5")


def quantize(kind: Kind, rows: NDArray[np.float32], layout: Layout) -> Quantized:
    """Round to nearest; a scale that the layout stores as float16 is rounded first."""
    blocks = rows.reshape(len(rows), -1, 32).astype(np.float32)
    top = (1 << BITS[kind]) - 1
    if kind.endswith("_1"):
        m = blocks.min(axis=-1)
        d = (blocks.max(axis=-1) - m) / np.float32(top)
    else:
        m = None
        d = np.abs(blocks).max(axis=-1) / np.float32(top // 2)
    if has_half_scales(kind, layout):
        d = d.astype(np.float16).astype(np.float32)
        m = None if m is None else m.astype(np.float16).astype(np.float32)
    safe = np.where(d == 0, np.float32(1), d)[..., None]
    if m is not None:
        q = np.clip(np.rint((blocks - m[..., None]) / safe), 0, top)
    else:
        low = -127 if kind == "q8_0" else 0
        q = np.clip(np.rint(blocks / safe) + ZERO[kind], low, 127 if kind == "q8_0" else top)
    return Quantized(kind, q.astype(np.int64), d.astype(np.float32), m)


def pack(blocks: Quantized, layout: Layout) -> bytes:
    """The rows' bytes in a layout."""
    out = io.BytesIO()
    letter = "e" if has_half_scales(blocks.kind, layout) else "f"
    for row in range(len(blocks.q)):
        scales = [struct.pack(f"<{letter}", d) for d in blocks.d[row]]
        minima = (
            [b""] * len(scales) if blocks.m is None else [struct.pack("<" + letter, m) for m in blocks.m[row]]
        )
        values = [_pack_values(blocks.kind, [int(q) for q in block], layout) for block in blocks.q[row]]
        if layout == "rows":
            out.write(b"".join(minima) + b"".join(scales) + b"".join(values))
        else:
            for parts in zip(scales, minima, values, strict=True):
                out.write(b"".join(parts))
    return out.getvalue()


def _pack_values(kind: Kind, q: Sequence[int], layout: Layout) -> bytes:
    if kind == "q8_0":
        return struct.pack("<32b", *q)
    high = b""
    if BITS[kind] == 5:
        high = struct.pack("<I", sum((value >> 4) << place for place, value in enumerate(q)))
    low = [value & 15 for value in q]
    if layout in ("rows", "old"):
        return high + bytes(low[2 * place] | low[2 * place + 1] << 4 for place in range(16))
    return high + bytes(low[place] | low[place + 16] << 4 for place in range(16))


@dataclass(frozen=True)
class Stored:
    """A tensor for `ggml_file`: `shape` row-major, `type` ggml's number."""

    name: str
    shape: tuple[int, ...]
    type: int
    data: bytes


def store(name: str, values: NDArray[np.float32], kind: Kind, layout: Layout) -> tuple[Stored, NDArray[Any]]:
    """The tensor as a file holds it, and the float32 numbers that it then means; vectors stay float32."""
    if values.ndim == 1 or kind == "f32":
        return Stored(name, values.shape, 0, values.astype("<f4").tobytes()), values
    if kind == "f16":
        half = values.astype("<f2")
        return Stored(name, values.shape, 1, half.tobytes()), half.astype(np.float32)
    blocks = quantize(kind, values, layout)
    return Stored(name, values.shape, TENSOR_TYPES[kind], pack(blocks, layout)), blocks.values()


def ggml_file(
    form: str,
    version: int,
    header: Sequence[int],
    tokens: Sequence[tuple[bytes, float]],
    tensors: Sequence[Stored],
) -> bytes:
    """A whole file; "ggml" has neither version nor scores, only "ggjt" is aligned."""
    out = io.BytesIO()
    out.write(struct.pack("<I", MAGICS[form]))
    if form != "ggml":
        out.write(struct.pack("<I", version))
    out.write(struct.pack(f"<{len(header)}I", *header))
    for text, score in tokens:
        out.write(struct.pack("<I", len(text)) + text)
        if form != "ggml":
            out.write(struct.pack("<f", score))
    for tensor in tensors:
        name = tensor.name.encode()
        out.write(struct.pack("<III", len(tensor.shape), len(name), tensor.type))
        out.write(struct.pack(f"<{len(tensor.shape)}I", *reversed(tensor.shape)) + name)
        if form == "ggjt":
            out.write(bytes(-out.tell() % 32))
        out.write(tensor.data)
    return out.getvalue()


def default_layout(form: str, version: int) -> Layout:
    """The layout that files of this form usually have."""
    return "old" if form != "ggjt" or version == 1 else "v2" if version == 2 else "v3"


def llama_tokens(n_tokens: int) -> list[tuple[bytes, float]]:
    """The tokens of the builders' LLaMA tokenizer as convert-pth-to-ggml.py wrote them."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=llama_tokenizer_model(n_tokens))
    tokens = []
    for token in range(model.vocab_size()):
        if model.is_unknown(token):
            text = " \u2047 ".encode()
        elif model.is_control(token):
            text = b""
        elif model.is_byte(token):
            text = bytes([int(model.id_to_piece(token)[3:-1], 16)])
        else:
            text = model.id_to_piece(token).replace("\u2581", " ").encode()
        tokens.append((text, model.get_score(token)))
    return tokens


LLAMA_NAMES = {
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "output",
    "input_layernorm": "attention_norm",
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}
BLOOM_NAMES = {
    "word_embeddings": "tok_embeddings",
    "word_embeddings_layernorm": "norm",
    "input_layernorm": "attention_norm",
    "self_attention.query_key_value": "attention.query_key_value",
    "self_attention.dense": "attention.wo",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "feed_forward.w1",
    "mlp.dense_4h_to_h": "feed_forward.w2",
    "ln_f": "output_norm",
    "lm_head": "output",
}


def ggml_name(name: str, names: Mapping[str, str]) -> str:
    """2023's name of a tensor of transformers."""
    name = name.removeprefix("transformer.")
    stem, kind = name.rsplit(".", 1)
    if stem in names:
        return f"{names[stem]}.{kind}"
    layer, module = stem.split(".layers." if ".layers." in stem else "h.", 1)[1].split(".", 1)
    return f"layers.{layer}.{names[module]}.{kind}"


def to_rotary_pairs(rows: NDArray[np.float32], n_head: int) -> NDArray[np.float32]:
    """transformers' q or k rows in Meta's order: the two halves of each head become neighbours."""
    heads = rows.reshape(n_head, 2, -1, rows.shape[1])
    return heads.transpose(0, 2, 1, 3).reshape(rows.shape)


def from_rotary_pairs(rows: NDArray[np.float32], n_head: int) -> NDArray[np.float32]:
    """The inverse of `to_rotary_pairs`."""
    heads = rows.reshape(n_head, -1, 2, rows.shape[1])
    return heads.transpose(0, 2, 1, 3).reshape(rows.shape)


def split_qkv(rows: NDArray[np.float32], n_head: int) -> NDArray[np.float32]:
    """BLOOM's rows `(n_head, 3, head_dim)` as all Q, all K, all V."""
    heads = rows.reshape(n_head, 3, -1, *rows.shape[1:])
    return np.concatenate([heads[:, part].reshape(-1, *rows.shape[1:]) for part in range(3)])


def join_qkv(rows: NDArray[np.float32], n_head: int) -> NDArray[np.float32]:
    """The inverse of `split_qkv`."""
    parts = [part.reshape(n_head, -1, *rows.shape[1:]) for part in np.split(rows, 3)]
    return np.stack(parts, axis=1).reshape(rows.shape)


def write_llama_ggml(
    path: Path,
    checkpoint: Checkpoint,
    *,
    form: str = "ggjt",
    version: int = 3,
    kind: Kind = "q4_0",
    layout: Layout | None = None,
    n_parts: int = 1,
    n_mult: int = N_MULT,
    tokens: Sequence[tuple[bytes, float]] | None = None,
    extra: Sequence[Stored] = (),
) -> Weights:
    """The checkpoint as llama.cpp's file or files; returns what they mean, in transformers' layout."""
    config, layout = checkpoint.config, layout or default_layout(form, version)
    n_embd, n_head = config["hidden_size"], config["num_attention_heads"]
    n_head_kv = config.get("num_key_value_heads") or n_head
    header = [config["vocab_size"], n_embd, n_mult, n_head, config["num_hidden_layers"], n_embd // n_head]
    header.append(FILE_TYPES[kind])
    written: Weights = {}
    parts: list[list[Stored]] = [list(extra) for _ in range(n_parts)]
    for name, weight in checkpoint.weights.items():
        if "rotary_emb" in name:
            continue
        heads = {"q_proj": n_head, "k_proj": n_head_kv}.get(name.split(".")[-2])
        rows = weight if heads is None else to_rotary_pairs(weight, heads)
        meant = _store_split(parts, ggml_name(name, LLAMA_NAMES), rows, kind, layout)
        written[name] = meant if heads is None else from_rotary_pairs(meant, heads)
    for number, tensors in enumerate(parts):
        part = path if number == 0 else path.with_name(f"{path.name}.{number}")
        known = llama_tokens(config["vocab_size"]) if tokens is None else tokens
        part.write_bytes(ggml_file(form, version, header, known, tensors))
    return written


def _store_split(
    parts: list[list[Stored]], name: str, values: NDArray[np.float32], kind: Kind, layout: Layout
) -> NDArray[np.float32]:
    """Add a tensor to every part: vectors whole, these three in columns, others in rows."""
    columns = any(word in name for word in ("tok_embeddings", "attention.wo", "feed_forward.w2"))
    axis = 1 if columns else 0
    pieces = [values] * len(parts) if values.ndim == 1 else np.split(values, len(parts), axis=axis)
    meant = []
    for tensors, piece in zip(parts, pieces, strict=True):
        stored, numbers = store(name, np.ascontiguousarray(piece), kind, layout)
        tensors.append(stored)
        meant.append(numbers)
    return meant[0] if values.ndim == 1 else np.concatenate(meant, axis=axis)


def write_bloomz_ggml(
    path: Path,
    checkpoint: Checkpoint,
    *,
    kind: Kind = "q4_0",
    layout: Layout = "old",
    tokens: Sequence[bytes] | None = None,
    with_rotary_word: bool = False,
) -> Weights:
    """The checkpoint as bloomz.cpp's file; returns what it means, in transformers' layout.

    with_rotary_word: the header of its first days, which still had LLaMA's n_rot.
    """
    config = checkpoint.config
    n_embd, n_head = config["hidden_size"], config["n_head"]
    header = [config["vocab_size"], n_embd, 1, n_head, config["n_layer"]]
    header += [n_embd // n_head] if with_rotary_word else []
    header.append(FILE_TYPES[kind])
    written: Weights = {}
    tensors: list[Stored] = []
    for name, weight in checkpoint.weights.items():
        fused = "query_key_value" in name
        rows = split_qkv(weight, n_head) if fused else weight
        stored, meant = store(ggml_name(name, BLOOM_NAMES), rows, kind, layout)
        tensors.append(stored)
        written[name] = join_qkv(meant, n_head) if fused else meant
    if tokens is None:
        tokens = [f"t{token}".encode() for token in range(config["vocab_size"])]
    path.write_bytes(ggml_file("ggml", 0, header, [(text, 0.0) for text in tokens], tensors))
    return written
