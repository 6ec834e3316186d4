"""The registry of model families: what a new one has to bring, checked for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.models.local_texts import family_name
from convert.arch import FAMILIES, Family, family_title, find_family, read_architecture
from convert.i18n import LANGUAGES, Catalog
from engine.architectures import is_known_architecture
from engine.prompt import own_format

CONFIG: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "num_hidden_layers": 32,
    "n_head": 32,
    "n_layer": 32,
}
# Everything that default prompts look at.
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"vocab_size": 79_458},
    {"vocab_size": 79_458, "hidden_size": 5120, "n_head": 40, "num_attention_heads": 40, "head_dim": 128},
    {"max_position_embeddings": 4096},
    {"vocab_size": 151_936},
)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=[family.gguf_name for family in FAMILIES])


def test_names_belong_to_one_family_each() -> None:
    names = [name for family in FAMILIES for name in (*family.class_names, family.model_type)]
    assert len(names) == len(set(names))
    assert len({family.gguf_name for family in FAMILIES}) == len(FAMILIES)


@every_family
def test_llama_cpp_has_code_for_it_and_transformers_a_config(family: Family) -> None:
    from transformers import AutoConfig

    assert is_known_architecture(family.gguf_name)
    assert AutoConfig.for_model(family.model_type).model_type == family.model_type


@every_family
def test_it_is_found_by_its_classes_and_by_its_model_type(family: Family) -> None:
    for name in family.class_names:
        assert find_family({"architectures": [name], "model_type": "other"}) is family
        assert find_family({"architectures": name}) is family
    assert find_family({"model_type": family.model_type}) is family
    read = read_architecture(Path("config.json"), {**CONFIG, "model_type": family.model_type})
    assert read.family is family


@every_family
def test_its_default_prompt_is_the_engines_and_says_why_in_both_languages(family: Family) -> None:
    key, window_key = "prompt_reason.{}", "convert.reason.{}"
    for variant in VARIANTS:
        config = {**CONFIG, "num_key_value_heads": None, **variant}
        default = family.read(Path("config.json"), config).default_prompt()
        assert own_format(default.name).name == default.name
        for language in LANGUAGES:
            assert key.format(default.reason) in Catalog("convert.i18n").keys(language)
            assert window_key.format(default.reason) in Catalog("app.i18n").keys(language)


@every_family
def test_only_belles_families_are_asked_as_belle(family: Family) -> None:
    config = {**CONFIG, "vocab_size": 151_936}
    name = family.read(Path("config.json"), config).default_prompt().name
    assert name == ("belle" if family.gguf_name == "bloom" else "base")
    assert family.belle_license == ("apache-2.0" if family.gguf_name == "bloom" else None)


@every_family
def test_window_and_converter_write_its_name_alike(family: Family) -> None:
    assert family_title(family.gguf_name) == family_name(family.gguf_name) == family.title


def test_a_family_that_only_comes_as_gguf_keeps_the_name_in_it() -> None:
    assert family_title("granite") == "granite"
    assert family_name("baichuan") == "Baichuan"
