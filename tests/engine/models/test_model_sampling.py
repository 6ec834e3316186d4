"""What a model says of itself: its file's keys, BELLE's card, and what its makers published."""

from __future__ import annotations

import ctypes
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from builders.gguf_models import write_header, write_model
from engine.errors import InvalidSampling
from engine.gguf_header import GgufHeader, read_gguf_header
from engine.llama import Model
from engine.models.errors import CatalogInvalid
from engine.models.model_sampling import (
    BELLE_CARD,
    TEMPERATURE_FIRST,
    ModelSampling,
    read_model_sampling,
    resolve_for,
)
from engine.models.published_sampling import PublishedSampling, parse_published
from engine.native import binding
from engine.partial_sampling import NOTHING, PartialSampling, Source
from engine.prompt import BELLE_FORMATS, PROMPT_FORMATS
from engine.types import Sampling

PUBLISHED = parse_published(files("assets").joinpath("sampling.json").read_text(encoding="utf-8"))
NONE_PUBLISHED = PublishedSampling(1, ())

# llama.cpp's twelve keys (gguf-py/gguf/constants.py), the value in the file, and what it means here.
KEYS: dict[str, tuple[Any, str, Any]] = {
    "sequence": ("top_k;temperature", "sequence", ("top_k", "temperature")),
    "top_k": (20, "top_k", 20),
    "top_p": (0.8, "top_p", 0.8),
    "min_p": (0.01, "min_p", 0.01),
    "xtc_probability": (0.5, "xtc_probability", 0.5),
    "xtc_threshold": (0.2, "xtc_threshold", 0.2),
    "temp": (0.6, "temperature", 0.6),
    "penalty_last_n": (128, "penalty_last_n", 128),
    "penalty_repeat": (1.05, "repetition_penalty", 1.05),
    "mirostat": (2, "mirostat", 2),
    "mirostat_tau": (4.5, "mirostat_tau", 4.5),
    "mirostat_eta": (0.2, "mirostat_eta", 0.2),
}


def header_of(folder: Path, architecture: str, **keys: str | int | float) -> GgufHeader:
    named = {f"general.{key}": value for key, value in keys.items()}
    named.setdefault("tokenizer.chat_template", "{{ messages }}")
    return read_gguf_header(write_header(folder / "m.gguf", architecture, named))


def file_values(folder: Path, **keys: str | int | float) -> PartialSampling:
    named = {f"sampling.{key}": value for key, value in keys.items()}
    return read_model_sampling(header_of(folder, "llama", **named), NONE_PUBLISHED).file


@pytest.mark.parametrize("key", KEYS)
def test_each_key_sets_its_value_and_no_other(tmp_path: Path, key: str) -> None:
    stored, name, expected = KEYS[key]

    assert file_values(tmp_path, **{key: stored}) == PartialSampling(**{name: expected})


def test_llama_cpp_has_just_these_keys_and_reads_the_same_numbers(tmp_path: Path) -> None:
    keys = {f"general.sampling.{key}": stored for key, (stored, *_) in KEYS.items()}
    path = write_model(tmp_path / "m.gguf", keys=keys)
    ours = read_model_sampling(read_gguf_header(path), NONE_PUBLISHED).file
    api = binding.api()
    buffer = ctypes.create_string_buffer(512)
    with Model(path) as model:
        names = [api.llama_model_meta_key_str(index) for index in range(len(KEYS))]
        assert {name.decode() for name in names} == set(keys)
        for key, (stored, name, _) in KEYS.items():
            full = f"general.sampling.{key}".encode()
            assert api.llama_model_meta_val_str(model.pointer, full, buffer, len(buffer)) > 0
            text = buffer.value.decode()
            if isinstance(stored, str):
                assert text == stored
            else:
                assert float(text) == pytest.approx(getattr(ours, name), rel=1e-6)


def test_numbers_may_be_of_any_type_or_text(tmp_path: Path) -> None:
    read = file_values(tmp_path, top_k=40.0, temp=1, top_p="0.9", mirostat="1")

    assert read == PartialSampling(top_k=40, temperature=1.0, top_p=0.9, mirostat=1)
    assert type(read.top_k) is int
    assert type(read.temperature) is float


def test_values_beyond_the_range_turn_off_what_llama_cpp_turns_off(tmp_path: Path) -> None:
    assert file_values(tmp_path, temp=-1.0, top_k=-5) == PartialSampling(temperature=0.0, top_k=0)


