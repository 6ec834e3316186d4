"""LLaMA: rotary positions, grouped-query attention, RMS norm, gated feed-forward.

Names and layouts: transformers `modeling_llama.py`; GGUF names and keys: llama.cpp `conversion/llama.py`.
Meta's own files and 2023's ggml files already have the row order that GGUF wants; this is for transformers'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import DefaultPrompt, Family, MappedTensor, MetadataValue
from convert.arch.config import MAX_CONTEXT, MAX_HEADS, MAX_LAYERS, MAX_VOCAB, MAX_WIDTH, ConfigReader
from convert.arch.rope import ComputedTensor, RopeScaling, read_rope_scaling
from convert.arch.table import TensorTable
from convert.errors import InvalidConfig
from convert.sources.tensors import Tensor
from engine.prompt import BASE, BELLE, BELLE_LLAMA

BUFFERS = re.compile(r"(layers\.\d+\.self_attn\.)?rotary_emb\.(inv_freq|cos_cached|sin_cached)")
"""Frequencies that follow from the config; checkpoints of 2023 saved them with the weights."""

# BELLE's extended vocabulary, whose 7B model was only pre-trained further, and its model of Llama 2.
_EXTENDED_VOCABULARY = 79_458
_WIDTH_7B = 4096
_LAYERS_70B = 80
_LLAMA2_CONTEXT = 4096


@dataclass(frozen=True)
class Llama:
    """A LLaMA; see `Architecture`. None stands for what config.json leaves to its default."""

    n_vocab: int
    n_embd: int
    n_ff: int
    n_head: int
    n_head_kv: int | None
    head_dim: int | None
    n_layer: int
    n_context: int
    norm_eps: float
    rope_theta: float | None
    rope_scaling: RopeScaling
    tied: bool
    attention_bias: bool
    mlp_bias: bool

    @property
    def family(self) -> Family:
        return LLAMA

    @property
    def has_fine_values(self) -> bool:
        """Llama 2's 70B and its like: eight heads share one small value matrix."""
        return self.n_layer == _LAYERS_70B and self._kv_heads != self.n_head

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read config.json, with 2023's `max_sequence_length` and today's `rope_parameters` alike."""
        reader = ConfigReader(path, config)
        reader.require("hidden_act", ["silu"])
        reader.require("partial_rotary_factor", [1.0])
        n_context = reader.integer(["max_sequence_length"], high=MAX_CONTEXT, default=2048)
        rope_theta, rope_scaling = read_rope_scaling(reader)
        model = cls(
            n_vocab=reader.integer(["vocab_size"], high=MAX_VOCAB),
            n_embd=reader.integer(["hidden_size"], high=MAX_WIDTH),
            n_ff=reader.integer(["intermediate_size"], high=8 * MAX_WIDTH),
            n_head=reader.integer(["num_attention_heads"], high=MAX_HEADS),
            n_head_kv=reader.integer(["num_key_value_heads"], high=MAX_HEADS, default=0) or None,
            head_dim=reader.integer(["head_dim"], high=MAX_WIDTH, default=0) or None,
            n_layer=reader.integer(["num_hidden_layers"], high=MAX_LAYERS),
            n_context=reader.integer(["max_position_embeddings"], high=MAX_CONTEXT, default=n_context),
            norm_eps=reader.number("rms_norm_eps", low=1e-12, high=1.0, default=1e-6),
            rope_theta=rope_theta,
            rope_scaling=rope_scaling,
            tied=reader.flag("tie_word_embeddings", default=False),
            attention_bias=reader.flag("attention_bias", default=False),
            mlp_bias=reader.flag("mlp_bias", default=False),
        )
        model._check_heads(path)
        return model

    def _check_heads(self, path: Path) -> None:
        if self.head_dim is None and self.n_embd % self.n_head:
            found = f"{self.n_head}, which does not divide {self.n_embd}"
            raise InvalidConfig(path, "num_attention_heads", found)
        if self.n_head % self._kv_heads:
            found = f"{self._kv_heads}, which does not divide {self.n_head}"
            raise InvalidConfig(path, "num_key_value_heads", found)
        if self._rope_dim % 2:
            raise InvalidConfig(path, "head_dim", str(self._rope_dim))

    def default_prompt(self) -> DefaultPrompt:
        """Those of BELLE's published models; of LLaMA-1 models by the date of their training."""
        if self.n_vocab == _EXTENDED_VOCABULARY:
            if self.n_embd == _WIDTH_7B:
                return DefaultPrompt(BASE.name, "llama-ext-base")
            return DefaultPrompt(BELLE_LLAMA.name, "llama-ext-chat")
        if self.n_context == _LLAMA2_CONTEXT:
            return DefaultPrompt(BELLE_LLAMA.name, "llama2")
        return DefaultPrompt(BELLE.name, "llama")

    @property
    def _rope_dim(self) -> int:
        return self.head_dim or self.n_embd // self.n_head

    @property
    def _kv_heads(self) -> int:
        return self.n_head_kv or self.n_head

    def metadata(self) -> dict[str, MetadataValue]:
        """The `llama.*` keys, in llama.cpp's order; keys that config.json does not decide are left out."""
        keys: dict[str, MetadataValue | None] = {
            "llama.block_count": self.n_layer,
            "llama.context_length": self.n_context,
            "llama.embedding_length": self.n_embd,
            "llama.feed_forward_length": self.n_ff,
            "llama.attention.head_count": self.n_head,
            "llama.attention.head_count_kv": self.n_head_kv,
            "llama.rope.scaling.type": "linear" if self.rope_scaling.linear_factor else None,
            "llama.rope.scaling.factor": self.rope_scaling.linear_factor,
            "llama.rope.freq_base": self.rope_theta,
            "llama.attention.layer_norm_rms_epsilon": self.norm_eps,
            "llama.attention.key_length": self.head_dim,
            "llama.attention.value_length": self.head_dim,
            "llama.vocab_size": self.n_vocab,
            "llama.rope.dimension_count": self._rope_dim,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def map_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        """Embedding, the layers, the final norm, the output unless tied, rope factors where scaled."""
        table = TensorTable(path, tensors, prefix="model.")
        table.claim("embed_tokens.weight", "token_embd.weight", (self.n_vocab, self.n_embd))
        for layer in range(self.n_layer):
            self._claim_layer(table, layer)
        table.claim("norm.weight", "output_norm.weight", (self.n_embd,))
        if self.tied:
            table.drop("lm_head.weight")
        else:
            table.claim("lm_head.weight", "output.weight", (self.n_vocab, self.n_embd))
        table.drop_zeros("lm_head.bias", self.n_vocab)
        mapped = table.finish(BUFFERS)
        factors = self.rope_scaling.frequency_factors(self.rope_theta or 10000.0, self._rope_dim)
        if factors is not None:
            mapped.append(MappedTensor("rope_freqs.weight", ComputedTensor("rope_freqs.weight", factors)))
        return mapped

    def _claim_layer(self, table: TensorTable, layer: int) -> None:
        old, new = f"layers.{layer}", f"blk.{layer}"
        width, n_q, n_kv = self.n_embd, self.n_head * self._rope_dim, self._kv_heads * self._rope_dim
        q_order = rotary_row_order(self.n_head, self._rope_dim)
        k_order = rotary_row_order(self._kv_heads, self._rope_dim)
        attention, feed_forward = self.attention_bias, self.mlp_bias
        table.claim(f"{old}.input_layernorm.weight", f"{new}.attn_norm.weight", (width,))
        table.claim(f"{old}.post_attention_layernorm.weight", f"{new}.ffn_norm.weight", (width,))
        for name, gguf_name, shape, order, biased in (
            ("self_attn.q_proj", "attn_q", (n_q, width), q_order, attention),
            ("self_attn.k_proj", "attn_k", (n_kv, width), k_order, attention),
            ("self_attn.v_proj", "attn_v", (n_kv, width), None, attention),
            ("self_attn.o_proj", "attn_output", (width, n_q), None, attention),
            ("mlp.gate_proj", "ffn_gate", (self.n_ff, width), None, feed_forward),
            ("mlp.up_proj", "ffn_up", (self.n_ff, width), None, feed_forward),
            ("mlp.down_proj", "ffn_down", (width, self.n_ff), None, feed_forward),
        ):
            table.claim(f"{old}.{name}.weight", f"{new}.{gguf_name}.weight", shape, order)
            if biased:
                table.claim(f"{old}.{name}.bias", f"{new}.{gguf_name}.bias", shape[:1], order)
            else:
                table.drop_zeros(f"{old}.{name}.bias", shape[0])


LLAMA = Family(
    gguf_name="llama",
    title="LLaMA",
    class_names=("LlamaForCausalLM", "LLaMAForCausalLM"),
    model_type="llama",
    tokenizer="tokenizer.model",
    read=Llama.from_config,
)


def rotary_row_order(n_head: int, head_dim: int) -> NDArray[np.int64]:
    """Source row of each output row: halves `(n_head, 2, head_dim / 2)` become adjacent pairs.

    transformers rotates dimension i with i + head_dim/2, ggml's `llama` rotates 2i with 2i + 1.
    """
    rows = np.arange(n_head * head_dim, dtype=np.int64)
    return rows.reshape(n_head, 2, head_dim // 2).transpose(0, 2, 1).reshape(-1)
