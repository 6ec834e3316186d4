"""LLaMA's forward pass, slow and obvious, straight from the Hugging Face layout (paper: arXiv 2302.13971).

Qwen2 and Qwen3 compute the same, with biases and norms of queries and keys where there are weights for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def logits(config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], ids: Sequence[int]) -> Array:
    """Logits of every position, `(len(ids), n_vocab)`, in float64."""
    table = {name.removeprefix("model."): np.asarray(w, np.float64) for name, w in weights.items()}
    n_head = config["num_attention_heads"]
    n_head_kv = config.get("num_key_value_heads") or n_head
    head_dim = config.get("head_dim") or config["hidden_size"] // n_head
    eps = config.get("rms_norm_eps", 1e-6)
    angles = np.arange(len(ids))[:, None] * frequencies(config, head_dim)[None, :]
    magnitude = yarn_magnitude(rope_settings(config))

    def rotate(x: Array) -> Array:
        return _rotate(x, angles) * magnitude

    def norm(name: str, x: Array) -> Array:
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * table[name + ".weight"]

    def linear(name: str, x: Array) -> Array:
        return x @ table[name + ".weight"].T + table.get(name + ".bias", np.zeros(1))

    x = table["embed_tokens.weight"][list(ids)]
    for layer in range(config["num_hidden_layers"]):
        block = f"layers.{layer}."
        y = norm(block + "input_layernorm", x)
        q, k, v = (
            linear(block + f"self_attn.{part}_proj", y).reshape(len(ids), -1, head_dim) for part in "qkv"
        )
        if block + "self_attn.q_norm.weight" in table:
            q, k = norm(block + "self_attn.q_norm", q), norm(block + "self_attn.k_norm", k)
        mixed = _attention(rotate(q), rotate(k), v, n_head // n_head_kv)
        x = x + linear(block + "self_attn.o_proj", mixed)
        y = norm(block + "post_attention_layernorm", x)
        gate = linear(block + "mlp.gate_proj", y)
        y = gate / (1.0 + np.exp(-gate)) * linear(block + "mlp.up_proj", y)
        x = x + linear(block + "mlp.down_proj", y)
    output = "embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"
    return norm("norm", x) @ table[output].T


def frequencies(config: Mapping[str, Any], head_dim: int) -> Array:
    """Radians a position, for each pair of dimensions, scaled as transformers defines it."""
    scaling = rope_settings(config)
    theta = scaling["rope_theta"]
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    result = []
    for pair in range(head_dim // 2):
        frequency = 1.0 / theta ** (2 * pair / head_dim)
        if kind == "linear":
            frequency /= scaling["factor"]
        elif kind == "llama3":
            frequency = _llama3(frequency, scaling)
        elif kind == "yarn":
            frequency = _yarn(frequency, pair, head_dim, scaling)
        result.append(frequency)
    return np.array(result)


def rope_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary settings from any of the places that config.json has for them."""
    found = config.get("rope_scaling") or config.get("rope_parameters") or {}
    return {
        "rope_theta": config.get("rope_theta", 10000.0),
        "original_max_position_embeddings": config.get("max_position_embeddings"),
        **found,
    }


def yarn_magnitude(scaling: Mapping[str, Any]) -> float:
    """What sine and cosine are multiplied with (arXiv 2309.00071, section 3.4)."""
    if scaling.get("rope_type", scaling.get("type")) != "yarn":
        return 1.0
    if scaling.get("attention_factor"):
        return float(scaling["attention_factor"])
    factor = math.log(scaling["factor"]) / 10
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return (1 + scaling["mscale"] * factor) / (1 + scaling["mscale_all_dim"] * factor)
    return 1 + factor


def _yarn(frequency: float, pair: int, head_dim: int, scaling: Mapping[str, Any]) -> float:
    """Divided by the factor where a dimension turns less than once in the old context, kept where it turns
    more than 32 times, and a mix between.
    """
    context = scaling["original_max_position_embeddings"]

    def dimension(turns: float) -> float:
        return head_dim * math.log(context / (2 * math.pi * turns)) / (2 * math.log(scaling["rope_theta"]))

    first, last = max(0, math.floor(dimension(32))), min(head_dim - 1, math.ceil(dimension(1)))
    slow = min(1.0, max(0.0, (pair - first) / max(1e-3, last - first)))
    return float(frequency * (1 - slow) + frequency / scaling["factor"] * slow)


def _llama3(frequency: float, scaling: Mapping[str, Any]) -> float:
    wavelength = 2 * math.pi / frequency
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    context = scaling["original_max_position_embeddings"]
    if wavelength < context / high:
        return frequency
    if wavelength > context / low:
        return frequency / float(scaling["factor"])
    smooth = (context / wavelength - low) / (high - low)
    return float((1 - smooth) * frequency / scaling["factor"] + smooth * frequency)


def _rotate(x: Array, angles: Array) -> Array:
    """Rotate dimension i with i + head_dim / 2; `x` is `(T, heads, head_dim)`."""
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _attention(q: Array, k: Array, v: Array, n_shared: int) -> Array:
    """Causal attention; each key/value head serves `n_shared` query heads."""
    n_tokens, n_head, head_dim = q.shape
    hidden = np.triu(np.ones((n_tokens, n_tokens), bool), 1)
    out = np.empty_like(q)
    for head in range(n_head):
        scores = q[:, head] @ k[:, head // n_shared].T / np.sqrt(head_dim)
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        out[:, head] = weights / weights.sum(axis=-1, keepdims=True) @ v[:, head // n_shared]
    return out.reshape(n_tokens, -1)