@pytest.mark.parametrize(
    "keys",
    [
        {"temp": "hot"},
        {"temp": float("nan")},
        {"temp": float("inf")},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"mirostat": 7},
        {"penalty_repeat": 0.0},
        {"penalty_last_n": -2},
        {"sequence": ""},
        {"sequence": ";"},
        {"sequence": "foo"},
        {"sequence": "foo;bar"},
        {"sequence": "k t"},
        {"sequence": 3},
        {"top_k": 1e30},
    ],
)
def test_what_makes_no_sense_says_nothing(tmp_path: Path, keys: dict[str, Any]) -> None:
    assert file_values(tmp_path, **keys) == NOTHING


def test_samplers_go_by_all_their_names_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    read = file_values(tmp_path, sequence="Penalties;dry;top-k;nucleus;typ_p;min_p;minp;XTC;temp;infill")

    assert read.sequence == ("penalties", "top_k", "top_p", "min_p", "xtc", "temperature")


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("edskypmxt", ("penalties", "top_k", "top_p", "min_p", "xtc", "temperature")),
        ("tkk", ("temperature", "top_k")),
        ("temp", ("temperature",)),  # a name, though its letters name samplers, too
        ("foo;top_k", ("top_k",)),
        # llama.cpp runs these alone, which change nothing at its defaults:
        ("dry;typ_p;top-n-sigma", ()),
        ("dys", ()),
    ],
)
def test_samplers_go_by_llama_cpps_letters_too(
    tmp_path: Path, sequence: str, expected: tuple[str, ...]
) -> None:
    assert file_values(tmp_path, sequence=sequence).sequence == expected


# --- BELLE ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt_format", PROMPT_FORMATS)
def test_belles_card_counts_for_belles_formats_only(tmp_path: Path, prompt_format: str) -> None:
    header = header_of(tmp_path, "llama", name="anything")
    found = read_model_sampling(header, PUBLISHED, prompt_format)

    assert found.belle == (BELLE_CARD if prompt_format in BELLE_FORMATS else NOTHING)


def test_belles_card_says_what_the_card_says() -> None:
    """The card's `generate` call; the penalty's window and the order are transformers'."""
    sampling = resolve_for(ModelSampling(belle=BELLE_CARD)).sampling

    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.35, 30, 0.85)
    assert (sampling.repetition_penalty, sampling.penalty_last_n, sampling.min_p) == (1.2, -1, 0.0)
    assert sampling.sequence == TEMPERATURE_FIRST
    assert sampling.max_tokens == 512


