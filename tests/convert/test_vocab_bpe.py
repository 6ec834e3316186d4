"""tokenizer.json: llama.cpp finds the same tokens as the tokenizers library; other kinds are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tokenizers import Tokenizer

from builders.byte_level import added_token
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from builders.tokenizers import bloom_tokenizer_json, write_bloom_tokenizer
from convert.errors import InvalidFile, TokenizerMissing, UnsupportedTokenizer, VocabularyTooLong
from convert.notes import Note
from convert.tokenizers.pretokenizer import BLOOM_STOPS, word_stops
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

N_TOKENS = 450
PLAIN_TEXTS = [text for text in TEXTS if "<s>" not in text]


def _root() -> dict[str, Any]:
    root: dict[str, Any] = json.loads(bloom_tokenizer_json(N_TOKENS))
    return root


def _read(folder: Path, root: dict[str, Any], config: dict[str, Any] | None = None) -> Vocabulary:
    (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
    return read_vocabulary(folder, config=config or {})


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("bloom")
    write_bloom_tokenizer(folder, N_TOKENS)
    return read_vocabulary(folder, config={})


@pytest.fixture(scope="module")
def llama_cpp(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    path = tmp_path_factory.mktemp("gguf") / "vocabulary.gguf"
    write_gguf(path, vocabulary)
    with LoadedModel(path, vocab_only=True) as model:
        yield model


@pytest.fixture(scope="module")
def original() -> Tokenizer:
    return Tokenizer.from_str(bloom_tokenizer_json(N_TOKENS))


@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_llama_cpp_finds_the_same_tokens(llama_cpp: LoadedModel, original: Tokenizer, text: str) -> None:
    assert llama_cpp.tokenize(text) == original.encode(text).ids


def test_llama_cpp_finds_the_same_tokens_in_any_text(llama_cpp: LoadedModel, original: Tokenizer) -> None:
    @settings(max_examples=1500, deadline=None, derandomize=True)
    @given(mixed_text())
    def check(text: str) -> None:
        assert llama_cpp.tokenize(text) == original.encode(text).ids

    check()


def test_special_tokens_are_found_when_asked_for(llama_cpp: LoadedModel, original: Tokenizer) -> None:
    text = "Human: 你好\n\nAssistant:好。</s>Human: <pad> ?"
    assert llama_cpp.tokenize(text, parse_special=True) == original.encode(text).ids


def test_pieces_join_to_the_text(llama_cpp: LoadedModel) -> None:
    text = "Human: 你好 🚀\n\n\tx"
    assert b"".join(map(llama_cpp.piece, llama_cpp.tokenize(text))) == text.encode()


def test_both_spellings_of_merges_read_the_same(tmp_path: Path, vocabulary: Vocabulary) -> None:
    root = _root()
    root["model"]["merges"] = [" ".join(pair) for pair in root["model"]["merges"]]
    assert _read(tmp_path, root).merges == vocabulary.merges


def test_a_repeated_merge_counts_at_its_last_place(tmp_path: Path, vocabulary: Vocabulary) -> None:
    assert vocabulary.merges is not None
    root = _root()
    root["model"]["merges"].insert(0, root["model"]["merges"][5])
    assert _read(tmp_path, root).merges == vocabulary.merges


def test_the_file_itself_may_be_named(tmp_path: Path, vocabulary: Vocabulary) -> None:
    write_bloom_tokenizer(tmp_path, N_TOKENS)
    assert read_vocabulary(tmp_path / "tokenizer.json", config={}) == vocabulary


def test_ids_come_from_the_tokenizer_before_config_json(tmp_path: Path) -> None:
    wrong = {"bos_token_id": 9, "eos_token_id": 9, "unk_token_id": 9, "pad_token_id": 9}
    found = _read(tmp_path, _root(), wrong)
    assert (found.unk_id, found.bos_id, found.eos_id, found.pad_id) == (0, 1, 2, 3)
    assert found.types[:4] == [TokenType.CONTROL] * 4


def test_tokenizer_config_outranks_the_file(tmp_path: Path) -> None:
    settings_ = {"eos_token": {"content": "<pad>", "special": True}, "pad_token": None, "bos_token": ""}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings_))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"unk_token": "</s>", "eos_token": "<s>"}))
    found = _read(tmp_path, _root())
    assert (found.unk_id, found.bos_id, found.eos_id, found.pad_id) == (2, 1, 3, 3)


def test_config_json_is_asked_last_and_only_for_possible_ids(tmp_path: Path) -> None:
    root = _root()
    for entry in root["added_tokens"]:
        entry["special"] = False
    config = {"bos_token_id": True, "eos_token_id": [7, 8], "unk_token_id": -1, "pad_token_id": 10**30}
    found = _read(tmp_path, root, config)
    assert (found.bos_id, found.eos_id, found.unk_id, found.pad_id) == (None, 7, None, None)
    with pytest.raises(UnsupportedTokenizer):
        _read(tmp_path, root)


def test_added_tokens_have_the_librarys_ids(tmp_path: Path) -> None:
    """It gives the next free ids in the order of the list, whatever ids are listed."""
    root = _root()
    last = max(root["model"]["vocab"], key=root["model"]["vocab"].__getitem__)
    root["added_tokens"] += [
        added_token(N_TOKENS + 2, "<|turn|>", special=True),
        added_token(7, "<|plain|>", special=False),
        added_token(N_TOKENS + 9, last, special=False),
        added_token(N_TOKENS, "<|end|>", special=True),
        added_token(N_TOKENS, "<|end|>", special=True),
    ]
    original = Tokenizer.from_str(json.dumps(root))
    found = _read(tmp_path, root)

    assert found.tokens == [original.id_to_token(token) for token in range(original.get_vocab_size())]
    assert found.tokens[N_TOKENS:] == ["<|turn|>", "<|plain|>", "<|end|>"]
    assert found.types[N_TOKENS - 1 :] == [
        *(TokenType.USER_DEFINED, TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.CONTROL)
    ]
    assert found.notes == (Note("tokenizer_ids", {"token": "<|turn|>", "count": 4}),)


def test_ids_that_no_token_has_become_padding(tmp_path: Path) -> None:
    root = _root()
    vocab = root["model"]["vocab"]
    last = max(vocab, key=vocab.__getitem__)
    vocab[last] = N_TOKENS + 1
    vocab["[PAD450]"] = N_TOKENS + 2
    found = _read(tmp_path, root)

    assert found.tokens[N_TOKENS - 1 :] == ["[PAD449]", "[PAD450]_", last, "[PAD450]"]
    assert found.types[N_TOKENS - 1 :] == [*[TokenType.UNUSED] * 2, *[TokenType.NORMAL] * 2]


def test_padding_fills_the_embedding_and_llama_cpp_accepts_it(
    vocabulary: Vocabulary, original: Tokenizer, tmp_path: Path
) -> None:
    padded = vocabulary.padded(N_TOKENS + 100, tmp_path)
    assert len(padded) == len(padded.types) == N_TOKENS + 100
    write_gguf(tmp_path / "x.gguf", padded)
    with LoadedModel(tmp_path / "x.gguf", vocab_only=True) as model:
        for text in PLAIN_TEXTS:
            assert model.tokenize(text) == original.encode(text).ids
    with pytest.raises(VocabularyTooLong) as caught:
        vocabulary.padded(N_TOKENS - 1, tmp_path)
    assert (caught.value.n_tokens, caught.value.n_embeddings) == (N_TOKENS, N_TOKENS - 1)


@pytest.mark.parametrize(
    "expression",
    [
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r" ?[^(\s|.,!?…。，、।۔،)]+",
        r" ?[^\s\(\)\|\.\,!\?…。，、।۔،]+",
        r" ?[^[[\s]][.,!?]…(。，、)।|۔،]+",
    ],
)
def test_equal_sets_of_stops_are_recognised(tmp_path: Path, expression: str, vocabulary: Vocabulary) -> None:
    assert word_stops(expression) == BLOOM_STOPS
    root = _root()
    root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = expression
    retrained = Tokenizer.from_str(json.dumps(root))
    original = Tokenizer.from_str(bloom_tokenizer_json(N_TOKENS))
    assert all(retrained.encode(text).ids == original.encode(text).ids for text in TEXTS)
    assert _read(tmp_path, root).pre == vocabulary.pre == "bloom"


@pytest.mark.parametrize(
    "expression",
    [
        r"[^(\s|[.,!?…。，、।۔،])]+",
        r" ?[^(\s|[.,!?…。，、।۔])]+",
        r" ?[^(\S|[.,!?…。，、।۔،])]+",
        r" ?[^(\s|[.,!?…。，、।۔،])]*",
        r" ?[^(\s|[^.,!?…。，、।۔،])]+",
        r" ?[^(\s|[.,!-?…。，、।۔،])]+",
        r" ?[^(\s|[.,!?…。，、।۔،])]+|x]+",
        r" ?[^(\s|[.,!?…。，、।۔،)]+",
        r"\p{N}",
        "",
    ],
)
def test_other_expressions_are_refused(tmp_path: Path, expression: str) -> None:
    root = _root()
    root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = expression
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, root)
    assert "pre_tokenizer" in caught.value.detail


def _set(*keys: Any, value: Any) -> Any:
    def change(root: dict[str, Any]) -> None:
        place: Any = root
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def _add(**flags: bool) -> Any:
    def change(root: dict[str, Any]) -> None:
        root["added_tokens"].append(added_token(N_TOKENS, "<|x|>", special=False, **flags))

    return change


STEPS = ("pre_tokenizer", "pretokenizers")
BOS = {"SpecialToken": {"id": "<s>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}
EOS = {"SpecialToken": {"id": "</s>", "type_id": 0}}


def _template(*pieces: Any) -> dict[str, Any]:
    return {"type": "TemplateProcessing", "single": list(pieces)}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (_set("normalizer", value={"type": "NFD"}), "normalizer NFD"),
        (_set("normalizer", value={"type": "Sequence", "normalizers": [{"type": "NFKC"}]}), "normalizer"),
        (_set("pre_tokenizer", value=None), "pre_tokenizer"),
        (_set("pre_tokenizer", value={"type": "Whitespace"}), "pre_tokenizer Whitespace"),
        (_set(*STEPS, 0, "behavior", value="Removed"), "pre_tokenizer"),
        (_set(*STEPS, 0, "invert", value=True), "pre_tokenizer"),
        (_set(*STEPS, 0, "pattern", value={"String": " "}), "pre_tokenizer"),
        (_set(*STEPS, 1, "add_prefix_space", value=True), "pre_tokenizer"),
        (_set(*STEPS, 1, "use_regex", value=True), "pre_tokenizer"),
        (_set(*STEPS, 1, value={"type": "ByteLevel", "add_prefix_space": False}), "pre_tokenizer"),
        (_set("decoder", value={"type": "Metaspace"}), "decoder Metaspace"),
        (_set("decoder", value=None), "decoder"),
        (_set("post_processor", value={"type": "BertProcessing"}), "post_processor"),
        (_set("post_processor", value=_template(BOS, BOS, TEXT)), "post_processor TemplateProcessing"),
        (_set("post_processor", value=_template(TEXT, TEXT)), "post_processor TemplateProcessing"),
        (_set("post_processor", value={"type": "TemplateProcessing"}), "post_processor TemplateProcessing"),
        (_set("model", "type", value="WordPiece"), "model WordPiece"),
        (_set("model", "dropout", value=0.1), "model.dropout"),
        (_set("model", "ignore_merges", value=True), "model.ignore_merges"),
        (_set("model", "end_of_word_suffix", value="</w>"), "model.end_of_word_suffix"),
        (_add(lstrip=True), "added token '<|x|>': lstrip"),
        (_add(rstrip=True), "added token '<|x|>': rstrip"),
        (_add(single_word=True), "added token '<|x|>': single_word"),
    ],
)
def test_what_would_change_tokens_is_refused_by_name(tmp_path: Path, change: Any, part: str) -> None:
    root = _root()
    change(root)
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, root)
    assert caught.value.detail.startswith(part)


def test_a_template_that_adds_the_beginning_token_is_kept(tmp_path: Path) -> None:
    root = _root()
    assert not _read(tmp_path, root).add_bos
    root["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, _template(BOS, TEXT)]}
    assert _read(tmp_path, root).add_bos


def test_an_alphabet_with_holes_is_refused(tmp_path: Path) -> None:
    root = _root()
    vocab = root["model"]["vocab"]
    vocab["<hole>"] = vocab.pop("q")
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, root)
    assert caught.value.detail == "no token for 1 of the bytes of UTF-8"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["BloomForCausalLM"], "tokenizer.json"),
        (["LLaMAForCausalLM"], "tokenizer.model / tokenizer.json"),
        (["Qwen3ForCausalLM"], "tokenizer.json"),
        (None, "tokenizer.json / tokenizer.model"),
    ],
)
def test_a_missing_tokenizer_says_which_file_is_needed(tmp_path: Path, names: Any, expected: str) -> None:
    with pytest.raises(TokenizerMissing) as caught:
        read_vocabulary(tmp_path, config={"architectures": names})
    assert (caught.value.path, caught.value.expected) == (tmp_path, expected)
    with pytest.raises(TokenizerMissing):
        read_vocabulary(tmp_path / "absent.json", config={})


@pytest.mark.parametrize(
    "change",
    [
        _set("model", value=[]),
        _set("model", "vocab", value={}),
        _set("model", "vocab", "a", value=-1),
        _set("model", "vocab", "a", value=2**40),
        _set("model", "vocab", "a", value=True),
        _set("model", "vocab", "a", value="5"),
        _set("model", "vocab", "a", value=1.5),
        _set("model", "vocab", "a", value=0),
        _set("model", "vocab", "far", value=500_000),
        _set("model", "merges", value=None),
        _set("model", "merges", value=[]),
        _set("model", "merges", value=["a b c"]),
        _set("model", "merges", value=[["a", 1]]),
        _set("model", "merges", value=["zz qq"]),
        _set("model", "merges", value=[["a"]]),
        _set("added_tokens", value={}),
        _set("added_tokens", value=[7]),
        _set("added_tokens", 0, "id", value=-1),
        _set("added_tokens", 0, "content", value=None),
        _set("pre_tokenizer", "pretokenizers", value=None),
        _set("normalizer", value=[]),
    ],
)
def test_a_file_that_contradicts_itself_is_not_called_damaged(tmp_path: Path, change: Any) -> None:
    root = _root()
    change(root)
    with pytest.raises(InvalidFile) as caught:
        _read(tmp_path, root)
    assert caught.value.path == tmp_path / "tokenizer.json"


@pytest.mark.parametrize("text", ["", "x\0y", "\ud800", "x" * 5000])
def test_tokens_that_llama_cpp_can_not_hold_are_told(tmp_path: Path, text: str) -> None:
    root = _root()
    root["model"]["vocab"][text] = N_TOKENS
    with pytest.raises(InvalidFile):
        _read(tmp_path, root)
