"""BLOOM: ALiBi positions, one fused QKV per layer, biases everywhere, tied embeddings.

Names and layouts: transformers `modeling_bloom.py`; GGUF names and keys: llama.cpp `conversion/bloom.py`.
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
from convert.arch.config import (
    MAX_CONTEXT,
    MAX_HEADS,
    MAX_LAYERS,
    MAX_VOCAB,
    MAX_WIDTH,
    ConfigReader,
    shorten,
)
from convert.arch.table import TensorTable
from convert.errors import InvalidConfig, UnsupportedModel
from convert.notes import Note
from convert.sources.tensors import Tensor
from engine.prompt import BELLE

BUFFERS = re.compile(r"h\.\d+\.(self_attention|attn)\.(masked_bias|bias|attention_mask)|alibi")
"""Masks that old checkpoints saved along with the weights."""


@dataclass(frozen=True)
class Bloom:
    """A BLOOM; see `Architecture`."""

    n_vocab: int
    n_embd: int
    n_head: int
    n_layer: int
    n_context: int
    norm_eps: float
    tied: bool

    @property
    def family(self) -> Family:
        return BLOOM

    @property
    def notes(self) -> tuple[Note, ...]:
        return ()

    @property
    def has_fine_values(self) -> bool:
        return False

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read config.json, in any of the spellings that BLOOM checkpoints used."""
        reader = ConfigReader(path, config)
        reader.require("apply_residual_connection_post_layernorm", [False])
        n_embd = reader.integer(["hidden_size", "n_embed"], high=MAX_WIDTH)
        n_head = reader.integer(["n_head", "num_attention_heads"], high=MAX_HEADS)
        if n_embd % n_head:
            raise InvalidConfig(path, "n_head", f"{n_head}, which does not divide {n_embd}")
        n_inner = config.get("n_inner")
        if n_inner is not None and n_inner != 4 * n_embd:
            raise UnsupportedModel(path, "n_inner", shorten(n_inner))
        return cls(
            n_vocab=reader.integer(["vocab_size"], high=MAX_VOCAB),
            n_embd=n_embd,
            n_head=n_head,
            n_layer=reader.integer(["n_layer", "num_hidden_layers"], high=MAX_LAYERS),
            n_context=reader.integer(["seq_length"], high=MAX_CONTEXT, default=2048),
            norm_eps=reader.number("layer_norm_epsilon", low=1e-12, high=1.0, default=1e-5),
            tied=reader.flag("tie_word_embeddings", default=True),
        )

    def default_prompt(self) -> DefaultPrompt:
        """The one of BELLE's first models."""
        return DefaultPrompt(BELLE.name, "bloom")

    def metadata(self) -> dict[str, MetadataValue]:
        """The `bloom.*` keys, in llama.cpp's order."""
        return {
            "bloom.context_length": self.n_context,
            "bloom.embedding_length": self.n_embd,
            "bloom.feed_forward_length": 4 * self.n_embd,
            "bloom.block_count": self.n_layer,
            "bloom.attention.head_count": self.n_head,
            "bloom.attention.head_count_kv": self.n_head,
            "bloom.attention.layer_norm_epsilon": self.norm_eps,
        }

    def map_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> list[MappedTensor]:
        """Embedding, its norm, the layers, the final norm; the output is the embedding when tied."""
        table = TensorTable(path, tensors, prefix="transformer.")
        table.claim("word_embeddings.weight", "token_embd.weight", (self.n_vocab, self.n_embd))
        self._claim_norm(table, "word_embeddings_layernorm", "token_embd_norm")
        for layer in range(self.n_layer):
            self._claim_layer(table, layer)
        self._claim_norm(table, "ln_f", "output_norm")
        if self.tied:
            table.drop("lm_head.weight")
        else:
            table.claim("lm_head.weight", "output.weight", (self.n_vocab, self.n_embd))
        return table.finish(BUFFERS)

    def _claim_layer(self, table: TensorTable, layer: int) -> None:
        old, new, width = f"h.{layer}", f"blk.{layer}", self.n_embd
        self._claim_norm(table, f"{old}.input_layernorm", f"{new}.attn_norm")
        qkv = qkv_row_order(self.n_head, width // self.n_head)
        for name, gguf_name, shape, order in (
            ("self_attention.query_key_value", "attn_qkv", (3 * width, width), qkv),
            ("self_attention.dense", "attn_output", (width, width), None),
            ("mlp.dense_h_to_4h", "ffn_up", (4 * width, width), None),
            ("mlp.dense_4h_to_h", "ffn_down", (width, 4 * width), None),
        ):
            table.claim(f"{old}.{name}.weight", f"{new}.{gguf_name}.weight", shape, order)
            table.claim(f"{old}.{name}.bias", f"{new}.{gguf_name}.bias", shape[:1], order)
        self._claim_norm(table, f"{old}.post_attention_layernorm", f"{new}.ffn_norm")

    def _claim_norm(self, table: TensorTable, name: str, gguf_name: str) -> None:
        for part in ("weight", "bias"):
            table.claim(f"{name}.{part}", f"{gguf_name}.{part}", (self.n_embd,))


BLOOM = Family(
    gguf_name="bloom",
    title="BLOOM",
    class_names=("BloomForCausalLM", "BloomModel"),
    model_type="bloom",
    tokenizer="tokenizer.json",
    read=Bloom.from_config,
    belle_license="apache-2.0",
)


def qkv_row_order(n_head: int, head_dim: int) -> NDArray[np.int64]:
    """Source row of each output row: interleaved `(n_head, 3, head_dim)` becomes all Q, all K, all V."""
    rows = np.arange(3 * n_head * head_dim, dtype=np.int64)
    return rows.reshape(n_head, 3, head_dim).transpose(1, 0, 2).reshape(-1)
