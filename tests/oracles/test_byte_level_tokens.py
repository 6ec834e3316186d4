"""Llama 3's and Qwen's whole vocabularies: llama.cpp finds the tokens that the tokenizers library finds.

Slow: needs the source that `build_llama_cpp.sh` puts beside the server that CHATBELLE_LLAMA_SERVER names.
Its models/ggml-vocab-*.gguf hold the tokens and merges; the tokenizer.json around them is rebuilt here with
the definitions of the published ones. Run with `-s` for the number of texts and characters.
"""

from __future__ import annotations

import itertools
import json
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from hypothesis import given, settings
from tokenizers import Tokenizer

from builders.byte_level import added_token, byte_level_root
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from convert.vocab import TokenType, Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")
MODELS = Path(SERVER).parent.parent / "source" / "vendor" / "llama.cpp" / "models" if SERVER else Path()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

N_TEXTS = 5000
FILES = {"llama-3": "ggml-vocab-llama-bpe", "qwen-2": "ggml-vocab-qwen2"}
END = "\n__ggml_vocab_test__\n"
NEWER_DIGITS = 80
"""Digits of Unicode 16, unknown to llama.cpp's tables: it does not take them three by three in Llama 3."""

CHARACTERS = (range(1, 0xD800), range(0xE000, 0x32400), range(0xE0000, 0xE0200))
"""All that Unicode 16 assigns but for private planes."""


@dataclass(frozen=True)
class Pair:
    """One vocabulary twice: as the tokenizers library reads it, and converted, in llama.cpp."""

    family: str
    original: Tokenizer
    vocabulary: Vocabulary
    published: Any
    model: LoadedModel

    def prepared(self, text: str) -> str:
        return unicodedata.normalize("NFC", text) if self.family.startswith("qwen") else text

    def agrees(self, text: str) -> bool:
        """On a text without control tokens. llama.cpp takes `</s>` for one even in Qwen, where it is text."""
        text = self.prepared(text)
        return self.model.tokenize(text) == self.original.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module", params=FILES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    family = request.param
    folder = tmp_path_factory.mktemp("vocabulary")
    fields = GGUFReader(MODELS / f"{FILES[family]}.gguf").fields
    names = ("tokens", "token_type", "merges")
    published = {name: fields[f"tokenizer.ggml.{name}"].contents() for name in names}
    root = _rebuilt(family, published)
    (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
    vocabulary = read_vocabulary(folder, config={"eos_token_id": 0, "bos_token_id": 0})
    write_gguf(folder / "v.gguf", vocabulary)
    with LoadedModel(folder / "v.gguf", vocab_only=True) as model:
        yield Pair(family, Tokenizer.from_file(str(folder / "tokenizer.json")), vocabulary, published, model)


def _rebuilt(family: str, published: dict[str, Any]) -> dict[str, Any]:
    tokens, types = published["tokens"], published["token_type"]
    root = byte_level_root(family)
    normal = {text: token for token, text in enumerate(tokens) if types[token] == TokenType.NORMAL}
    root["model"] |= {"vocab": normal, "merges": published["merges"]}
    root["post_processor"] = None
    root["added_tokens"] = [
        added_token(token, text, special=types[token] == TokenType.CONTROL)
        for token, text in enumerate(tokens)
        if types[token] in (TokenType.CONTROL, TokenType.USER_DEFINED)
    ]
    return root


def test_tokens_types_and_merges_are_those_of_llama_cpps_converter(pair: Pair) -> None:
    n_tokens = len(pair.vocabulary)
    assert list(pair.vocabulary.tokens) == pair.published["tokens"][:n_tokens]
    assert [int(kind) for kind in pair.vocabulary.types] == pair.published["token_type"][:n_tokens]
    assert set(pair.published["token_type"][n_tokens:]) <= {TokenType.UNUSED}
    assert pair.vocabulary.merges == pair.published["merges"]


def test_llama_cpps_own_cases(pair: Pair) -> None:
    path = MODELS / f"{FILES[pair.family]}.gguf.inp"
    texts = path.read_text(encoding="utf-8").split(END)
    lines = path.with_suffix(".out").read_text(encoding="utf-8").split("\n")
    for text, line in zip(texts, lines, strict=False):
        assert pair.model.tokenize(text) == [int(token) for token in line.split()]
        assert pair.agrees(text)


def test_any_text(pair: Pair) -> None:
    files = sorted(Path(__file__).parent.glob("*.py"))
    for text in (*TEXTS, *(file.read_text(encoding="utf-8") for file in files)):
        assert pair.agrees(text)
    settings(max_examples=N_TEXTS, deadline=None, derandomize=True)(
        given(mixed_text())(lambda text: _check(pair, text))
    )()


def _check(pair: Pair, text: str) -> None:
    assert pair.agrees(text), repr(text)


def test_every_character_among_letters_digits_and_spaces(pair: Pair) -> None:
    wrong = []
    for char in map(chr, itertools.chain(*CHARACTERS)):
        if not pair.agrees(f"x{char}x 1{char}1 {char}{char}. {char} 's{char}\n{char}\n"):
            wrong.append(char)
    print(pair.family, [f"{ord(char):x}" for char in wrong])  # noqa: T201
    assert len(wrong) == (NEWER_DIGITS if pair.family == "llama-3" else 0)


def test_each_token_alone(pair: Pair) -> None:
    """A word that is a token: Llama 3's stay whole, as `ignore_merges` says."""
    for token, kind in enumerate(pair.vocabulary.types):
        if kind is not TokenType.NORMAL:
            continue
        text = pair.original.decode([token], skip_special_tokens=False)
        if "\ufffd" not in text:
            assert pair.agrees(text), repr(text)
