"""One module per model family: names, metadata and tensor transforms; here, the registry of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.arch.base import Architecture, MappedTensor, MetadataValue
from convert.arch.bloom import Bloom
from convert.arch.config import shorten
from convert.arch.llama import Llama
from convert.errors import UnknownArchitecture

ARCHITECTURES: dict[str, type[Architecture]] = {
    "BloomForCausalLM": Bloom,
    "BloomModel": Bloom,
    "LlamaForCausalLM": Llama,
    "LLaMAForCausalLM": Llama,
}
"""By `architectures[0]` of config.json; LLaMAForCausalLM is the spelling of early 2023."""


def read_architecture(path: Path, config: Mapping[str, Any]) -> Architecture:
    """The family that config.json at `path` names, with its settings read.

    Raises `UnknownArchitecture`, `InvalidConfig` or `UnsupportedModel`.
    """
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else names
    if not isinstance(name, str) or name not in ARCHITECTURES:
        found = name if isinstance(name, str) and len(name) <= 80 else shorten(name)
        raise UnknownArchitecture(path, found, tuple(ARCHITECTURES))
    return ARCHITECTURES[name].from_config(path, config)


__all__ = ["ARCHITECTURES", "Architecture", "MappedTensor", "MetadataValue", "read_architecture"]
