"""Byte-level BPE with the definitions of Llama 3 and Qwen: llama.cpp finds the tokenizers library's tokens."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tokenizers import Tokenizer

from builders.byte_level import (
    FAMILIES,
    N_LOST_MERGES,
    added_token,
    byte_level_root,
    template_processing,
    write_byte_level_tokenizer,
)
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from convert.errors import InvalidFile, TokenizerMissing, UnsupportedTokenizer
from convert.notes import Note
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

N_VOCAB = 480
CONTRACTIONS = (
    "I'm you'RE he'S they'll we'Ve 'tis it'd 'x",
    "12 123 1234 12345.678 ٣٤٥٦",
    "a\n\n b\r\n\r\n  c \n",
)


def read(folder: Path, root: dict[str, Any], config: dict[str, Any] | None = None) -> Vocabulary:
    (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
    return read_vocabulary(folder, config=config or {"eos_token_id": 0})


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def check_equal_ids(folder: Path, root: dict[str, Any], vocabulary: Vocabulary, n_texts: int) -> None:
    """On `n_texts` random texts besides the usual ones, composed where the tokenizer composes."""
    original = Tokenizer.from_str(json.dumps(root))
    write_gguf(folder / "vocabulary.gguf", vocabulary)
    prepare: Callable[[str], str] = composed if root["normalizer"] else str
    with LoadedModel(folder / "vocabulary.gguf", vocab_only=True) as model:

        def check(text: str) -> None:
            text = prepare(text)
            expected = original.encode(text, add_special_tokens=False).ids
            assert model.tokenize(text, parse_special=True) == expected, repr(text)

        for text in (*TEXTS, *CONTRACTIONS):
            check(text)
        settings(max_examples=n_texts, deadline=None, derandomize=True)(given(mixed_text())(check))()


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_llama_cpp_finds_the_same_tokens_in_any_text(tmp_path: Path, family: str) -> None:
    write_byte_level_tokenizer(tmp_path, family, N_VOCAB)
    vocabulary = read_vocabulary(tmp_path, config={})

    assert vocabulary.pre == ("llama-bpe" if family == "llama-3" else "qwen2")
    check_equal_ids(tmp_path, byte_level_root(family, N_VOCAB), vocabulary, 1000)


def test_added_tokens_are_found_among_text(tmp_path: Path, family: str) -> None:
    root = byte_level_root(family, N_VOCAB)
    vocabulary = read(tmp_path, root)
    original = Tokenizer.from_str(json.dumps(root))
    write_gguf(tmp_path / "v.gguf", vocabulary)
    with LoadedModel(tmp_path / "v.gguf", vocab_only=True) as model:
        for entry in root["added_tokens"]:
            for text in ("{}", "a{}b", " {} ", "\n{}\n", "1{}1", "{}{}", "好{}。", "<{}>", "{", "|{}"):
                text = text.replace("{}", entry["content"])
                assert (
                    model.tokenize(text, parse_special=True)
                    == original.encode(text, add_special_tokens=False).ids
                )


def test_a_word_that_is_a_token_stays_whole_where_the_file_says_so(tmp_path: Path) -> None:
    """Some tokens are reached by no merges. The same Llama 3 file without `ignore_merges` cuts them up."""
    root = byte_level_root("llama-3", N_VOCAB)
    keeping = Tokenizer.from_str(json.dumps(root))
    words = [keeping.decode([token]) for token in range(N_VOCAB - N_LOST_MERGES, N_VOCAB)]
    root["model"]["ignore_merges"] = False
    merging = Tokenizer.from_str(json.dumps(root))
    vocabulary = read(tmp_path, root)

    assert any(keeping.encode(word).ids != merging.encode(word).ids for word in words)
    assert vocabulary.pre == "smaug-bpe"
    check_equal_ids(tmp_path, root, vocabulary, 300)
    with LoadedModel(tmp_path / "vocabulary.gguf", vocab_only=True) as model:
        for word in words:
            assert model.tokenize(word) == merging.encode(word, add_special_tokens=False).ids


def test_no_file_of_qwens_kind_may_keep_words_whole(tmp_path: Path) -> None:
    root = byte_level_root("qwen-2", N_VOCAB)
    root["model"]["ignore_merges"] = True
    with pytest.raises(UnsupportedTokenizer, match=r"model\.ignore_merges"):
        read(tmp_path, root)
