"""Byte-level BPE as Llama 3 and Qwen define it: llama.cpp finds the tokens of the tokenizers library."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from builders.byte_level import (
    FAMILIES,
    added_token,
    byte_level_root,
    template_processing,
    write_byte_level_tokenizer,
)
from builders.checkpoints import write_llama
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from convert.detect import open_checkpoint
from convert.errors import UnsupportedTokenizer, VocabularyTooLong
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
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    words = [keeping.decode([token]) for token in range(256, N_VOCAB)]
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


def test_only_text_written_in_parts_reads_otherwise_without_nfc(tmp_path: Path) -> None:
    """llama.cpp rewrites no text, so what Qwen's tokenizer joins first is noted."""
    root = byte_level_root("qwen-2", N_VOCAB)
    vocabulary = read(tmp_path, root)
    original = Tokenizer.from_str(json.dumps(root))
    write_gguf(tmp_path / "v.gguf", vocabulary)

    assert vocabulary.notes == (Note("tokenizer_nfc"),)
    with LoadedModel(tmp_path / "v.gguf", vocab_only=True) as model:
        for parts in ("e\u0301te\u0301", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u212bngstro\u0308m"):
            whole = composed(parts)
            assert model.tokenize(whole) == original.encode(whole).ids == original.encode(parts).ids
            assert model.tokenize(parts) != original.encode(parts).ids


def test_no_note_where_nothing_differs(tmp_path: Path) -> None:
    assert read(tmp_path, byte_level_root("llama-3", N_VOCAB)).notes == ()


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word"])
def test_flags_of_a_control_token_change_no_text_without_it(tmp_path: Path, flag: str) -> None:
    """They are noted: where a prompt format writes the token beside spaces, llama.cpp keeps those."""
    root = byte_level_root("llama-3", N_VOCAB)
    root["added_tokens"][9] |= {flag: True}
    vocabulary = read(tmp_path, root)

    assert vocabulary.notes == (Note("tokenizer_flags", {"token": "<|eot_id|>", "count": 1}),)
    check_equal_ids(tmp_path, root, vocabulary, 100)
    original = Tokenizer.from_str(json.dumps(root))
    with LoadedModel(tmp_path / "vocabulary.gguf", vocab_only=True) as model:
        for text, is_same in (("a.<|eot_id|>.b", True), ("a <|eot_id|> b<|eot_id|>c", False)):
            ids = original.encode(text, add_special_tokens=False).ids
            assert (model.tokenize(text, parse_special=True) == ids) is is_same


def with_words(words: Sequence[str]) -> dict[str, Any]:
    root = byte_level_root("llama-3", N_VOCAB)
    first = N_VOCAB + len(root["added_tokens"])
    root["added_tokens"] += [
        added_token(first + index, word, special=False) for index, word in enumerate(words)
    ]
    return root


@pytest.mark.parametrize(
    ("words", "text"), [(["人工", "工智能"], "人工智能"), (["xy", "zz", "yyz"], "a xyyz")]
)
def test_words_that_share_characters_are_noted(tmp_path: Path, words: list[str], text: str) -> None:
    root = with_words(words)
    vocabulary = read(tmp_path, root)
    original = Tokenizer.from_str(json.dumps(root))
    write_gguf(tmp_path / "v.gguf", vocabulary)

    assert vocabulary.notes == (Note("tokenizer_overlap", {"first": words[0], "second": words[-1]}),)
    with LoadedModel(tmp_path / "v.gguf", vocab_only=True) as model:
        assert model.tokenize(text) != original.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    "words", [["  ", "   ", "     "], ["ab", "abc", "xaby"], ["人工智能", "工智"], ["好", "你好吗"]]
)
def test_words_that_the_libraries_take_alike_are_not(tmp_path: Path, words: list[str]) -> None:
    root = with_words(words)
    vocabulary = read(tmp_path, root)
    original = Tokenizer.from_str(json.dumps(root))
    write_gguf(tmp_path / "v.gguf", vocabulary)

    assert vocabulary.notes == ()
    with LoadedModel(tmp_path / "v.gguf", vocab_only=True) as model:

        @settings(max_examples=300, deadline=None, derandomize=True)
        @given(st.lists(st.sampled_from("".join(words) + "z"), max_size=16).map("".join))
        def check(text: str) -> None:
            assert model.tokenize(text) == original.encode(text, add_special_tokens=False).ids

        check()


