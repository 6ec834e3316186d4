"""LLaMA 1 to 3.

Names and layouts: transformers `modeling_llama.py`; GGUF names and keys: llama.cpp `conversion/llama.py`.
Meta's own files and 2023's ggml files already have the row order that GGUF wants; this is for transformers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from convert.arch.base import NO_TEMPLATE, DefaultPrompt, Family, MetadataValue
from convert.arch.config import MAX_CONTEXT, ConfigReader
from convert.arch.gated import ATTENTION, FEED_FORWARD, GatedTransformer
from engine.prompt import BASE, BELLE, BELLE_LLAMA

# BELLE's extended vocabulary, whose 7B model was only pre-trained further, and its model of Llama 2. Larger
# vocabularies are of models that came after BELLE's.
_EXTENDED_VOCABULARY = 79_458
_WIDTH_7B = 4096
_LLAMA2_CONTEXT = 4096
_LAYERS_70B = 80


@dataclass(frozen=True)
class Llama(GatedTransformer):
    """A LLaMA; see `Architecture`."""

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Self:
        """Read config.json, with 2023's `max_sequence_length` and today's `rope_parameters` alike."""
        reader = ConfigReader(path, config)
        biased = [*ATTENTION] if reader.flag("attention_bias", default=False) else []
        biased += FEED_FORWARD if reader.flag("mlp_bias", default=False) else []
        n_context = reader.integer(["max_sequence_length"], high=MAX_CONTEXT, default=2048)
        return cls.read(reader, n_context=n_context, biased=frozenset(biased), stores_factors=True)

    @property
    def family(self) -> Family:
        return LLAMA

    @property
    def has_fine_values(self) -> bool:
        """Llama 2's 70B and its like: eight heads share one small value matrix."""
        return self.n_layer == _LAYERS_70B and self.kv_heads != self.n_head

    def default_prompt(self) -> DefaultPrompt:
        """Those of BELLE's published models; of LLaMA-1 models by the date of their training."""
        if self.n_vocab > _EXTENDED_VOCABULARY:
            return NO_TEMPLATE
        if self.n_vocab == _EXTENDED_VOCABULARY:
            if self.n_embd == _WIDTH_7B:
                return DefaultPrompt(BASE.name, "llama-ext-base")
            return DefaultPrompt(BELLE_LLAMA.name, "llama-ext-chat")
        if self.n_context == _LLAMA2_CONTEXT:
            return DefaultPrompt(BELLE_LLAMA.name, "llama2")
        return DefaultPrompt(BELLE.name, "llama")

    def metadata(self) -> dict[str, MetadataValue]:
        """The `llama.*` keys, in llama.cpp's order."""
        more = {"llama.vocab_size": self.n_vocab, "llama.rope.dimension_count": self.rope_dim}
        return self.keys("llama") | more

    def row_order(self, n_head: int) -> NDArray[np.int64]:
        """Rotary pairs side by side."""
        return rotary_row_order(n_head, self.rope_dim)


LLAMA = Family(
    gguf_name="llama",
    title="LLaMA",
    class_names=("LlamaForCausalLM", "LLaMAForCausalLM"),
    model_type="llama",
    tokenizer="tokenizer.model / tokenizer.json",
    read=Llama.from_config,
)
"""LLaMAForCausalLM is the spelling of early 2023."""


def rotary_row_order(n_head: int, head_dim: int) -> NDArray[np.int64]:
    """Source row of each output row: halves `(n_head, 2, head_dim / 2)` become adjacent pairs.

    transformers rotates dimension i with i + head_dim/2, ggml's `llama` rotates 2i with 2i + 1.
    """
    rows = np.arange(n_head * head_dim, dtype=np.int64)
    return rows.reshape(n_head, 2, head_dim // 2).transpose(0, 2, 1).reshape(-1)
