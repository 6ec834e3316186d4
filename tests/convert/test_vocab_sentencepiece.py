"""tokenizer.model: llama.cpp finds the tokens that SentencePiece finds; other kinds are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from builders.checkpoints import write_llama
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from builders.tokenizers import (
    bloom_tokenizer_json,
    llama_tokenizer_model,
    write_llama_tokenizer_of_transformers_5,
)
from convert.detect import open_checkpoint
from convert.errors import DamagedFile, InvalidFile, UnsupportedTokenizer, VocabularyTooLong
from convert.notes import Note
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

N_TOKENS = 520
BOS_FIRST = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1}
"""The wrong ids that a well-known LLaMA conversion of 2023 carried in its config.json."""


def _read(folder: Path, data: bytes, **neighbours: Any) -> Vocabulary:
    (folder / "tokenizer.model").write_bytes(data)
    for name, value in neighbours.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return read_vocabulary(folder, config=BOS_FIRST)


TRAINER, NORMALIZER = b"\x12", b"\x1a"
"""Field tags of the two messages; protobuf merges a message that appears twice, so changes are appended."""


def _changed(message: bytes, fields: bytes) -> bytes:
    return llama_tokenizer_model(N_TOKENS) + message + bytes([len(fields)]) + fields


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return _read(tmp_path_factory.mktemp("llama"), llama_tokenizer_model(N_TOKENS))


@pytest.fixture(scope="module")
def original() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=llama_tokenizer_model(N_TOKENS))


@pytest.fixture(scope="module")
def llama_cpp(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    path = tmp_path_factory.mktemp("gguf") / "vocabulary.gguf"
    write_gguf(path, vocabulary)
    with LoadedModel(path, vocab_only=True) as model:
        yield model


def test_pieces_scores_and_types_are_the_librarys(
    vocabulary: Vocabulary, original: SentencePieceProcessor
) -> None:
    ids = range(original.get_piece_size())
    assert vocabulary.tokens == [original.id_to_piece(token) for token in ids]
    assert vocabulary.scores == [original.get_score(token) for token in ids]
    for token in ids:
        kind = vocabulary.types[token]
        assert (kind == TokenType.UNKNOWN) == original.is_unknown(token)
        assert (kind == TokenType.CONTROL) == original.is_control(token)
        assert (kind == TokenType.BYTE) == original.is_byte(token)
        assert (kind == TokenType.UNUSED) == original.is_unused(token)
    assert vocabulary.types.count(TokenType.BYTE) == 256


@pytest.mark.parametrize("text", [text for text in TEXTS if "<s>" not in text])
def test_llama_cpp_finds_the_same_tokens(
    llama_cpp: LoadedModel, original: SentencePieceProcessor, text: str
) -> None:
    assert llama_cpp.tokenize(text) == original.encode(text)


def test_llama_cpp_finds_the_same_tokens_in_any_text(
    llama_cpp: LoadedModel, original: SentencePieceProcessor
) -> None:
    @settings(max_examples=1500, deadline=None, derandomize=True)
    @given(mixed_text())
    def check(text: str) -> None:
        assert llama_cpp.tokenize(text) == original.encode(text)

    check()


def test_the_tokenizers_own_ids_win_over_config_json(
    vocabulary: Vocabulary, original: SentencePieceProcessor
) -> None:
    assert vocabulary.bos_id == original.bos_id() == 1
    assert vocabulary.eos_id == original.eos_id() == 2
    assert vocabulary.unk_id == original.unk_id() == 0
    assert vocabulary.pad_id is None


def test_the_beginning_token_is_added_unless_the_settings_deny_it(
    tmp_path: Path, vocabulary: Vocabulary, llama_cpp: LoadedModel
) -> None:
    assert vocabulary.add_bos
    assert llama_cpp.tokenize("a", add_special=True)[0] == 1
    data = llama_tokenizer_model(N_TOKENS)
    assert not _read(tmp_path, data, tokenizer_config={"add_bos_token": False}).add_bos


def test_no_dummy_prefix_where_the_tokenizer_has_none(tmp_path: Path) -> None:
    data = _changed(NORMALIZER, b"\x18\x00")
    found = _read(tmp_path, data)
    assert found.add_space_prefix is False
    write_gguf(tmp_path / "x.gguf", found)
    library = SentencePieceProcessor(model_proto=data)
    with LoadedModel(tmp_path / "x.gguf", vocab_only=True) as model:
        for text in ("a model", "你好", " x"):
            assert model.tokenize(text) == library.encode(text)


def test_named_pieces_other_than_the_usual_are_followed(tmp_path: Path) -> None:
    data = _changed(TRAINER, b"\xf2\x02\x04</s>" + b"\xfa\x02\x03<s>")
    found = _read(tmp_path, data)
    library = SentencePieceProcessor(model_proto=data)
    assert (found.bos_id, found.eos_id) == (library.bos_id(), library.eos_id()) == (2, 1)


def test_added_tokens_follow_the_pieces(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        llama_tokenizer_model(N_TOKENS),
        added_tokens={"[PAD]": N_TOKENS, "<turn>": N_TOKENS + 2, "</s>": 2},
        special_tokens_map={"pad_token": "[PAD]", "bos_token": {"content": "<s>"}},
        tokenizer_config={
            "eos_token": "",
            "added_tokens_decoder": {"1": {"content": "<s>", "special": True}},
        },
    )
    assert found.tokens[N_TOKENS:] == ["[PAD]", f"[PAD{N_TOKENS + 1}]", "<turn>"]
    assert found.types[N_TOKENS:] == [TokenType.CONTROL, TokenType.UNUSED, TokenType.USER_DEFINED]
    assert (found.pad_id, found.bos_id, found.eos_id) == (N_TOKENS, 1, 2)
    write_gguf(tmp_path / "x.gguf", found.padded(N_TOKENS + 10, tmp_path))
    with LoadedModel(tmp_path / "x.gguf", vocab_only=True) as model:
        assert N_TOKENS + 2 in model.tokenize("x<turn>y")
        assert model.piece(N_TOKENS + 2) == b"<turn>"


@pytest.mark.parametrize(
    "neighbours",
    [
        {"added_tokens": {"x": -1}},
        {"added_tokens": {"x": 2**40}},
        {"added_tokens": {"x": True}},
        {"added_tokens": {"x": "7"}},
        {"added_tokens": {"x": 5}},
        {"added_tokens": {"x": N_TOKENS, "y": N_TOKENS}},
        {"added_tokens": {"x": 500_000}},
        {"added_tokens": {"<s>": N_TOKENS}},
        {"added_tokens": {"": N_TOKENS}},
        {"added_tokens": ["x"]},
        {"tokenizer_config": {"added_tokens_decoder": {"x": {"content": "y"}}}},
        {"tokenizer_config": {"added_tokens_decoder": {str(N_TOKENS): {"content": 7}}}},
    ],
)
def test_impossible_added_tokens_are_invalid(tmp_path: Path, neighbours: dict[str, Any]) -> None:
    with pytest.raises(InvalidFile):
        _read(tmp_path, llama_tokenizer_model(N_TOKENS), **neighbours)


@pytest.mark.parametrize(
    ("message", "fields", "detail"),
    [
        (TRAINER, b"\x18\x01", "model_type unigram"),
        (TRAINER, b"\x18\x04", "model_type char"),
        (TRAINER, b"\xc0\x01\x01", "treat_whitespace_as_suffix"),
        (NORMALIZER, b"\x20\x01", "normalizer remove_extra_whitespaces"),
        (NORMALIZER, b"\x28\x00", "normalizer without escape_whitespaces"),
        (NORMALIZER, b"\x12\x02\x01\x02", "normalizer precompiled_charsmap"),
    ],
)
def test_what_would_change_tokens_is_refused_by_name(
    tmp_path: Path, message: bytes, fields: bytes, detail: str
) -> None:
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, _changed(message, fields))
    assert caught.value.detail == detail


def test_a_tokenizer_without_byte_pieces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, llama_tokenizer_model(264, byte_fallback=False))
    assert "byte pieces" in caught.value.detail


def _piece(text: bytes, score: float = 0.0) -> bytes:
    message = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", score)
    return b"\x0a" + bytes([len(message)]) + message


@pytest.mark.parametrize(
    "tail",
    [
        _piece(b"\xff\xfe"),
        b"\x0a\x04\x0a\x01x\x18",
        b"\x0a",
        b"\x0a\xff",
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x0a" + b"\xff" * 8 + b"\x7f",
        b"\x08" + b"\xff" * 20,
        b"\x08" + b"\xff" * 9 + b"\x02",
        b"\x0b",
        b"\x00",
        b"\x0d\x00",
    ],
)
def test_damage_is_told(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(DamagedFile):
        _read(tmp_path, llama_tokenizer_model(N_TOKENS) + tail)


@pytest.mark.parametrize(
    "tail",
    [
        _piece(b"<s>"),
        _piece(b""),
        _piece(b"x\0y"),
        _piece(b"fresh", float("nan")),
        _piece(b"fresh", float("inf")),
        b"\x0a\x02\x18\x07",
    ],
)
def test_pieces_that_no_vocabulary_can_have_are_invalid(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(InvalidFile):
        _read(tmp_path, llama_tokenizer_model(N_TOKENS) + tail)


def test_unknown_fields_are_skipped(tmp_path: Path, vocabulary: Vocabulary) -> None:
    later = b"\xa0\x06\x05" + b"\xaa\x06\x03abc" + b"\xa5\x06abcd" + b"\xa1\x06abcdefgh"
    assert _read(tmp_path, llama_tokenizer_model(N_TOKENS) + later) == vocabulary


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """What transformers 5 saves of the same tokenizer, with a tokenizer.model copied in from the base."""
    write_llama_tokenizer_of_transformers_5(tmp_path, N_TOKENS, added=["<|user|>", "<|end|>"])
    (tmp_path / "tokenizer.model").write_bytes(llama_tokenizer_model(N_TOKENS))
    return tmp_path


def test_added_tokens_of_a_tokenizer_json_beside_the_pieces_are_read(
    saved: Path, vocabulary: Vocabulary
) -> None:
    found = read_vocabulary(saved, config={})
    assert found.notes == (Note("tokenizer_space_first"),)
    assert found.add_space_prefix
    assert not found.for_template("{{ bos_token }}{{ messages }}").add_space_prefix
    assert found.scores is not None
    assert vocabulary.scores is not None
    assert found.scores[:N_TOKENS] == vocabulary.scores
    assert found.tokens == [*vocabulary.tokens, "<|user|>", "<|end|>"]
    assert found.types == [*vocabulary.types, TokenType.CONTROL, TokenType.CONTROL]
    write_gguf(saved / "x.gguf", found)
    library = Tokenizer.from_file(str(saved / "tokenizer.json"))
    with LoadedModel(saved / "x.gguf", vocab_only=True) as model:
        text = "<|user|>你好<|end|>"
        assert model.tokenize(text, parse_special=True)[0] == library.token_to_id("<|user|>") == N_TOKENS
        assert model.tokenize(text, parse_special=True)[-1] == library.token_to_id("<|end|>")


def _change_json(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    root = json.loads((folder / name).read_text(encoding="utf-8"))
    change(root)
    (folder / name).write_text(json.dumps(root), encoding="utf-8")


def test_a_plain_added_token_of_a_tokenizer_json_is_found_in_any_text(saved: Path) -> None:
    entry = {"id": N_TOKENS + 2, "content": "[x]", "special": False}
    _change_json(saved, "tokenizer.json", lambda root: root["added_tokens"].append(entry))
    found = read_vocabulary(saved, config={})
    assert (found.tokens[-1], found.types[-1]) == ("[x]", TokenType.USER_DEFINED)


def test_a_tokenizer_json_with_other_pieces_is_the_one_to_read(saved: Path) -> None:
    def extend(root: dict[str, Any]) -> None:
        root["model"]["vocab"] |= {"<|user|>": N_TOKENS, "<|end|>": N_TOKENS + 1, "的的": N_TOKENS + 2}
        root["model"]["merges"].append(["的", "的"])

    _change_json(saved, "tokenizer.json", extend)
    found = read_vocabulary(saved, config={})
    assert found.tokens[N_TOKENS + 2] == "的的"
    choice = {"chosen": "tokenizer.json", "other": "tokenizer.model"}
    assert found.notes[0] == Note("tokenizer_choice", choice)


def test_a_tokenizer_json_left_from_a_smaller_base_is_not_read(saved: Path) -> None:
    (saved / "tokenizer.model").write_bytes(llama_tokenizer_model(N_TOKENS) + _piece("的的".encode(), -9.0))
    (saved / "tokenizer_config.json").unlink()
    _change_json(saved, "tokenizer.json", lambda root: root.update(added_tokens=root["added_tokens"][:3]))
    found = read_vocabulary(saved, config={})
    assert found.tokens[N_TOKENS:] == ["的的"]
    choice = {"chosen": "tokenizer.model", "other": "tokenizer.json"}
    assert found.notes == (Note("tokenizer_choice", choice),)


def test_an_added_token_of_one_file_that_another_contradicts_is_named_with_its_file(saved: Path) -> None:
    (saved / "added_tokens.json").write_text(json.dumps({"<|user|>": N_TOKENS, "[y]": N_TOKENS + 1}))
    with pytest.raises(InvalidFile) as caught:
        read_vocabulary(saved, config={})
    assert caught.value.path == saved / "tokenizer.json"
    assert "<|end|>" in caught.value.detail


@pytest.mark.parametrize(
    "settings",
    [
        {"extra_special_tokens": ["<turn>", {"content": "<call>"}]},
        {"extra_special_tokens": {"turn_token": "<turn>", "call_token": {"content": "<call>"}}},
        {"additional_special_tokens": ["<turn>", "<call>"]},
        {"turn_token": "<turn>", "model_specific_special_tokens": {"call_token": "<call>"}},
    ],
)
def test_special_tokens_are_known_wherever_transformers_writes_them(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    added = {"<turn>": N_TOKENS + 1, "<call>": N_TOKENS + 2, "<plain>": N_TOKENS}
    data = llama_tokenizer_model(N_TOKENS)
    found = _read(tmp_path, data, added_tokens=added, tokenizer_config=settings)
    assert found.types[N_TOKENS:] == [TokenType.USER_DEFINED, TokenType.CONTROL, TokenType.CONTROL]


def test_special_tokens_that_no_list_of_tokens_has_get_the_next_ids(tmp_path: Path) -> None:
    named = {"extra_special_tokens": ["<turn>"], "pad_token": "[PAD]", "bos_token": ""}
    found = _read(tmp_path, llama_tokenizer_model(N_TOKENS), tokenizer_config=named)
    assert found.tokens[N_TOKENS:] == ["[PAD]", "<turn>"]
    assert (found.pad_id, found.types[-1]) == (N_TOKENS, TokenType.CONTROL)


def test_a_name_that_nothing_answers_to_adds_no_token_beyond_the_embedding(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(llama_tokenizer_model(N_TOKENS))
    named = {"eos_token": "<|im_end|>", "pad_token": "[PAD]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(named))
    found = read_vocabulary(tmp_path, config={"vocab_size": N_TOKENS})
    assert (len(found), found.eos_id, found.pad_id) == (N_TOKENS, 2, None)
    assert read_vocabulary(tmp_path, config={"vocab_size": N_TOKENS + 1}).eos_id == N_TOKENS


def test_control_tokens_without_a_row_in_the_embedding_are_left_out_with_a_note(tmp_path: Path) -> None:
    added = {"<pad>": N_TOKENS, "<turn>": N_TOKENS + 1}
    named = {"pad_token": "<pad>", "extra_special_tokens": ["<turn>"]}
    found = _read(
        tmp_path, llama_tokenizer_model(N_TOKENS), added_tokens=added, special_tokens_map=named
    ).without_rowless(N_TOKENS)
    assert len(found) == len(found.types) == len(found.scores or ()) == N_TOKENS
    assert found.pad_id is None
    values = {"token": "<pad>", "count": 2, "n_embeddings": N_TOKENS}
    assert found.notes == (Note("tokenizer_rowless", values),)
    assert found.padded(N_TOKENS, tmp_path) == found


@pytest.mark.parametrize(
    "named", [{}, {"eos_token": "<pad>"}, {"bos_token": "<pad>"}, {"unk_token": "<pad>"}]
)
def test_tokens_that_a_text_may_need_are_not_left_out(tmp_path: Path, named: dict[str, str]) -> None:
    data = llama_tokenizer_model(N_TOKENS)
    found = _read(tmp_path, data, added_tokens={"<pad>": N_TOKENS}, special_tokens_map=named)
    assert found.without_rowless(N_TOKENS) is found
    assert found.without_rowless(N_TOKENS + 1) is found
    with pytest.raises(VocabularyTooLong):
        found.padded(N_TOKENS, tmp_path)


def test_a_list_of_tiktokens_is_named_as_what_it_is(tmp_path: Path) -> None:
    data = b"IQ== 0\nIg== 1\nIw== 2\n"
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, data)
    assert "tiktoken" in caught.value.detail
    (tmp_path / "tokenizer.json").write_text(bloom_tokenizer_json(400), encoding="utf-8")
    assert read_vocabulary(tmp_path, config={}).model == "gpt2"


def test_a_checkpoint_opens_without_the_control_tokens_that_it_has_no_row_for(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "llama", n_tokens=N_TOKENS).folder
    (folder / "added_tokens.json").write_text(json.dumps({"<pad>": N_TOKENS}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}))
    with open_checkpoint(folder) as checkpoint:
        assert [note.key for note in checkpoint.notes] == ["tokenizer_rowless"]
        plan = checkpoint.plan("q8_0", checkpoint.prompt("auto"))
        assert len(plan.vocabulary) == N_TOKENS
        assert "tokenizer.ggml.padding_token_id" not in plan.metadata


def test_a_checkpoint_without_a_tokenizer_model_is_written_with_what_fits_its_template(
    tmp_path: Path,
) -> None:
    n_tokens = N_TOKENS + 1
    folder = write_llama(tmp_path / "llama", n_tokens=n_tokens, tokenizer=False).folder
    write_llama_tokenizer_of_transformers_5(folder, N_TOKENS, added=["<|turn|>"])
    turns = "{% for m in messages %}<|turn|>{{ m['content'] }}{% endfor %}<|turn|>"
    for template, has_prefix in ((turns, False), ("{{ messages[0]['content'] }}", True)):
        (folder / "chat_template.jinja").write_text(template)
        with open_checkpoint(folder) as checkpoint:
            plan = checkpoint.plan("q8_0", checkpoint.prompt("auto"))
            assert plan.metadata["tokenizer.ggml.model"] == "llama"
            assert plan.metadata["tokenizer.ggml.add_space_prefix"] is has_prefix
            belle = checkpoint.plan("q8_0", checkpoint.prompt("belle-llama"))
            assert belle.metadata["tokenizer.ggml.add_space_prefix"] is True
