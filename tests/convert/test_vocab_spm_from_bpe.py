"""LLaMA's tokenizers that are a tokenizer.json: llama.cpp finds the tokens that the library finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from builders.tokenizers import (
    SENTENCES,
    SPACES,
    llama_tokenizer_model,
    merges_by_score,
    write_llama_tokenizer_of_transformers_5,
)
from convert.errors import InvalidFile, UnsupportedTokenizer
from convert.notes import Note
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

N_TOKENS = 620
TURN = N_TOKENS
USUAL = [text for text in TEXTS if "<s>" not in text]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that transformers 5 saved, with a special token of a chat template."""
    folder = tmp_path_factory.mktemp("saved")
    write_llama_tokenizer_of_transformers_5(folder, N_TOKENS, added=["<|turn|>"], add_bos_token=True)
    return folder


@pytest.fixture
def root(saved: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))
    return result


def _read(folder: Path, root: dict[str, Any], **neighbours: Any) -> Vocabulary:
    for name, value in {"tokenizer": root, **neighbours}.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return read_vocabulary(folder, config={})


class _Both:
    """llama.cpp and the tokenizers library with one tokenizer."""

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        write_gguf(folder / "vocabulary.gguf", vocabulary)
        self.library = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.llama_cpp = LoadedModel(folder / "vocabulary.gguf", vocab_only=True)

    def agree_on(self, text: str) -> bool:
        expected = self.library.encode(text, add_special_tokens=False).ids
        return self.llama_cpp.tokenize(text, parse_special=True) == expected


def _begins_with_space(text: str) -> bool:
    return text.startswith((" ", "\u2581"))


@pytest.fixture(scope="module", params=list(SPACES))
def form(
    request: pytest.FixtureRequest, saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Vocabulary, _Both]]:
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    root = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = _read(folder, {**root, **SPACES[name]})
    both = _Both(folder, vocabulary)
    with both.llama_cpp:
        yield name, vocabulary, both


@pytest.mark.parametrize("text", USUAL)
def test_llama_cpp_finds_the_same_tokens(form: tuple[str, Vocabulary, _Both], text: str) -> None:
    name, _, both = form
    if name in ("always", "first") and _begins_with_space(text):
        assert both.llama_cpp.tokenize(text) == both.library.encode(" " + text, add_special_tokens=False).ids
    else:
        assert both.agree_on(text)


def test_llama_cpp_finds_the_same_tokens_in_any_text(form: tuple[str, Vocabulary, _Both]) -> None:
    name, _, both = form

    @settings(max_examples=400, deadline=None, derandomize=True)
    @given(mixed_text())
    def check(text: str) -> None:
        assume(name not in ("always", "first") or not _begins_with_space(text))
        assert both.agree_on(text)

    check()


def test_after_an_added_token_a_space_comes_where_the_original_puts_one(
    form: tuple[str, Vocabulary, _Both],
) -> None:
    name, vocabulary, both = form
    assert both.agree_on("question<|turn|> answer<|turn|>\n</s>你好") == (name not in ("always", "first"))
    assert both.agree_on("question<|turn|>answer<|turn|>\n</s>你好") == (name != "first")
    notes = {"first": (Note("tokenizer_space_first"),), "always": (Note("tokenizer_space_once"),)}
    assert vocabulary.notes == notes.get(name, ())
    assert vocabulary.add_space_prefix is (name not in ("never", "replace"))


def test_what_transformers_5_saved_is_read_with_its_special_tokens(saved: Path) -> None:
    found = read_vocabulary(saved, config={})
    assert (found.bos_id, found.eos_id, found.unk_id, found.pad_id) == (1, 2, 0, None)
    assert found.tokens[TURN] == "<|turn|>"
    assert found.types[TURN] == found.types[1] == found.types[2] == TokenType.CONTROL
    assert found.types[0] == TokenType.UNKNOWN
    assert found.add_bos


def test_no_beginning_token_is_added_where_the_original_adds_none(tmp_path: Path) -> None:
    write_llama_tokenizer_of_transformers_5(tmp_path, add_bos_token=False)
    assert not read_vocabulary(tmp_path, config={}).add_bos


