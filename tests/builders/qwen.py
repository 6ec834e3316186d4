"""Tiny random Qwen2 and Qwen3 checkpoints, as `checkpoints` makes the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from builders.checkpoints import Checkpoint, Dtype, finish_checkpoint, gated_shapes, random_weights
from builders.tokenizers import write_bloom_tokenizer


def write_qwen(
    folder: Path,
    *,
    family: Literal["qwen2", "qwen3"] = "qwen3",
    dtype: Dtype = "f32",
    n_shards: int = 1,
    n_tokens: int = 400,
    n_vocab: int | None = None,
    hidden: int = 64,
    n_head: int = 4,
    n_head_kv: int = 2,
    head_dim: int | None = None,
    n_layer: int = 2,
    n_ff: int = 96,
    tied: bool = False,
    tokenizer: bool = True,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A Qwen2 or Qwen3 checkpoint, like `write_bloom`, its tokenizer included; `head_dim` is Qwen3's."""
    rows = n_tokens if n_vocab is None else n_vocab
    settings: dict[str, Any] = {
        "architectures": [f"{family.title()}ForCausalLM"],
        "model_type": family,
        "vocab_size": rows,
        "hidden_size": hidden,
        "intermediate_size": n_ff,
        "num_attention_heads": n_head,
        "num_key_value_heads": n_head_kv,
        "num_hidden_layers": n_layer,
        "max_position_embeddings": 32768,
        "max_window_layers": n_layer,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "sliding_window": 4096,
        "use_sliding_window": False,
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    width = head_dim or hidden // n_head
    if family == "qwen3":
        settings |= {"head_dim": width, "attention_bias": False}
    shapes = gated_shapes(settings, width)
    for layer in range(n_layer):
        block = f"model.layers.{layer}.self_attn"
        if family == "qwen2":
            shapes |= {
                f"{block}.{part}_proj.bias": shapes[f"{block}.{part}_proj.weight"][:1] for part in "qkv"
            }
        else:
            shapes |= {f"{block}.{part}_norm.weight": (width,) for part in "qk"}
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer:
        write_bloom_tokenizer(folder, n_tokens)
    return finish_checkpoint(folder, settings, config, random_weights(shapes, dtype, seed), dtype, n_shards)