def test_a_bloom_model_without_a_template_is_belles_and_its_file_wins(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", keys={"general.sampling.temp": 0.5})
    resolved = resolve_for(read_model_sampling(read_gguf_header(path), PUBLISHED))

    assert (resolved.sampling.temperature, resolved.sources["temperature"]) == (0.5, Source.FILE)
    assert (resolved.sampling.top_k, resolved.sources["top_k"]) == (30, Source.BELLE)


# --- what makers published ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "keys", "family"),
    [
        ("qwen3", {"name": "Qwen3 4B"}, "qwen3"),
        ("qwen3", {"name": "Qwen3-4B-Instruct", "basename": "Qwen3", "finetune": "Instruct"}, "qwen3"),
        ("qwen3moe", {"basename": "Qwen3", "size_label": "30B-A3B"}, "qwen3"),
        ("qwen3", {"name": "Qwen3-4B-Instruct-2507"}, "qwen3-instruct-2507"),
        (
            "qwen3",
            {"name": "Qwen3 4B", "basename": "Qwen3", "finetune": "Thinking", "version": "2507"},
            "qwen3-thinking-2507",
        ),
        ("qwen2", {"name": "qwen2.5-7b-instruct"}, "qwen2.5-instruct"),
        ("qwen2", {"name": "DeepSeek R1 Distill Qwen 1.5B"}, "deepseek-r1-distill"),
        ("llama", {"name": "DeepSeek-R1-Distill-Llama-8B"}, "deepseek-r1-distill"),
        ("llama", {"name": "Llama 3.2 1B Instruct"}, "llama-3-instruct"),
        ("llama", {"name": "Meta-Llama-3.1-8B-Instruct"}, "llama-3-instruct"),
        ("gemma3", {"name": "Gemma 3 1b It"}, "gemma-3"),
        ("gpt-oss", {"name": "Gpt Oss 20b"}, "gpt-oss"),
        ("smollm3", {"name": "SmolLM3 3B"}, "smollm3"),
        ("llama", {"name": "MiniCPM5-1B"}, "minicpm5-1b"),
        # As makers and those who only quantize write it into their files:
        ("qwen3", {"name": "Qwen3 8B", "basename": "Qwen3", "size_label": "8B"}, "qwen3"),
        ("qwen3", {"name": "Qwen3 0.6B Q4_K_M GGUF"}, "qwen3"),
        ("qwen3", {"name": "Qwen3-8B-128K", "basename": "Qwen3-8B-128K", "size_label": "8B"}, "qwen3"),
        ("qwen3", {"name": "Qwen3-4B-Thinking-2507", "finetune": "Thinking"}, "qwen3-thinking-2507"),
        ("qwen3moe", {"name": "Qwen3 30B A3B Instruct 2507"}, "qwen3-instruct-2507"),
        ("qwen35", {"name": "Qwen3.5 27B", "basename": "Qwen3.5"}, "qwen3.5-27b"),
        (
            "qwen2",
            {"name": "qwen2.5-7b-instruct", "version": "v0.1", "finetune": "qwen2.5-7b-instruct"}
            | {"size_label": "7.6B"},
            "qwen2.5-instruct",
        ),
        ("qwen2", {"name": "Qwen2.5 7B Instruct 1M"}, "qwen2.5-instruct"),
        ("llama", {"name": "Meta Llama 3.1 8B Instruct", "basename": "Meta-Llama-3.1"}, "llama-3-instruct"),
        ("llama", {"name": "Llama 3.2 3B Instruct", "finetune": "Instruct"}, "llama-3-instruct"),
        ("llama", {"name": "Llama 3.3 70B Instruct Bnb 4bit"}, "llama-3-instruct"),
        ("llama", {"name": "Meta-Llama-3-8B-Instruct-imatrix"}, "llama-3-instruct"),
        ("qwen2", {"name": "DeepSeek R1 Distill Qwen 7B"}, "deepseek-r1-distill"),
        ("gemma3", {"name": "Gemma 3 4b It Qat Q4_0 Unquantized", "finetune": "it-qat"}, "gemma-3"),
        ("gemma3", {"name": "gemma-3-270m-it", "size_label": "268M"}, "gemma-3"),
        ("gemma4", {"name": "Gemma 4 E4B It"}, "gemma-4"),
        ("gpt-oss", {"name": "Gpt Oss 20B", "basename": "gpt-oss"}, "gpt-oss"),
        ("gpt-oss", {"name": "Openai_Gpt Oss 20b", "size_label": "32x2.4B"}, "gpt-oss"),
        # Others' models, whose names begin alike:
        ("llama", {"name": "Llama 3.1 Swallow 8B Instruct v0.3"}, None),
        ("llama", {"name": "Llama-3.1-Nemotron-70B-Instruct-HF"}, None),
        ("llama", {"name": "Llama 3 Taiwan 8B Instruct"}, None),
        ("llama", {"name": "Llama 3 8B Instruct v0.8", "version": "v0.8"}, None),
        ("llama", {"name": "Llama 3.2 11B Vision Instruct"}, None),
        ("qwen2", {"name": "Qwen2.5 Bakeneko 32b Instruct"}, None),
        ("qwen2", {"name": "Qwen2.5 Coder 7B Instruct"}, None),
        ("qwen2", {"name": "Qwen2.5 Math 7B Instruct"}, None),
        ("qwen3", {"name": "Qwen3-8B-Drama-Thinking", "basename": "Qwen3"}, None),
        ("qwen3", {"name": "Qwen3 8B", "finetune": "Drama"}, None),
        ("qwen3", {"name": "Qwen3 8B", "basename": "Drama"}, None),
        ("qwen3", {"name": "Drama", "basename": "Qwen3"}, None),
        ("qwen3", {"name": "Qwen3 8B", "version": "drama"}, None),
        ("qwen3", {"name": "Qwen3 4b Z Image"}, None),
        ("qwen3", {"name": "Qwen3 14B Base SFT"}, None),
        ("qwen3", {"name": "Qwen3 8B Thinking"}, None),
        ("smollm3", {"name": "SmolLM3 3B Base"}, None),
        ("gpt-oss", {"name": "Gpt Oss Safeguard 20b"}, None),
        # None of a family, or not of this one:
        ("qwen3", {"name": "Qwen3 4B Base"}, None),
        ("qwen3", {"name": "Qwen3-Embedding-0.6B"}, None),
        ("qwen3", {"name": "My Qwen3 tune"}, None),
        ("qwen3", {"name": "Qwen30 4B"}, None),
        ("llama", {"name": "Qwen3 4B"}, None),
        ("qwen2", {"name": "Qwen2.5 7B"}, None),
        ("qwen2", {"name": "Qwen2.5-0.5B-Instruct"}, None),
        ("llama", {"name": "Llama 3.2 1B"}, None),
        ("llama", {"name": "Llama 2 7b Chat"}, None),
        ("llama", {"name": "BELLE LLaMA 7.2B"}, None),
        ("llama", {"name": "Smollm2 135M 8k Lc100K Mix1 Ep2", "basename": "smollm2"}, None),
        ("bloom", {"name": "BELLE BLOOM 7.1B"}, None),
        ("gemma3", {"name": "Gemma 3 1b Pt"}, None),
        ("gemma3", {}, None),
    ],
)
def test_a_family_is_recognised_by_its_names(
    tmp_path: Path, architecture: str, keys: dict[str, str], family: str | None
) -> None:
    found = PUBLISHED.find(header_of(tmp_path, architecture, **keys))

    assert (found.id if found else None) == family


