"""What the programs of 2023 called a model's tensors, and what transformers calls the same.

Meta's own LLaMA files have the same names.
Source: llama.cpp's convert-pth-to-ggml.py, bloomz.cpp's convert-hf-to-ggml.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.errors import UnsupportedModel
from convert.sources.tensors import Tensor

_TENSOR_NAME = re.compile(r"(layers\.(?P<layer>\d{1,3})\.)?(?P<stem>[a-z_0-9.]+)\.(?P<kind>weight|bias)")
# LLaMA's rotary frequencies, which follow from the head size.
_BUFFER = re.compile(r"(layers\.\d{1,3}\.attention\.inner_attention\.)?rope\.freqs")


@dataclass(frozen=True)
class Family:
    """How a program of 2023 named a model's tensors, and what transformers calls them.

    kinds: "weight", and "bias" where every module has one. optional: may be absent.
    """

    marker: str
    layer_prefix: str
    kinds: tuple[str, ...]
    modules: Mapping[str, str]
    layer_modules: Mapping[str, str]
    optional: frozenset[str] = frozenset()

    def expected(self, n_layers: int) -> list[str]:
        """The names that a complete file has."""
        stems = [*self.modules]
        stems += [f"layers.{layer}.{stem}" for layer in range(n_layers) for stem in self.layer_modules]
        names = [f"{stem}.{kind}" for stem in stems for kind in self.kinds]
        return [name for name in names if name not in self.optional]

    def translate(self, name: str) -> str | None:
        """transformers' name, or None for a name that this family does not have."""
        match = _TENSOR_NAME.fullmatch(name)
        if match is None:
            return None
        layer = match["layer"]
        module = (self.modules if layer is None else self.layer_modules).get(match["stem"])
        if module is None:
            return None
        prefix = "" if layer is None else f"{self.layer_prefix}{layer}."
        return f"{prefix}{module}.{match['kind']}"


LLAMA = Family(
    marker="layers.0.attention.wq.weight",
    layer_prefix="model.layers.",
    kinds=("weight",),
    modules={"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"},
    layer_modules={
        "attention_norm": "input_layernorm",
        "attention.wq": "self_attn.q_proj",
        "attention.wk": "self_attn.k_proj",
        "attention.wv": "self_attn.v_proj",
        "attention.wo": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "feed_forward.w1": "mlp.gate_proj",
        "feed_forward.w2": "mlp.down_proj",
        "feed_forward.w3": "mlp.up_proj",
    },
)
BLOOM = Family(
    marker="layers.0.attention.query_key_value.weight",
    layer_prefix="h.",
    kinds=("weight", "bias"),
    modules={
        "tok_embeddings": "word_embeddings",
        "norm": "word_embeddings_layernorm",
        "output_norm": "ln_f",
        "output": "lm_head",
    },
    layer_modules={
        "attention_norm": "input_layernorm",
        "attention.query_key_value": "self_attention.query_key_value",
        "attention.wo": "self_attention.dense",
        "ffn_norm": "post_attention_layernorm",
        "feed_forward.w1": "mlp.dense_h_to_4h",
        "feed_forward.w2": "mlp.dense_4h_to_h",
    },
    optional=frozenset({"output.weight", "output.bias", "tok_embeddings.bias"}),
)


def rename_tensors(path: Path, family: Family, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under transformers' names, without those that follow from the header.

    Raises `UnsupportedModel` naming `path` for a tensor that the family does not have.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if _BUFFER.fullmatch(name):
            continue
        known = family.translate(name)
        if known is None or known in renamed:
            raise UnsupportedModel(path, "tensor", name)
        renamed[known] = tensor
    return renamed
