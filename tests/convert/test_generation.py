"""How a checkpoint's makers have it answer, carried into the GGUF, with llama.cpp as the judge of ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from builders.checkpoints import write_bloom, write_json, write_llama
from convert.detect import open_checkpoint
from convert.errors import DamagedFile, UnsupportedTokenizer
from convert.generation import read_generation
from convert.pipeline import convert
from convert.tokenizers.end_tokens import with_end_tokens
from convert.tokenizers.vocabulary import TokenType, Vocabulary
from engine.gguf_header import read_gguf_header
from engine.llama import Model
from engine.models.model_sampling import TEMPERATURE_FIRST, read_model_sampling
from engine.models.published_sampling import PublishedSampling
from engine.partial_sampling import NOTHING, PartialSampling

TEMPLATE = "{{ messages }}"


def converted(
    folder: Path,
    generation: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    added: Sequence[str] = (),
    prompt: str = "auto",
    family: str = "bloom",
) -> Path:
    """The GGUF of a tiny checkpoint with a template of its own, and `added` special tokens at its end."""
    checkpoint = folder / "checkpoint"
    n_tokens = 400 if family == "bloom" else 520
    write = write_bloom if family == "bloom" else write_llama
    write(checkpoint, n_tokens=n_tokens, n_vocab=n_tokens + 8, config=config)
    (checkpoint / "chat_template.jinja").write_text(TEMPLATE)
    if family == "bloom":
        tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        tokenizer["added_tokens"] += [
            {"id": n_tokens + index, "content": text, "special": True, **flags}
            for index, text in enumerate(added)
        ]
        write_json(checkpoint / "tokenizer.json", tokenizer)
    else:
        write_json(checkpoint / "added_tokens.json", {text: n_tokens + i for i, text in enumerate(added)})
    if generation is not None:
        write_json(checkpoint / "generation_config.json", generation)
    output = folder / "m.gguf"
    with open_checkpoint(checkpoint) as opened:
        for _ in convert(opened.plan("f32", opened.prompt(prompt)), output):
            pass
    return output


def sampling_keys(path: Path) -> dict[str, Any]:
    prefix = "general.sampling."
    fields = GGUFReader(path).fields.items()
    return {name.removeprefix(prefix): each.contents() for name, each in fields if name.startswith(prefix)}


def ending_tokens(path: Path) -> set[int]:
    """What llama.cpp takes for an end of generation."""
    with Model(path, vocabulary_only=True) as model:
        return {token for token in range(model.n_vocab) if model.ends_answer(token)}


def test_the_values_of_generation_config_are_written(tmp_path: Path) -> None:
    path = converted(
        tmp_path,
        {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.05}
        | {"repetition_penalty": 1.05, "max_new_tokens": 9},
    )

    assert sampling_keys(path) == {
        "temp": pytest.approx(0.7),
        "top_k": 20,
        "top_p": pytest.approx(0.8),
        "min_p": pytest.approx(0.05),
        "penalty_repeat": pytest.approx(1.05),
        "penalty_last_n": 2048,
        "sequence": "penalties;dry;temperature;top_n_sigma;top_k;typ_p;top_p;min_p;xtc",
    }
    read = read_model_sampling(read_gguf_header(path), PublishedSampling(1, ())).file
    assert read == PartialSampling(
        temperature=0.7,
        top_k=20,
        top_p=0.8,
        min_p=0.05,
        repetition_penalty=1.05,
        penalty_last_n=2048,
        sequence=TEMPERATURE_FIRST,
    )
    with Model(path) as model:
        assert model.trained_context_tokens == 2048


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({"repetition_penalty": 1.1}, {"penalty_repeat", "penalty_last_n"}),
        ({"temperature": 0.6}, {"temp", "sequence"}),
        ({}, set()),
    ],
)
def test_transformers_order_and_window_come_with_the_values_they_are_for(
    content: dict[str, Any], keys: set[str]
) -> None:
    assert {name.removeprefix("general.sampling.") for name in read_generation(content, {}).keys(9)} == keys


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({}, set()),
        ({"temperature": 0.6}, {"temp", "sequence"}),
        ({"do_sample": False, "temperature": 0.6, "top_p": 0.9, "top_k": 9, "min_p": 0.1}, set()),
        ({"do_sample": False, "temperature": 0.6, "repetition_penalty": 1.1}, {"penalty_repeat"}),
        ({"temperature": None, "top_p": "0.9", "top_k": True, "min_p": -1}, set()),
        ({"temperature": float("nan"), "top_p": 1.5, "repetition_penalty": 0}, set()),
    ],
)
def test_what_generate_would_not_read_is_left_out(content: dict[str, Any], keys: set[str]) -> None:
    found = read_generation(content, {}).sampling

    assert set(found) == keys


@pytest.mark.parametrize("family", ["bloom", "llama"])
def test_belles_formats_follow_belles_card(tmp_path: Path, family: str) -> None:
    generation = {"do_sample": True, "temperature": 0.9, "eos_token_id": 2}
    path = converted(tmp_path, generation, prompt="belle", family=family)

    assert sampling_keys(path) == {}
    assert read_model_sampling(read_gguf_header(path), PublishedSampling(1, ())).file == NOTHING
    assert ending_tokens(path) == {2}


@pytest.mark.parametrize("family", ["bloom", "llama"])
def test_every_listed_token_ends_an_answer(tmp_path: Path, family: str) -> None:
    first = 400 if family == "bloom" else 520
    added = ("<|stop|>", "<|im_end|>", "<|over|>", "<|other|>")
    listed = [first, first + 1, 2, first + 2]
    path = converted(tmp_path, {"eos_token_id": listed}, added=added, family=family)

    assert ending_tokens(path) == {2, first, first + 1, first + 2}
    found = read_gguf_header(path).metadata
    assert found["tokenizer.ggml.eos_token_id"] == 2  # what `eos_token` is in the template
    assert found["tokenizer.ggml.eot_token_id"] == first
    assert found["tokenizer.ggml.eom_token_id"] == first + 2


def test_config_json_lists_end_tokens_where_generation_config_does_not(tmp_path: Path) -> None:
    path = converted(tmp_path, {"top_k": 5}, config={"eos_token_id": [2, 400]}, added=["<|stop|>"])

    assert ending_tokens(path) == {2, 400}


@pytest.mark.parametrize(
    ("in_config", "expected"), [(400, {2, 400, 401}), ([400, 401], {2, 400, 401}), (50, {2, 401})]
)
def test_what_only_config_json_lists_ends_an_answer_too_if_it_is_no_text(
    tmp_path: Path, in_config: Any, expected: set[int]
) -> None:
    """50 is a letter: configurations that were told nothing name an id that ends texts elsewhere."""
    config, added = {"eos_token_id": in_config}, ["<|stop|>", "<|over|>"]
    path = converted(tmp_path, {"eos_token_id": [2, 401]}, config=config, added=added)

    assert ending_tokens(path) == expected


@pytest.mark.parametrize("listed", [1, [2, 1, 0], [2, 99_999, -1], "2", [True, None, 2.0]])
def test_ids_that_can_not_be_meant_end_nothing(tmp_path: Path, listed: Any) -> None:
    """1 begins a text and 0 is the unknown: LLaMA checkpoints of 2023 name them as ends."""
    assert ending_tokens(converted(tmp_path, {"eos_token_id": listed})) == {2}


def test_more_end_tokens_than_a_gguf_can_name_are_refused() -> None:
    tokens = ["<unk>", "<s>", "</s>", "<a>", "<b>", "<c>"]
    types = [*[TokenType.CONTROL] * 3, TokenType.USER_DEFINED, TokenType.NORMAL, TokenType.NORMAL]
    vocabulary = Vocabulary("llama", None, tokens, types, bos_id=1, eos_id=2, unk_id=0)

    changed = with_end_tokens(vocabulary, (3, 4), Path("t"))
    assert (changed.eot_id, changed.eom_id) == (3, 4)
    assert changed.types == [*[TokenType.CONTROL] * 4, TokenType.NORMAL, TokenType.NORMAL]
    with pytest.raises(UnsupportedTokenizer, match="4 end tokens"):
        with_end_tokens(vocabulary, (3, 4, 5), Path("t"))


def test_a_damaged_generation_config_is_named(tmp_path: Path) -> None:
    write_bloom(tmp_path / "c")
    (tmp_path / "c" / "generation_config.json").write_text("{")

    with pytest.raises(DamagedFile) as caught, open_checkpoint(tmp_path / "c"):
        pass
    assert caught.value.path.name == "generation_config.json"
