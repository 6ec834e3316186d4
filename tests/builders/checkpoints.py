"""Tiny random Hugging Face checkpoints, complete enough to convert, load and run.

`write_bloom` and `write_llama` write a folder (config.json, model.safetensors or shards with their index,
tokenizer files) and return what was written, so that a test can compute with the same numbers; so does
`write_qwen` in `qwen`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from builders.tokenizers import write_bloom_tokenizer, write_llama_tokenizer

Dtype = Literal["f32", "f16", "bf16"]
Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk; `weights` (float32) hold exactly what the files hold, rounding included."""

    folder: Path
    config: dict[str, Any]
    weights: Weights
    dtype: Dtype


def write_bloom(
    folder: Path,
    *,
    dtype: Dtype = "f32",
    n_shards: int = 1,
    prefix: str = "transformer.",
    n_tokens: int = 400,
    n_vocab: int | None = None,
    hidden: int = 64,
    n_head: int = 4,
    n_layer: int = 2,
    lm_head: bool = False,
    tokenizer: bool = True,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A BLOOM checkpoint. `n_tokens` is the tokenizer's size, `n_vocab` (default: the same) the embedding's.

    `prefix` is "transformer." (BloomForCausalLM) or "" (BloomModel); `lm_head` also stores the tied output;
    `config` overrides or adds settings (None removes one).
    """
    rows = n_tokens if n_vocab is None else n_vocab
    settings: dict[str, Any] = {
        "architectures": ["BloomForCausalLM" if prefix or lm_head else "BloomModel"],
        "model_type": "bloom",
        "vocab_size": rows,
        "hidden_size": hidden,
        "n_head": n_head,
        "n_layer": n_layer,
        "layer_norm_epsilon": 1e-5,
        "apply_residual_connection_post_layernorm": False,
        "seq_length": 2048,
        "pretraining_tp": 1,
        "slow_but_exact": False,
        "unk_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "word_embeddings.weight": (rows, hidden),
        "word_embeddings_layernorm.weight": (hidden,),
        "word_embeddings_layernorm.bias": (hidden,),
    }
    for layer in range(n_layer):
        for name, shape in {
            "input_layernorm": (hidden,),
            "self_attention.query_key_value": (3 * hidden, hidden),
            "self_attention.dense": (hidden, hidden),
            "post_attention_layernorm": (hidden,),
            "mlp.dense_h_to_4h": (4 * hidden, hidden),
            "mlp.dense_4h_to_h": (hidden, 4 * hidden),
        }.items():
            shapes[f"h.{layer}.{name}.weight"] = shape
            shapes[f"h.{layer}.{name}.bias"] = shape[:1]
    shapes |= {"ln_f.weight": (hidden,), "ln_f.bias": (hidden,)}
    weights = {prefix + name: array for name, array in random_weights(shapes, dtype, seed).items()}
    if lm_head:
        weights["lm_head.weight"] = weights[prefix + "word_embeddings.weight"]
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer:
        write_bloom_tokenizer(folder, n_tokens)
    return finish_checkpoint(folder, settings, config, weights, dtype, n_shards)


def write_llama(
    folder: Path,
    *,
    dtype: Dtype = "f32",
    n_shards: int = 1,
    n_tokens: int = 520,
    n_vocab: int | None = None,
    hidden: int = 64,
    n_head: int = 4,
    n_head_kv: int | None = None,
    n_layer: int = 2,
    n_ff: int = 96,
    tied: bool = False,
    rotary_buffers: bool = True,
    tokenizer: bool = True,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A LLaMA checkpoint, like `write_bloom`; `rotary_buffers` stores `inv_freq` as files of 2023 do."""
    rows = n_tokens if n_vocab is None else n_vocab
    kv_heads = n_head if n_head_kv is None else n_head_kv
    settings: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": rows,
        "hidden_size": hidden,
        "intermediate_size": n_ff,
        "num_attention_heads": n_head,
        "num_key_value_heads": kv_heads,
        "num_hidden_layers": n_layer,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if n_head_kv is None:
        del settings["num_key_value_heads"]
    head_dim = int((config or {}).get("head_dim") or hidden // n_head)
    shapes = gated_shapes(settings, head_dim)
    weights = random_weights(shapes, dtype, seed)
    if rotary_buffers:
        frequencies = 1.0 / 10000.0 ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
        for layer in range(n_layer):
            name = f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"
            weights[name] = round_to(dtype, frequencies.astype(np.float32))
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer:
        write_llama_tokenizer(folder, n_tokens)
    return finish_checkpoint(folder, settings, config, weights, dtype, n_shards)


def gated_shapes(settings: Mapping[str, Any], head_dim: int) -> dict[str, tuple[int, ...]]:
    """The tensors that LLaMA and Qwen have in common."""
    rows, hidden, n_ff = settings["vocab_size"], settings["hidden_size"], settings["intermediate_size"]
    n_head = settings["num_attention_heads"]
    n_q, n_kv = n_head * head_dim, settings.get("num_key_value_heads", n_head) * head_dim
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, hidden)}
    for layer in range(settings["num_hidden_layers"]):
        for name, shape in {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (n_q, hidden),
            "self_attn.k_proj": (n_kv, hidden),
            "self_attn.v_proj": (n_kv, hidden),
            "self_attn.o_proj": (hidden, n_q),
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": (n_ff, hidden),
            "mlp.up_proj": (n_ff, hidden),
            "mlp.down_proj": (hidden, n_ff),
        }.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    shapes["model.norm.weight"] = (hidden,)
    if not settings["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (rows, hidden)
    return shapes


def random_weights(shapes: Mapping[str, tuple[int, ...]], dtype: Dtype, seed: int) -> Weights:
    """Seeded weights: norms near one, biases small, matrices scaled to keep activations near one."""
    random = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in shapes.items():
        values = random.standard_normal(shape).astype(np.float32)
        if len(shape) == 1:
            values = np.float32(0.1) * values + np.float32(0.0 if name.endswith("bias") else 1.0)
        elif "embed" not in name:
            values *= np.float32(1.0 / np.sqrt(shape[1]))
        weights[name] = round_to(dtype, values)
    return weights


def round_to(dtype: Dtype, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values as `dtype` would hold them, widened back to float32."""
    if dtype == "f16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "bf16":
        return (bf16_bits(values).astype(np.uint32) << 16).view(np.float32)
    return values


def bf16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Finite float32 to bfloat16 bits, to nearest even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_weights(folder: Path, weights: Weights, dtype: Dtype = "f32", n_shards: int = 1) -> None:
    """`model.safetensors`, or `n_shards` shards and `model.safetensors.index.json`."""
    if n_shards == 1:
        write_safetensors(folder / "model.safetensors", weights, dtype)
        return
    names = list(weights)
    step = -(-len(names) // n_shards)
    weight_map: dict[str, str] = {}
    for shard in range(n_shards):
        file = f"model-{shard + 1:05d}-of-{n_shards:05d}.safetensors"
        part = names[shard * step : (shard + 1) * step]
        write_safetensors(folder / file, {name: weights[name] for name in part}, dtype)
        weight_map |= dict.fromkeys(part, file)
    total = sum(array.size for array in weights.values()) * (4 if dtype == "f32" else 2)
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": weight_map},
    )


def write_safetensors(path: Path, weights: Weights, dtype: Dtype) -> None:
    """One file, by the safetensors library; its numpy interface lacks bfloat16: the header is renamed."""
    from safetensors.numpy import save

    if dtype == "f32":
        data = save(dict(weights), metadata={"format": "pt"})
    elif dtype == "f16":
        data = save({name: array.astype(np.float16) for name, array in weights.items()})
    else:
        data = save({name: bf16_bits(array) for name, array in weights.items()})
        (size,) = struct.unpack_from("<Q", data)
        header = data[8 : 8 + size].replace(b'"dtype":"U16"', b'"dtype":"BF16"')
        header += b" " * (-len(header) % 8)
        data = struct.pack("<Q", len(header)) + header + data[8 + size :]
    path.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """UTF-8 JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def finish_checkpoint(
    folder: Path,
    settings: dict[str, Any],
    overrides: Mapping[str, Any] | None,
    weights: Weights,
    dtype: Dtype,
    n_shards: int,
) -> Checkpoint:
    """Write config.json and the weights; `overrides` as the writers' `config`."""
    settings["torch_dtype"] = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[dtype]
    settings = {
        name: value for name, value in (settings | dict(overrides or {})).items() if value is not None
    }
    write_json(folder / "config.json", settings)
    write_weights(folder, weights, dtype, n_shards)
    return Checkpoint(folder, settings, weights, dtype)