INST = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
TURNS = "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}<|turn|>"
TEXT = "{% for m in messages %}### {{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
@pytest.mark.parametrize("template", [INST, TURNS, TEXT], ids=["bos", "turns", "text"])
def test_a_prompt_of_the_models_own_template_comes_out_as_in_transformers(
    tmp_path: Path, template: str, scheme: str
) -> None:
    from transformers import AutoTokenizer

    settings = {"first": {"legacy": False}, "always": {"legacy": True}, "never": {"add_prefix_space": False}}
    write_llama_tokenizer_of_transformers_5(tmp_path, added=["<|turn|>"], **settings[scheme])
    root = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert root["pre_tokenizer"]["prepend_scheme"] == scheme
    library = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    messages = [{"role": "user", "content": "你好 there"}, {"role": "assistant", "content": "a model"}]
    text = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(
        messages, chat_template=template, tokenize=False
    )
    write_gguf(tmp_path / "x.gguf", read_vocabulary(tmp_path, config={}).for_template(template))
    with LoadedModel(tmp_path / "x.gguf", vocab_only=True) as model:
        expected = library.encode(text, add_special_tokens=False).ids
        assert model.tokenize(text, parse_special=True) == expected


def test_it_is_the_vocabulary_of_the_tokenizer_model_that_it_came_from(
    tmp_path: Path, root: dict[str, Any]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.model").write_bytes(llama_tokenizer_model(N_TOKENS))
    original = read_vocabulary(model, config={})
    root["added_tokens"] = root["added_tokens"][:3]
    root["model"]["merges"] = merges_by_score(N_TOKENS)
    found = _read(tmp_path, {**root, **SPACES["prepend"]})

    assert (found.tokens, found.types) == (original.tokens, original.types)
    write_gguf(tmp_path / "original.gguf", original)
    write_gguf(tmp_path / "found.gguf", found)
    with (
        LoadedModel(tmp_path / "original.gguf", vocab_only=True) as first,
        LoadedModel(tmp_path / "found.gguf", vocab_only=True) as second,
    ):
        for text in TEXTS:
            assert second.tokenize(text) == first.tokenize(text)


def _trained(folder: Path, n_vocab: int, spaces: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer.json that the library trained itself: one merge for each token."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "never", split=True)
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=n_vocab, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    root: dict[str, Any] = json.loads(tokenizer.to_str())
    return {**root, **spaces, "added_tokens": root["added_tokens"][:3]}


def test_a_vocabulary_with_one_merge_a_token_gives_the_same_tokens(tmp_path: Path) -> None:
    vocabulary = _read(tmp_path, _trained(tmp_path, 900, SPACES["prepend"]))
    assert vocabulary.notes == ()
    both = _Both(tmp_path, vocabulary)
    with both.llama_cpp:
        assert all(both.agree_on(text) for text in [*USUAL, *("".join(SENTENCES).split("，"))])


def test_no_token_goes_across_a_space_where_words_are_apart(tmp_path: Path, root: dict[str, Any]) -> None:
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}
    across = ["a\u2581", "e\u2581t", "\u2581\u2581"]
    for token, text in enumerate(across, TURN + 1):
        root["model"]["vocab"][text] = token
    root["model"]["vocab"]["<|turn|>"] = TURN
    root["model"]["merges"] = [["a", "\u2581"], ["\u2581", "\u2581"], *root["model"]["merges"]]
    vocabulary = _read(tmp_path, {**root, "pre_tokenizer": metaspace})
    both = _Both(tmp_path, vocabulary)
    with both.llama_cpp:
        assert all(both.agree_on(text) for text in ["a a a", "the time", "a  b", "   ", *USUAL])


def test_a_token_that_no_merge_makes_is_not_found(tmp_path: Path, root: dict[str, Any]) -> None:
    root["model"]["vocab"] |= {"<|turn|>": TURN, "模型": TURN + 1, "的模型": TURN + 2}
    root["model"]["merges"] = [
        pair for pair in root["model"]["merges"] if "".join(pair) not in ("模型", "的模型")
    ]
    vocabulary = _read(tmp_path, {**root, **SPACES["prepend"]})
    both = _Both(tmp_path, vocabulary)
    with both.llama_cpp:
        assert all(both.agree_on(text) for text in ["模型", "我的模型", "七十亿参数的模型", *USUAL])
        assert both.llama_cpp.piece(TURN + 1).strip() == "模型".encode()


def _small(merges: list[str], spaces: str = "prepend") -> dict[str, Any]:
    """A tokenizer.json of the letters a to h, with these merges."""
    special = ["<unk>", "<s>", "</s>"]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"abcdefgh"]
    pieces += dict.fromkeys(merge.replace(" ", "") for merge in merges)
    added = [{"id": token, "content": text, "special": True} for token, text in enumerate(special)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model = {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    model |= {"vocab": {text: token for token, text in enumerate(pieces)}, "merges": merges}
    return {
        **SPACES[spaces],
        "version": "1.0",
        "added_tokens": [{**entry, **flags} for entry in added],
        "model": model,
    }


def test_an_order_that_scores_can_not_hold_is_noted(tmp_path: Path) -> None:
    # "abc" of "a bc" comes before "cd", of "ab c" after it.
    merges = ["a bc", "a b", "c d", "ab c", "b c"]
    vocabulary = _read(tmp_path, _small(merges))
    assert vocabulary.notes == (Note("tokenizer_merges", {"count": 1, "percent": 100}),)
    both = _Both(tmp_path, vocabulary)
    with both.llama_cpp:
        assert not both.agree_on("abcd")
        assert both.agree_on("bcd abc")


def test_added_tokens_that_are_looked_for_in_rewritten_text(tmp_path: Path, root: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_str(json.dumps({**root, **SPACES["replace"]}))
    tokenizer.add_tokens([AddedToken("big\u2581word", normalized=True), AddedToken("[x]", normalized=True)])
    vocabulary = _read(tmp_path, json.loads(tokenizer.to_str()))
    assert vocabulary.types[-2:] == [TokenType.USER_DEFINED] * 2
    both = _Both(tmp_path, vocabulary)
    with both.llama_cpp:
        assert all(both.agree_on(text) for text in ["a big word [x]", "a[x]b", "[x][x]", "big\nword"])

    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    (note,) = _read(tmp_path, json.loads(tokenizer.to_str())).notes
    assert note == Note("tokenizer_normalized", {"token": "big\u2581word", "count": 2})


def test_special_tokens_that_only_the_settings_name_are_added_as_transformers_adds_them(
    saved: Path, tmp_path: Path, root: dict[str, Any]
) -> None:
    from transformers import AutoTokenizer

    named = json.loads((saved / "tokenizer_config.json").read_text(encoding="utf-8"))
    named |= {
        "pad_token": "<pad>",
        "extra_special_tokens": ["<|turn|>", "<|call|>"],
        "image_token": "<image>",
    }
    found = _read(tmp_path, root, tokenizer_config=named)
    ids = AutoTokenizer.from_pretrained(tmp_path).get_vocab()
    assert {found.tokens[token]: token for token in range(TURN, len(found))} == {
        text: token for text, token in ids.items() if token >= TURN
    }
    assert len(found) == TURN + 4
    assert set(found.types[TURN:]) == {TokenType.CONTROL}
    assert found.tokens[found.pad_id or 0] == "<pad>"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"normalizer": {"type": "NFKC"}}, "normalizer NFKC"),
        ({"normalizer": SPACES["prepend"]["normalizer"]}, "pre_tokenizer Metaspace"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, "pre_tokenizer ByteLevel"),
        ({"pre_tokenizer": None}, "no part that writes spaces as \u2581"),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}}, "pre_tokenizer Metaspace with a sign"),
        ({"decoder": {"type": "WordPiece"}}, "decoder WordPiece"),
        ({"post_processor": {"type": "BertProcessing"}}, "post_processor BertProcessing"),
    ],
)
def test_what_would_change_tokens_is_refused_by_name(
    tmp_path: Path, root: dict[str, Any], change: dict[str, Any], detail: str
) -> None:
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, {**root, **change})
    assert caught.value.detail.startswith(detail)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"ignore_merges": True}, "model.ignore_merges"),
        ({"dropout": 0.1}, "model.dropout"),
        ({"end_of_word_suffix": "</w>"}, "model.end_of_word_suffix"),
        ({"type": "Unigram"}, "model Unigram"),
    ],
)
def test_what_no_gguf_can_say_of_merging_is_refused_by_name(
    tmp_path: Path, root: dict[str, Any], change: dict[str, Any], detail: str
) -> None:
    root["model"] |= change
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, root)
    assert caught.value.detail == detail


def test_a_vocabulary_without_all_bytes_is_refused(tmp_path: Path, root: dict[str, Any]) -> None:
    root["model"]["vocab"]["x0A"] = root["model"]["vocab"].pop("<0x0A>")
    with pytest.raises(UnsupportedTokenizer) as caught:
        _read(tmp_path, root)
    assert "byte pieces" in caught.value.detail


@pytest.mark.parametrize(
    "merges", [[], None, ["a"], ["a b c"], [["a"]], [["a", 7]], ["a 隐隐"], [["<0x0A>", "a"]]]
)
def test_merges_that_can_not_be_are_not_read(tmp_path: Path, root: dict[str, Any], merges: Any) -> None:
    root["model"]["merges"] = merges
    with pytest.raises((InvalidFile, UnsupportedTokenizer)):
        _read(tmp_path, root)


def test_tokens_too_long_to_cut_everywhere_are_refused(tmp_path: Path, root: dict[str, Any]) -> None:
    for number in range(12):
        root["model"]["vocab"]["x" * (4000 - number)] = N_TOKENS + 1 + number
    with pytest.raises(InvalidFile):
        _read(tmp_path, root)
