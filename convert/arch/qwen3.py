"""Qwen3, dense: LLaMA's layers with a norm on each head's queries and keys, and heads of their own width.

Names and layouts: transformers `modeling_qwen3.py`; GGUF names and keys: llama.cpp `conversion/qwen.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from convert.arch.base import NO_TEMPLATE, DefaultPrompt, Family, MetadataValue
from convert.arch.config import ConfigReader
from convert.arch.gated import GatedTransformer
from convert.arch.table import TensorTable
from convert.arch.window import within_window


@dataclass(frozen=True)
class Qwen3(GatedTransformer):
    """A Qwen3; see `Architecture`."""

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read config.json; what it leaves out is as in transformers' Qwen3Config."""
        reader = ConfigReader(path, config)
        reader.require("attention_bias", [False])  # llama.cpp's qwen3 has no bias on the attention's output
        n_head_kv = 32 if "num_key_value_heads" not in config else None
        model = cls.read(reader, n_context=32768, n_head_kv=n_head_kv, head_dim=128)
        return within_window(model, reader)

    @property
    def family(self) -> Family:
        return QWEN3

    @property
    def has_fine_values(self) -> bool:
        return False

    def default_prompt(self) -> DefaultPrompt:
        """Chat models of this family bring their template."""
        return NO_TEMPLATE

    def metadata(self) -> dict[str, MetadataValue]:
        """The `qwen3.*` keys."""
        return self.keys("qwen3")

    def claim_layer(self, table: TensorTable, layer: int) -> None:
        """As LLaMA's, and the two norms."""
        super().claim_layer(table, layer)
        for part in "qk":
            old, new = f"layers.{layer}.self_attn.{part}_norm", f"blk.{layer}.attn_{part}_norm"
            table.claim(f"{old}.weight", f"{new}.weight", (self.rope_dim,))


QWEN3 = Family(
    gguf_name="qwen3",
    title="Qwen3",
    class_names=("Qwen3ForCausalLM",),
    model_type="qwen3",
    tokenizer="tokenizer.json",
    read=Qwen3.from_config,
)
