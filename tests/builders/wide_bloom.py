"""A BLOOM checkpoint of gigabytes, for measurements: BLOOM-7B1's width, random rows, repeated."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from builders.checkpoints import write_bloom

ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
_WIDTH, _N_HEADS = 4096, 32
_BLOCK_BYTES = 16 << 20


def shapes(n_layers: int, n_vocab: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a BLOOM of this width, by their names."""
    found: dict[str, tuple[int, ...]] = {"word_embeddings.weight": (n_vocab, _WIDTH)}
    vectors = ["word_embeddings_layernorm", "ln_f"]
    for layer in range(n_layers):
        prefix = f"h.{layer}."
        vectors += [prefix + "input_layernorm", prefix + "post_attention_layernorm"]
        for name, rows, columns in (
            ("self_attention.query_key_value", 3 * _WIDTH, _WIDTH),
            ("self_attention.dense", _WIDTH, _WIDTH),
            ("mlp.dense_h_to_4h", 4 * _WIDTH, _WIDTH),
            ("mlp.dense_4h_to_h", _WIDTH, 4 * _WIDTH),
        ):
            found[f"{prefix}{name}.weight"] = (rows, columns)
            found[f"{prefix}{name}.bias"] = (rows,)
    for name in vectors:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (_WIDTH,)
    return {f"transformer.{name}": shape for name, shape in found.items()}


def write_wide_bloom(folder: Path, n_layers: int, n_vocab: int, dtype: str) -> int:
    """Write one into `folder`, its weights all of `dtype`; returns their size in bytes."""
    write_bloom(folder, n_tokens=400, n_vocab=512, hidden=64)
    config = json.loads((folder / "config.json").read_text())
    config |= {"vocab_size": n_vocab, "hidden_size": _WIDTH, "n_head": _N_HEADS, "n_layer": n_layers}
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in shapes(n_layers, n_vocab).items():
        start, end = end, end + ITEM_BYTES[dtype] * int(np.prod(shape))
        header[name] = {"dtype": dtype.upper(), "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    values = np.random.default_rng(0).standard_normal(_BLOCK_BYTES // 4, dtype=np.float32)
    halves = {"f16": values.astype(np.float16), "bf16": values.view(np.uint16)[1::2]}
    block = halves.get(dtype, values).tobytes()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, end, len(block)):
            file.write(block[: end - start])
        file.flush()
        os.fsync(file.fileno())
    return end
