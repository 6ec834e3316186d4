"""BLOOM's forward pass, slow and obvious, straight from the Hugging Face layout (paper: arXiv 2211.05100)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def logits(config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], ids: Sequence[int]) -> Array:
    """Logits of every position, `(len(ids), n_vocab)`, in float64."""
    table = {name.removeprefix("transformer."): np.asarray(w, np.float64) for name, w in weights.items()}
    n_layer = config.get("n_layer") or config["num_hidden_layers"]
    n_head = config.get("n_head") or config["num_attention_heads"]
    eps = config.get("layer_norm_epsilon", 1e-5)

    def norm(name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
        return scaled * table[name + ".weight"] + table[name + ".bias"]

    def linear(name: str, x: Array) -> Array:
        return x @ table[name + ".weight"].T + table[name + ".bias"]

    x = norm("word_embeddings_layernorm", table["word_embeddings.weight"][list(ids)])
    for layer in range(n_layer):
        block = f"h.{layer}."
        qkv = linear(block + "self_attention.query_key_value", norm(block + "input_layernorm", x))
        mixed = _attention(qkv.reshape(len(ids), n_head, 3, -1), slopes(n_head))
        x = x + linear(block + "self_attention.dense", mixed)
        inner = linear(block + "mlp.dense_h_to_4h", norm(block + "post_attention_layernorm", x))
        x = x + linear(block + "mlp.dense_4h_to_h", _gelu(inner))
    output = "word_embeddings.weight" if config.get("tie_word_embeddings", True) else "lm_head.weight"
    return norm("ln_f", x) @ table[output].T


def slopes(n_head: int) -> Array:
    """ALiBi slopes (arXiv 2108.12409): a geometric sequence, completed from the next power of two."""
    below = 2 ** int(np.floor(np.log2(n_head)))
    first = [2.0 ** (-8.0 * (i + 1) / below) for i in range(below)]
    extra = [2.0 ** (-8.0 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)]
    return np.array((first + extra)[:n_head])


def _attention(qkv: Array, slope: Array) -> Array:
    """`(T, n_head, 3, head_dim)` to `(T, n_head * head_dim)`, causal, biased by distance."""
    n_tokens, n_head, _, head_dim = qkv.shape
    out = np.empty((n_tokens, n_head, head_dim))
    for head in range(n_head):
        q, k, v = (qkv[:, head, part] for part in range(3))
        scores = q @ k.T / np.sqrt(head_dim)
        distance = np.arange(n_tokens)[None, :] - np.arange(n_tokens)[:, None]
        scores = np.where(distance <= 0, scores + slope[head] * distance, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        out[:, head] = weights / weights.sum(axis=-1, keepdims=True) @ v
    return out.reshape(n_tokens, -1)


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
