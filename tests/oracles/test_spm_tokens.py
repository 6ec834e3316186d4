"""LLaMA's whole vocabulary as a tokenizer.json: llama.cpp finds the tokens that the tokenizers library finds.

Slow: needs the source that `build_llama_cpp.sh` puts beside the server that CHATBELLE_LLAMA_SERVER names.
Its models/ggml-vocab-llama-spm.gguf holds the pieces and scores; transformers makes the merges of them, in
the order of version 4 (by score) or 5 (by id).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from hypothesis import given, settings
from tokenizers import Tokenizer

from builders.byte_level import added_token
from builders.gguf_files import write_gguf
from builders.texts import TEXTS, mixed_text
from builders.tokenizers import SPACES
from convert.vocab import Vocabulary, read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")
MODELS = Path(SERVER).parent.parent / "source" / "vendor" / "llama.cpp" / "models" if SERVER else Path()
PUBLISHED = MODELS / "ggml-vocab-llama-spm.gguf"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

N_TEXTS = 5000
END = "\n__ggml_vocab_test__\n"
MARKS = ("<|turn|>", "[x]")
FORMS = [
    ("4", "prepend"),
    ("5", "prepend"),
    ("5", "replace"),
    ("5", "always"),
    ("5", "first"),
    ("5", "never"),
]


@dataclass(frozen=True)
class Pair:
    """One tokenizer twice: as the tokenizers library reads it, and converted, in llama.cpp."""

    version: str
    spaces: str
    original: Tokenizer
    vocabulary: Vocabulary
    model: LoadedModel

    def agrees(self, text: str) -> bool:
        expected = self.original.encode(text, add_special_tokens=False).ids
        return self.model.tokenize(text, parse_special=True) == expected

    def can_agree(self, text: str) -> bool:
        """`Metaspace` puts no space before a space, and `first` none after an added token; llama.cpp does."""
        is_apart = self.spaces in ("always", "first")
        has_added = any(added in text for added in ("<s>", "</s>", "<unk>", *MARKS))
        return not is_apart or not (has_added or text.startswith((" ", "\u2581")))


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    fields = GGUFReader(PUBLISHED).fields
    return {name: fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "scores", "token_type")}


@pytest.fixture(scope="module", params=FORMS, ids=["-".join(form) for form in FORMS])
def pair(
    request: pytest.FixtureRequest, published: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    version, spaces = request.param
    folder = tmp_path_factory.mktemp("vocabulary")
    root = {**_rebuilt(published, version), **SPACES[spaces]}
    (folder / "tokenizer.json").write_text(json.dumps(root), encoding="utf-8")
    vocabulary = read_vocabulary(folder, config={})
    write_gguf(folder / "v.gguf", vocabulary)
    original = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with LoadedModel(folder / "v.gguf", vocab_only=True) as model:
        yield Pair(version, spaces, original, vocabulary, model)


def _rebuilt(published: dict[str, Any], version: str) -> dict[str, Any]:
    from transformers.tokenization_utils_base import generate_merges

    vocab = {text: token for token, text in enumerate(published["tokens"])}
    scores = dict(zip(published["tokens"], published["scores"], strict=True))
    merges = generate_merges(vocab, scores) if version == "4" else generate_merges(vocab)
    added = [added_token(token, text, special=True) for token, text in enumerate(("<unk>", "<s>", "</s>"))]
    added += [added_token(len(vocab) + i, text, special=i == 0) for i, text in enumerate(MARKS)]
    return {
        "version": "1.0",
        "added_tokens": added,
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "fuse_unk": True,
            "unk_token": "<unk>",
            "vocab": vocab,
            "merges": [list(pair) for pair in merges],
        },
    }


def test_tokens_and_types_are_those_of_the_tokenizer_model(pair: Pair, published: dict[str, Any]) -> None:
    n_pieces = len(published["tokens"])
    assert list(pair.vocabulary.tokens) == [*published["tokens"], *MARKS]
    assert [int(kind) for kind in pair.vocabulary.types[:n_pieces]] == published["token_type"]
    assert {note.key for note in pair.vocabulary.notes} <= {"tokenizer_space_first", "tokenizer_space_once"}


def test_llama_cpps_own_cases(pair: Pair) -> None:
    texts = PUBLISHED.with_suffix(".gguf.inp").read_text(encoding="utf-8").split(END)
    lines = PUBLISHED.with_suffix(".gguf.out").read_text(encoding="utf-8").split("\n")
    for text, line in zip(texts, lines, strict=False):
        if pair.version == "4":
            assert pair.model.tokenize(text) == [int(token) for token in line.split()]
        if pair.can_agree(text):
            assert pair.agrees(text)


def test_any_text(pair: Pair) -> None:
    files = sorted(Path(__file__).parent.glob("*.py"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n")]
    runs = [sign * n for sign in " =-_#*/.\n\t你" for n in range(1, 70)]
    for text in (*TEXTS, *lines, *runs, *(f"x{run}y" for run in runs)):
        if pair.can_agree(text):
            assert pair.agrees(text), repr(text)
    settings(max_examples=N_TEXTS, deadline=None, derandomize=True)(
        given(mixed_text())(lambda text: _check(pair, text))
    )()


def _check(pair: Pair, text: str) -> None:
    assert not pair.can_agree(text) or pair.agrees(text), repr(text)


def test_texts_between_added_tokens(pair: Pair) -> None:
    if pair.spaces == "first":
        pytest.skip("a GGUF can't say that no space follows a control token")
    for before in TEXTS:
        for text in ("你好", "a model", "\n", before.strip() or "x"):
            if pair.can_agree(before) and pair.can_agree(text):
                assert pair.agrees(f"{before}<|turn|>{text}[x]{text}</s>")