def test_the_frame_of_a_text_is_kept_but_for_its_end(tmp_path: Path) -> None:
    """Tokenizers saved with `add_eos_token` end every text: no prompt may end so."""
    root = byte_level_root("llama-3", N_VOCAB)
    end = {"<|end_of_text|>": N_VOCAB + 1}
    root["post_processor"]["processors"][1] = template_processing("<|begin_of_text|>", N_VOCAB, end)
    vocabulary = read(tmp_path, root)

    assert Tokenizer.from_str(json.dumps(root)).encode("a").ids[-1] == N_VOCAB + 1
    assert (vocabulary.bos_id, vocabulary.add_bos) == (N_VOCAB, True)
    assert vocabulary.notes == (Note("tokenizer_end", {"token": "<|end_of_text|>"}),)


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("has_template", [False, True])
def test_tokenizer_json_alone_says_whether_a_beginning_token_comes_first(
    tmp_path: Path, stated: bool, has_template: bool
) -> None:
    from transformers import AutoTokenizer

    write_byte_level_tokenizer(tmp_path, "llama-3", N_VOCAB)
    _change(tmp_path / "tokenizer_config.json", lambda content: content.update(add_bos_token=stated))
    if not has_template:
        _change(tmp_path / "tokenizer.json", lambda root: root["post_processor"]["processors"].pop())
    first = AutoTokenizer.from_pretrained(tmp_path).encode("a")[0]

    assert read_vocabulary(tmp_path, config={}).add_bos is (first == N_VOCAB) is has_template


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_beginning_token_that_the_settings_contradict_is_refused(tmp_path: Path) -> None:
    root = byte_level_root("llama-3", N_VOCAB)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|end_of_text|>"}))
    with pytest.raises(UnsupportedTokenizer, match="post_processor TemplateProcessing"):
        read(tmp_path, root)


def test_special_tokens_are_control_and_others_are_text(tmp_path: Path) -> None:
    write_byte_level_tokenizer(tmp_path, "qwen-3", N_VOCAB)
    vocabulary = read_vocabulary(tmp_path, config={"bos_token_id": N_VOCAB})
    added = dict(zip(vocabulary.tokens[N_VOCAB:], vocabulary.types[N_VOCAB:], strict=True))

    control = [text for text, kind in added.items() if kind is TokenType.CONTROL]
    assert control == list(FAMILIES["qwen-3"].special)
    assert {added[text] for text in FAMILIES["qwen-3"].plain} == {TokenType.USER_DEFINED}
    assert set(vocabulary.types[:N_VOCAB]) == {TokenType.NORMAL}
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id) == (N_VOCAB, N_VOCAB + 2, N_VOCAB)
    assert not vocabulary.add_bos


def test_what_transformers_saves_again_reads_the_same(tmp_path: Path, family: str) -> None:
    """With no `added_tokens_decoder`, other spellings of lists, and each merge as a pair."""
    from transformers import AutoTokenizer

    (tmp_path / "first").mkdir()
    write_byte_level_tokenizer(tmp_path / "first", family, N_VOCAB)
    AutoTokenizer.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")

    assert read_vocabulary(tmp_path / "second", config={}) == read_vocabulary(tmp_path / "first", config={})


def test_a_control_token_without_a_row_is_left_out(tmp_path: Path) -> None:
    write_byte_level_tokenizer(tmp_path, "llama-3", N_VOCAB)
    root = byte_level_root("llama-3", N_VOCAB)
    n_rows = N_VOCAB + len(root["added_tokens"]) - 1
    write_llama(tmp_path, n_tokens=n_rows, tokenizer=False, config={"eos_token_id": None})
    with open_checkpoint(tmp_path) as checkpoint:
        values = {"token": "<|python_tag|>", "count": 1, "n_embeddings": n_rows}
        assert checkpoint.notes == (Note("tokenizer_rowless", values),)
        plan = checkpoint.plan("f32", checkpoint.prompt("auto"))
    assert len(plan.vocabulary) == n_rows
    check_equal_ids(tmp_path, root, plan.vocabulary, 100)


@pytest.mark.parametrize(("family", "n_missing"), [("llama-3", 2), ("qwen-3", 1)])
def test_tokens_that_are_written_need_their_rows(tmp_path: Path, family: str, n_missing: int) -> None:
    """Llama 3's last but one ends answers, Qwen's last stands in texts."""
    n_tokens = write_byte_level_tokenizer(tmp_path, family, N_VOCAB)
    write_llama(tmp_path, n_tokens=n_tokens - n_missing, tokenizer=False)
    with open_checkpoint(tmp_path) as checkpoint, pytest.raises(VocabularyTooLong):
        checkpoint.plan("f32", checkpoint.prompt("auto"))
