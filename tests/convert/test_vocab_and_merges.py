"""vocab.json and merges.txt without a tokenizer.json, read as transformers reads them for Qwen."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from builders.byte_level import FAMILIES, byte_level_root
from builders.gguf_files import write_gguf
from builders.texts import TEXTS
from convert.errors import DamagedFile, InvalidFile, TokenizerMissing, UnsupportedTokenizer
from convert.vocab import read_vocabulary
from reference.llama_cpp_oracle import LoadedModel

N_VOCAB = 480


def write_old_form(folder: Path, root: dict[str, Any], settings: dict[str, Any]) -> None:
    """vocab.json and merges.txt as the tokenizers library writes them, and tokenizer_config.json."""
    Tokenizer.from_str(json.dumps(root)).model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("added_file", ["tokenizer_config.json", "added_tokens.json"])
def test_vocab_json_and_merges_txt_are_read_as_transformers_reads_them(
    tmp_path: Path, added_file: str
) -> None:
    from transformers import AutoTokenizer

    root = byte_level_root("qwen-2", N_VOCAB)
    entries = {str(entry["id"]): {**entry} for entry in reversed(root["added_tokens"])}
    for entry in entries.values():
        del entry["id"]
    settings_ = dict(FAMILIES["qwen-2"].settings)
    if added_file == "added_tokens.json":
        ids = {entry["content"]: int(token) for token, entry in entries.items()}
        (tmp_path / added_file).write_text(json.dumps(ids), encoding="utf-8")
    else:
        settings_["added_tokens_decoder"] = entries
    write_old_form(tmp_path, root, settings_)
    original = AutoTokenizer.from_pretrained(tmp_path)
    vocabulary = read_vocabulary(tmp_path, config={})

    assert (vocabulary.pre, vocabulary.eos_id, vocabulary.pad_id) == ("qwen2", N_VOCAB + 2, N_VOCAB)
    assert {text: token for token, text in enumerate(vocabulary.tokens)} == original.get_vocab()
    write_gguf(tmp_path / "v.gguf", vocabulary)
    with LoadedModel(tmp_path / "v.gguf", vocab_only=True) as model:
        for text in (*TEXTS, "I'm 1234\r\n", "<|im_start|>user\n你好<|im_end|>\n<tool_call>"):
            text = unicodedata.normalize("NFC", text)
            assert model.tokenize(text, parse_special=True) == original.encode(text)


def test_the_kind_of_model_names_the_class_where_nothing_else_does(tmp_path: Path) -> None:
    write_old_form(tmp_path, byte_level_root("qwen-2", N_VOCAB), {"eos_token": "a"})

    assert read_vocabulary(tmp_path, config={"model_type": "qwen3"}).pre == "qwen2"
    with pytest.raises(UnsupportedTokenizer, match="without a tokenizer_class"):
        read_vocabulary(tmp_path, config={"model_type": "llama"})


def test_classes_whose_cuts_are_not_known_are_named(tmp_path: Path) -> None:
    settings_ = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "a"}
    write_old_form(tmp_path, byte_level_root("qwen-2", N_VOCAB), settings_)
    with pytest.raises(UnsupportedTokenizer, match="GPT2Tokenizer"):
        read_vocabulary(tmp_path, config={"model_type": "qwen2"})


def test_vocab_json_alone_asks_for_merges_txt(tmp_path: Path) -> None:
    write_old_form(tmp_path, byte_level_root("qwen-2", N_VOCAB), {"tokenizer_class": "Qwen2Tokenizer"})
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(TokenizerMissing, match=r"merges\.txt"):
        read_vocabulary(tmp_path, config={})


@pytest.mark.parametrize("merges", [b"\xff", b"a b\n" * (1 << 20)])
def test_merges_that_are_no_text_are_damage(tmp_path: Path, merges: bytes) -> None:
    write_old_form(tmp_path, byte_level_root("qwen-2", N_VOCAB), {"tokenizer_class": "Qwen2Tokenizer"})
    (tmp_path / "merges.txt").write_bytes(merges)
    with pytest.raises(DamagedFile) as caught:
        read_vocabulary(tmp_path, config={})
    assert caught.value.path == tmp_path / "merges.txt"


@pytest.mark.parametrize("line", ["a", "a b c", "zz qq"])
def test_merges_that_are_no_pairs_of_tokens_contradict_the_vocabulary(tmp_path: Path, line: str) -> None:
    write_old_form(tmp_path, byte_level_root("qwen-2", N_VOCAB), {"tokenizer_class": "Qwen2Tokenizer"})
    with (tmp_path / "merges.txt").open("a", encoding="utf-8") as file:
        file.write(line + "\r\n")
    with pytest.raises(InvalidFile, match="merge") as caught:
        read_vocabulary(tmp_path, config={"eos_token_id": 0})
    assert caught.value.path == tmp_path / "merges.txt"
