"""One module per model family: all that is known of it; here, the registry of all of them.

A family is added by its module and a place in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.arch.base import Architecture, DefaultPrompt, Family, MappedTensor, MetadataValue
from convert.arch.bloom import BLOOM
from convert.arch.config import shorten
from convert.arch.llama import LLAMA
from convert.arch.qwen2 import QWEN2
from convert.arch.qwen3 import QWEN3
from convert.errors import InvalidConfig, UnknownArchitecture

FAMILIES: tuple[Family, ...] = (BLOOM, LLAMA, QWEN2, QWEN3)

_BY_MODEL_TYPE = {family.model_type: family for family in FAMILIES}
_BY_CLASS_NAME = {name: family for family in FAMILIES for name in family.class_names}
_TITLES = {family.gguf_name: family.title for family in FAMILIES}


def find_family(config: Mapping[str, Any]) -> Family | None:
    """The family that a config.json names; None where it names none that is known here.

    `architectures` decides; where there is none, as in configs that no model was saved with, `model_type`.
    """
    name, table = _stated_name(config)
    return table.get(name) if isinstance(name, str) else None


def family_title(gguf_name: str) -> str:
    """A family as people write it; as the GGUF names it where it is none of ours."""
    return _TITLES.get(gguf_name, gguf_name)


def read_architecture(path: Path, config: Mapping[str, Any]) -> Architecture:
    """The model that config.json at `path` describes.

    Raises `UnknownArchitecture`, `InvalidConfig` or `UnsupportedModel`.
    """
    family = find_family(config)
    if family is None:
        name, _ = _stated_name(config)
        if not name:
            raise InvalidConfig(path, "architectures", "nothing")
        found = name if isinstance(name, str) and len(name) <= 80 else shorten(name)
        raise UnknownArchitecture(path, found, tuple(_BY_CLASS_NAME))
    return family.read(path, config)


def _stated_name(config: Mapping[str, Any]) -> tuple[Any, Mapping[str, Family]]:
    """What config.json calls the model, and the families by such names."""
    names = config.get("architectures")
    if not names and config.get("model_type") is not None:
        return config["model_type"], _BY_MODEL_TYPE
    return (names[0] if isinstance(names, list) and names else names), _BY_CLASS_NAME


__all__ = [
    "FAMILIES",
    "Architecture",
    "DefaultPrompt",
    "Family",
    "MappedTensor",
    "MetadataValue",
    "family_title",
    "find_family",
    "read_architecture",
]
