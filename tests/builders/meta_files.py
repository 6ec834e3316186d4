"""A LLaMA checkpoint as Meta handed its own out: params.json and consolidated.NN.pth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint
from builders.ggml_files import LLAMA_NAMES, ggml_name, to_rotary_pairs
from builders.torch_zip import write_torch_zip

IN_COLUMNS = ("tok_embeddings", "attention.wo", "feed_forward.w2")


def write_meta(
    folder: Path, checkpoint: Checkpoint, *, n_parts: int = 1, bf16: bool = False, **params: Any
) -> None:
    """The model in `n_parts` files; `params` are settings of params.json, None removes one."""
    config = checkpoint.config
    n_head = config["num_attention_heads"]
    n_head_kv = config.get("num_key_value_heads") or n_head
    parts: list[dict[str, NDArray[np.float32]]] = [{} for _ in range(n_parts)]
    for name, weight in checkpoint.weights.items():
        if "rotary_emb" in name:
            continue
        heads = {"q_proj": n_head, "k_proj": n_head_kv}.get(name.split(".")[-2])
        rows = weight if heads is None else to_rotary_pairs(weight, heads)
        known = ggml_name(name, LLAMA_NAMES)
        axis = 1 if any(word in known for word in IN_COLUMNS) else 0
        pieces = [rows] * n_parts if rows.ndim == 1 else np.split(rows, n_parts, axis=axis)
        for part, piece in zip(parts, pieces, strict=True):
            part[known] = np.ascontiguousarray(piece)
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        part["rope.freqs"] = np.ones(config["hidden_size"] // n_head // 2, np.float32)
        write_torch_zip(folder / f"consolidated.{number:02d}.pth", part, bf16=bf16)
    usual = {
        "dim": config["hidden_size"],
        "multiple_of": 32,
        "n_heads": n_head,
        "n_kv_heads": config.get("num_key_value_heads"),
        "n_layers": config["num_hidden_layers"],
        "norm_eps": config["rms_norm_eps"],
        "vocab_size": -1,
    }
    values = {name: value for name, value in (usual | params).items() if value is not None}
    (folder / "params.json").write_text(json.dumps(values))
