"""A checkpoint of some hundred kilobytes that is computed, not trained, and can say one sentence.

It is a real BLOOM in every file and shape, with one layer. Attention is switched off; what the layer does
with a token that the sentence knows is to take its direction away and to add the next one's. So each word
leads to the next, and the last one to the end token. The margins are so wide that no quantization blurs them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

WORDS = ("转换", "之后", "也能", "回答", "。")
"""What it says to everything put to it in BELLE's format, whose last character is a colon."""

_FIRST = ":"
_SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
_MERGE = ("s", "s")
_END = _SPECIAL.index("</s>")
_HIDDEN = 64
_INNER = 4 * _HIDDEN
_PUSH = 10.0
_PATTERN = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def write_checkpoint(folder: Path) -> None:
    """Write the files into `folder`. Raises OSError."""
    alphabet = _alphabet()
    tokens = [*_SPECIAL, *alphabet.values(), "".join(_MERGE), *(_spelled(word, alphabet) for word in WORDS)]
    chain = [tokens.index(_spelled(word, alphabet)) for word in (_FIRST, *WORDS)] + [_END]
    files = {
        "config.json": _config(len(tokens)),
        "tokenizer.json": _tokenizer(tokens),
        "tokenizer_config.json": {"tokenizer_class": "BloomTokenizerFast", "eos_token": _SPECIAL[_END]},
    }
    for name, content in files.items():
        folder.joinpath(name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    folder.joinpath("model.safetensors").write_bytes(_safetensors(_weights(len(tokens), chain)))


def _config(n_tokens: int) -> dict[str, object]:
    return {
        "architectures": ["BloomForCausalLM"],
        "model_type": "bloom",
        "vocab_size": n_tokens,
        "hidden_size": _HIDDEN,
        "n_head": 2,
        "n_layer": 1,
        "layer_norm_epsilon": 1e-5,
        "apply_residual_connection_post_layernorm": False,
        "seq_length": 2048,
        "unk_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": _END,
        "pad_token_id": 3,
    }


def _tokenizer(tokens: Sequence[str]) -> dict[str, object]:
    """BLOOM's tokenizer of single bytes, with one merge of two: the longer words are only ever said."""
    special = ("single_word", "lstrip", "rstrip", "normalized")
    added = [
        {"id": index, "content": token, **dict.fromkeys(special, False), "special": True}
        for index, token in enumerate(_SPECIAL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Isolated", "invert": False}
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [" ".join(_MERGE)]},
    }


def _weights(n_tokens: int, chain: Sequence[int]) -> dict[str, tuple[tuple[int, ...], bytes]]:
    """Name -> shape and half-precision bytes. chain: token ids in the order they are said."""
    steps = range(len(chain))
    embeddings = {(token, step): 1.0 for step, token in enumerate(chain)}
    away = {(step, step): -_PUSH for step in steps[:-1]}
    onwards = {(step + 1, step): _PUSH for step in steps[:-1]}
    layer, ones = "transformer.h.0.", [1.0] * _HIDDEN
    weights = {
        "transformer.word_embeddings.weight": _matrix(n_tokens, _HIDDEN, embeddings),
        f"{layer}self_attention.query_key_value.weight": _matrix(3 * _HIDDEN, _HIDDEN, {}),
        f"{layer}self_attention.query_key_value.bias": _vector([0.0] * 3 * _HIDDEN),
        f"{layer}self_attention.dense.weight": _matrix(_HIDDEN, _HIDDEN, {}),
        f"{layer}self_attention.dense.bias": _vector([0.0] * _HIDDEN),
        f"{layer}mlp.dense_h_to_4h.weight": _matrix(_INNER, _HIDDEN, {(step, step): 1.0 for step in steps}),
        f"{layer}mlp.dense_h_to_4h.bias": _vector([0.0] * _INNER),
        f"{layer}mlp.dense_4h_to_h.weight": _matrix(_HIDDEN, _INNER, away | onwards),
        f"{layer}mlp.dense_4h_to_h.bias": _vector([0.0] * _HIDDEN),
    }
    norms = ("transformer.word_embeddings_layernorm", "transformer.ln_f")
    for norm in (*norms, f"{layer}input_layernorm", f"{layer}post_attention_layernorm"):
        weights[f"{norm}.weight"] = _vector(ones)
        weights[f"{norm}.bias"] = _vector([0.0] * _HIDDEN)
    return weights


def _matrix(
    n_rows: int, n_columns: int, entries: Mapping[tuple[int, int], float]
) -> tuple[tuple[int, ...], bytes]:
    """Zeros but for `entries`, which are by row and column."""
    data = bytearray(2 * n_rows * n_columns)
    for (row, column), value in entries.items():
        struct.pack_into("<e", data, 2 * (row * n_columns + column), value)
    return (n_rows, n_columns), bytes(data)


def _vector(values: Sequence[float]) -> tuple[tuple[int, ...], bytes]:
    return (len(values),), struct.pack(f"<{len(values)}e", *values)


def _safetensors(tensors: Mapping[str, tuple[tuple[int, ...], bytes]]) -> bytes:
    """u64 length of the header, the header as JSON, the bytes (huggingface.co/docs/safetensors)."""
    header, offset = {}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": (offset, offset + len(data))}
        offset += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values())


def _alphabet() -> dict[int, str]:
    """Byte -> the character that byte-level tokenizers write for it: itself if it is printable in Latin-1."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return {byte: chr(byte if byte in printable else next(others)) for byte in range(256)}


def _spelled(word: str, alphabet: Mapping[int, str]) -> str:
    return "".join(alphabet[byte] for byte in word.encode())
