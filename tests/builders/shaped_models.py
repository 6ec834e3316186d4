"""In-memory models with real layer structures and names but few rows, for the recipes and the pipeline.

Widths are what decides types, so only the number of rows is small; nothing here can be loaded and run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import NO_TEMPLATE, DefaultPrompt, Family, MappedTensor, MetadataValue
from convert.arch.bloom import BLOOM
from convert.arch.llama import LLAMA
from convert.arch.qwen2 import QWEN2
from convert.arch.qwen3 import QWEN3
from convert.notes import Note
from convert.plan import Plan, make_plan
from convert.sources.tensors import Tensor
from convert.tokenizers.vocabulary import TokenType, Vocabulary

N_ROWS = 8
N_VOCAB = 24


@dataclass(frozen=True)
class MemoryTensor:
    """A `Tensor` over an array; `rows_read` collects what was asked for."""

    name: str
    values: NDArray[np.float32]
    dtype: str = "f32"
    rows_read: list[tuple[int, int]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        if self.rows_read is not None:
            self.rows_read.append((start, stop))
        return np.ascontiguousarray(self.values[start:stop])


@dataclass(frozen=True)
class ShapedArchitecture:
    """An `Architecture` whose tensors are given."""

    family: Family
    keys: Mapping[str, MetadataValue]
    n_vocab: int = N_VOCAB
    n_context: int = 64
    has_fine_values: bool = False
    notes: tuple[Note, ...] = ()

    def default_prompt(self) -> DefaultPrompt:
        return NO_TEMPLATE

    def metadata(self) -> dict[str, MetadataValue]:
        return dict(self.keys)

    def map_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        raise NotImplementedError


@dataclass(frozen=True)
class ShapedModel:
    """An architecture with its tensors, ready to be planned."""

    architecture: ShapedArchitecture
    mapped: list[MappedTensor]

    def plan(self, target: str, **settings: Any) -> Plan:
        """`make_plan` with a vocabulary that fits."""
        defaults: dict[str, Any] = {
            "name": "Tiny",
            "license": "apache-2.0",
            "chat_template": "{{ messages }}",
            "tokenizer_path": Path("tokenizer.json"),
        }
        vocabulary = settings.pop("vocabulary", None) or tiny_vocabulary(self.architecture.n_vocab)
        return make_plan(self.architecture, self.mapped, vocabulary, target=target, **(defaults | settings))


def tiny_vocabulary(n_tokens: int) -> Vocabulary:
    """A byte-level vocabulary of made-up tokens."""
    return Vocabulary(
        model="gpt2",
        pre="bloom",
        tokens=[f"token{index}" for index in range(n_tokens)],
        types=[TokenType.NORMAL] * n_tokens,
        merges=["t o", "to k"],
        eos_id=2,
    )


def bloom_shaped(
    width: int, n_layers: int, *, ff_width: int | None = None, tied: bool = True, seed: int = 0
) -> ShapedModel:
    """A BLOOM's tensors: fused QKV, biases, embedding norm; `ff_width` defaults to 4 * width."""
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (N_VOCAB, width),
        "token_embd_norm.weight": (width,),
        "token_embd_norm.bias": (width,),
    }
    for layer in range(n_layers):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (width,),
            f"blk.{layer}.attn_qkv.weight": (N_ROWS, width),
            f"blk.{layer}.attn_qkv.bias": (N_ROWS,),
            f"blk.{layer}.attn_output.weight": (N_ROWS, width),
            f"blk.{layer}.ffn_norm.weight": (width,),
            f"blk.{layer}.ffn_up.weight": (N_ROWS, width),
            f"blk.{layer}.ffn_down.weight": (N_ROWS, ff_width or 4 * width),
            f"blk.{layer}.ffn_down.bias": (N_ROWS,),
        }
    if not tied:
        shapes["output.weight"] = (N_VOCAB, width)
    shapes["output_norm.weight"] = (width,)
    keys: dict[str, MetadataValue] = {
        "bloom.context_length": 64,
        "bloom.embedding_length": width,
        "bloom.feed_forward_length": ff_width or 4 * width,
        "bloom.block_count": n_layers,
        "bloom.attention.head_count": 4,
        "bloom.attention.head_count_kv": 4,
        "bloom.attention.layer_norm_epsilon": 1e-5,
    }
    return ShapedModel(ShapedArchitecture(BLOOM, keys), _fill(shapes, random))


def llama_shaped(
    width: int,
    n_layers: int,
    *,
    ff_width: int | None = None,
    n_heads: int = 4,
    n_kv_heads: int = 4,
    head_dim: int | None = None,
    tied: bool = False,
    family: Family = LLAMA,
    seed: int = 0,
) -> ShapedModel:
    """The tensors of a LLaMA or of a `family` like it, and the keys that the family makes of such a config.

    `ff_width` defaults to 2 * width, `head_dim` to width / n_heads.
    """
    config = {
        "vocab_size": N_VOCAB,
        "hidden_size": width,
        "intermediate_size": ff_width or 2 * width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads,
        "head_dim": head_dim or width // n_heads,
        "max_position_embeddings": 64,
    }
    real = family.read(Path("config.json"), config)
    per_layer: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (N_ROWS, width),
        "attn_k.weight": (N_ROWS, width),
        "attn_v.weight": (N_ROWS, width),
        "attn_output.weight": (N_ROWS, n_heads * config["head_dim"]),
        "ffn_norm.weight": (width,),
        "ffn_gate.weight": (N_ROWS, width),
        "ffn_up.weight": (N_ROWS, width),
        "ffn_down.weight": (N_ROWS, config["intermediate_size"]),
    }
    if family is QWEN2:
        per_layer |= {f"attn_{part}.bias": (N_ROWS,) for part in "qkv"}
    if family is QWEN3:
        per_layer |= {f"attn_{part}_norm.weight": (config["head_dim"],) for part in "qk"}
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (N_VOCAB, width)}
    for layer in range(n_layers):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in per_layer.items()}
    shapes["output_norm.weight"] = (width,)
    if not tied:
        shapes["output.weight"] = (N_VOCAB, width)
    architecture = ShapedArchitecture(family, real.metadata(), has_fine_values=real.has_fine_values)
    return ShapedModel(architecture, _fill(shapes, np.random.default_rng(seed)))


def _fill(shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator) -> list[MappedTensor]:
    """Random weights that float16 holds exactly."""
    return [
        MappedTensor(
            name,
            MemoryTensor(name, (random.standard_normal(shape) * 0.05).astype(np.float16).astype(np.float32)),
        )
        for name, shape in shapes.items()
    ]
