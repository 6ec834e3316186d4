"""Qwen2 and Qwen2.5, dense: LLaMA's layers with biases on queries, keys and values.

Names and layouts: transformers `modeling_qwen2.py`; GGUF names and keys: llama.cpp `conversion/qwen.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from convert.arch.base import NO_TEMPLATE, DefaultPrompt, Family, MetadataValue
from convert.arch.config import ConfigReader
from convert.arch.gated import ATTENTION, GatedTransformer
from convert.arch.window import within_window
from convert.errors import UnsupportedModel

_BIASED = frozenset(ATTENTION) - {"self_attn.o_proj"}
_LAYERS_72B = 80


@dataclass(frozen=True)
class Qwen2(GatedTransformer):
    """A Qwen2; see `Architecture`."""

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read config.json; what it leaves out is as in transformers' Qwen2Config."""
        reader = ConfigReader(path, config)
        n_head_kv = 32 if "num_key_value_heads" not in config else None
        model = cls.read(reader, n_context=32768, n_head_kv=n_head_kv, biased=_BIASED)
        if model.n_head * model.rope_dim != model.n_embd:  # llama.cpp's qwen2 has no other heads
            raise UnsupportedModel(path, "head_dim", str(model.head_dim))
        return within_window(model, reader)

    @property
    def family(self) -> Family:
        return QWEN2

    @property
    def has_fine_values(self) -> bool:
        """The 72B, which llama.cpp counts among its 70B models."""
        return self.n_layer == _LAYERS_72B

    def default_prompt(self) -> DefaultPrompt:
        """Chat models of this family bring their template."""
        return NO_TEMPLATE

    def metadata(self) -> dict[str, MetadataValue]:
        """The `qwen2.*` keys."""
        return self.keys("qwen2")


QWEN2 = Family(
    gguf_name="qwen2",
    title="Qwen2",
    class_names=("Qwen2ForCausalLM",),
    model_type="qwen2",
    tokenizer="tokenizer.json",
    read=Qwen2.from_config,
)
