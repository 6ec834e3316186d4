"""What LLaMA and the families after it have in common: rotary positions, grouped-query attention, RMS norms
and a gated feed-forward part.

Knows no family: each says what it reads by default, which modules have biases and how GGUF wants its rows.
Names and layouts: transformers `modeling_llama.py`; GGUF names and keys: llama.cpp `conversion/base.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import MappedTensor, MetadataValue
from convert.arch.config import MAX_CONTEXT, MAX_HEADS, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, ConfigReader
from convert.arch.rope import ComputedTensor, Rope, read_rope
from convert.arch.table import TensorTable
from convert.errors import InvalidConfig
from convert.notes import Note
from convert.sources.tensors import Tensor

BUFFERS = re.compile(r"(layers\.\d+\.self_attn\.)?rotary_emb\.(inv_freq|cos_cached|sin_cached)")
"""Frequencies that follow from the config; checkpoints of 2023 saved them with the weights."""

_MAX_QUERY_ROWS = 8 * MAX_WIDTH

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@dataclass(frozen=True)
class GatedTransformer:
    """The settings of one model; None stands for what config.json leaves to its default.

    biased: modules of a layer that have a bias. notes: see `Architecture`.
    """

    n_vocab: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int | None
    head_dim: int | None
    n_layer: int
    n_context: int
    norm_eps: float
    rope: Rope
    tied: bool
    biased: frozenset[str]
    notes: tuple[Note, ...]

    @classmethod
    def read(
        cls,
        reader: ConfigReader,
        *,
        n_context: int,
        n_head_kv: int | None = None,
        head_dim: int | None = None,
        biased: frozenset[str] = frozenset(),
        stores_factors: bool = False,
    ) -> Self:
        """Read config.json; the numbers are the family's defaults. stores_factors: see `read_rope`.

        Raises `InvalidConfig` or `UnsupportedModel`.
        """
        reader.require("hidden_act", ["silu", "swish"])
        reader.require("partial_rotary_factor", [1.0])
        reader.require("is_causal", [True])
        stated = reader.integer(["max_position_embeddings"], high=MAX_CONTEXT, default=n_context)
        rope = read_rope(reader, stated, stores_factors=stores_factors)
        model = cls(
            n_vocab=reader.integer(["vocab_size"], high=MAX_VOCAB),
            n_embd=reader.integer(["hidden_size"], high=MAX_WIDTH),
            n_ff=reader.integer(["intermediate_size"], high=8 * MAX_WIDTH),
            n_head=reader.integer(["num_attention_heads"], high=MAX_HEADS),
            n_head_kv=reader.integer(["num_key_value_heads"], high=MAX_HEADS, default=n_head_kv or 0) or None,
            head_dim=reader.integer(["head_dim"], high=MAX_WIDTH, default=head_dim or 0) or None,
            n_layer=reader.integer(["num_hidden_layers"], high=MAX_LAYERS),
            n_context=rope.n_context,
            norm_eps=reader.number("rms_norm_eps", low=1e-12, high=1.0, default=1e-6),
            rope=rope,
            tied=reader.flag("tie_word_embeddings", default=False),
            biased=biased,
            notes=rope.notes,
        )
        model._check_heads(reader.path)
        return model

    def _check_heads(self, path: Path) -> None:
        if self.head_dim is None and self.n_embd % self.n_head:
            found = f"{self.n_head}, which does not divide {self.n_embd}"
            raise InvalidConfig(path, "num_attention_heads", found)
        if self.n_head % self.kv_heads:
            found = f"{self.kv_heads}, which does not divide {self.n_head}"
            raise InvalidConfig(path, "num_key_value_heads", found)
        if self.rope_dim % 2 or self.n_head * self.rope_dim > _MAX_QUERY_ROWS:
            raise InvalidConfig(path, "head_dim", str(self.rope_dim))

    @property
    def rope_dim(self) -> int:
        """Width of a head, all of which is rotated."""
        return self.head_dim or self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_head_kv or self.n_head

    def keys(self, name: str) -> dict[str, MetadataValue]:
        """The `<name>.*` keys in llama.cpp's order; what config.json does not decide is left out."""
        keys: dict[str, MetadataValue | None] = {
            "block_count": self.n_layer,
            "context_length": self.n_context,
            "embedding_length": self.n_embd,
            "feed_forward_length": self.n_ff,
            "attention.head_count": self.n_head,
            "attention.head_count_kv": self.n_head_kv,
            **{f"rope.scaling.{key}": value for key, value in self.rope.scaling.items()},
            "rope.freq_base": self.rope.theta,
            "attention.layer_norm_rms_epsilon": self.norm_eps,
            "attention.key_length": self.head_dim,
            "attention.value_length": self.head_dim,
        }
        return {f"{name}.{key}": value for key, value in keys.items() if value is not None}

    def map_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        """Embedding, the layers, the final norm, the output unless tied, rope factors where scaled."""
        table = TensorTable(path, tensors, prefix="model.")
        table.claim("embed_tokens.weight", "token_embd.weight", (self.n_vocab, self.n_embd))
        for layer in range(self.n_layer):
            self.claim_layer(table, layer)
        table.claim("norm.weight", "output_norm.weight", (self.n_embd,))
        if self.tied:
            table.drop("lm_head.weight")
        else:
            table.claim("lm_head.weight", "output.weight", (self.n_vocab, self.n_embd))
        table.drop_zeros("lm_head.bias", self.n_vocab)
        mapped = table.finish(BUFFERS)
        factors = self.rope.frequency_factors(self.rope_dim)
        if factors is not None:
            mapped.append(MappedTensor("rope_freqs.weight", ComputedTensor("rope_freqs.weight", factors)))
        return mapped

    def claim_layer(self, table: TensorTable, layer: int) -> None:
        """The tensors of one layer."""
        old, new = f"layers.{layer}", f"blk.{layer}"
        width, n_q, n_kv = self.n_embd, self.n_head * self.rope_dim, self.kv_heads * self.rope_dim
        q_order, k_order = self.row_order(self.n_head), self.row_order(self.kv_heads)
        table.claim(f"{old}.input_layernorm.weight", f"{new}.attn_norm.weight", (width,))
        table.claim(f"{old}.post_attention_layernorm.weight", f"{new}.ffn_norm.weight", (width,))
        for name, gguf_name, shape, order in (
            ("self_attn.q_proj", "attn_q", (n_q, width), q_order),
            ("self_attn.k_proj", "attn_k", (n_kv, width), k_order),
            ("self_attn.v_proj", "attn_v", (n_kv, width), None),
            ("self_attn.o_proj", "attn_output", (width, n_q), None),
            ("mlp.gate_proj", "ffn_gate", (self.n_ff, width), None),
            ("mlp.up_proj", "ffn_up", (self.n_ff, width), None),
            ("mlp.down_proj", "ffn_down", (width, self.n_ff), None),
        ):
            table.claim(f"{old}.{name}.weight", f"{new}.{gguf_name}.weight", shape, order)
            if name in self.biased:
                table.claim(f"{old}.{name}.bias", f"{new}.{gguf_name}.bias", shape[:1], order)
            else:
                table.drop_zeros(f"{old}.{name}.bias", shape[0])

    def row_order(self, n_head: int) -> NDArray[np.int64] | None:
        """Source row of each row of queries or keys in the GGUF, where that is another order."""
        return None