def test_a_model_that_can_think_has_two_sets(tmp_path: Path) -> None:
    model = read_model_sampling(header_of(tmp_path, "qwen3", name="Qwen3 4B"), PUBLISHED)

    def temperature_and_top_p(**choices: PartialSampling) -> tuple[float, float, Source]:
        resolved = resolve_for(model, **choices)
        sampling = resolved.sampling
        return sampling.temperature, sampling.top_p, resolved.sources["temperature"]

    off, on = PartialSampling(thinking="off"), PartialSampling(thinking="on")
    assert temperature_and_top_p() == (0.6, 0.95, Source.MAKER)
    assert temperature_and_top_p(own=off) == (0.7, 0.8, Source.MAKER)
    assert temperature_and_top_p(own=off, conversation=on) == (0.6, 0.95, Source.MAKER)
    assert temperature_and_top_p(persona=off, conversation=PartialSampling(temperature=0.1)) == (
        0.1,
        0.8,
        Source.CONVERSATION,
    )


def test_one_set_does_not_shine_through_the_other(tmp_path: Path) -> None:
    model = read_model_sampling(header_of(tmp_path, "qwen35", name="Qwen3.6 27B"), PUBLISHED)

    assert resolve_for(model).sampling.presence_penalty == 0.0
    assert resolve_for(model, own=PartialSampling(thinking="off")).sampling.presence_penalty == 1.5


def test_the_order_belongs_to_the_values(tmp_path: Path) -> None:
    unknown = read_model_sampling(header_of(tmp_path, "llama", name="x"), PUBLISHED)
    known = read_model_sampling(header_of(tmp_path, "qwen3", name="Qwen3 4B"), PUBLISHED)

    assert resolve_for(unknown).sampling == Sampling()
    assert resolve_for(unknown).sampling.sequence[-1] == "temperature"
    assert resolve_for(known).sampling.sequence == TEMPERATURE_FIRST


def test_every_family_names_the_page_that_says_so() -> None:
    assert len({family.id for family in PUBLISHED.families}) == len(PUBLISHED.families) >= 10
    for family in PUBLISHED.families:
        assert family.source.startswith("https://")
        assert family.values.said()
        assert family.architectures
        assert family.begins


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("", ""),
        ("[]", ""),
        ('{"version": 2, "families": []}', "version"),
        ('{"version": 1, "families": [{"id": "x"}]}', "families[0].architectures"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, location: str) -> None:
    with pytest.raises(CatalogInvalid) as caught:
        parse_published(text)
    assert caught.value.location == location


def test_published_values_out_of_their_range_are_refused() -> None:
    text = (
        '{"version": 1, "families": [{"id": "x", "architectures": ["a"], "begins": ["b"], "source": "s",'
        ' "values": {"top_p": 2}}]}'
    )
    with pytest.raises(InvalidSampling):
        parse_published(text)
