"""vocab.json and merges.txt, as tokenizers without a tokenizer.json are saved, read as if there were one.

The two hold the tokens and the merges; how a text is cut is known by the name of the class alone, which
tokenizer_config.json or the model's own kind gives.
Source: transformers, `models/qwen2/tokenization_qwen2.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.errors import DamagedFile, TokenizerMissing, UnsupportedTokenizer
from convert.tokenizers.files import TokenizerFiles
from convert.tokenizers.pretokenizer import QWEN_2_WORDS
from convert.tokenizers.special import added_tokens_decoder
from convert.tokenizers.vocabulary import MAX_TOKENS

_QWEN_CLASSES = frozenset({"Qwen2Tokenizer", "Qwen2TokenizerFast"})
_QWEN_MODELS = frozenset({"qwen2", "qwen3"})
_VERSION_LINE = "#version"


def join_vocab_and_merges(files: TokenizerFiles, config: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer.json that transformers makes of them.

    config: the model's, asked where no class is named. Raises `UnsupportedTokenizer` for a class that is not
    Qwen's, `TokenizerMissing` without merges.txt, or `DamagedFile`.
    """
    named = files.json("tokenizer_config.json").get("tokenizer_class")
    if named is None and config.get("model_type") not in _QWEN_MODELS:
        raise UnsupportedTokenizer(files.path, "vocab.json without a tokenizer_class")
    if named is not None and named not in _QWEN_CLASSES:
        raise UnsupportedTokenizer(files.path, f"vocab.json of {str(named)[:40]}")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    cut = {"type": "Split", "pattern": {"Regex": QWEN_2_WORDS}, "behavior": "Isolated", "invert": False}
    return {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": files.json("vocab.json"), "merges": _read_merges(files)},
        "added_tokens": _read_added(files),
    }


def _read_merges(files: TokenizerFiles) -> list[str]:
    """One pair a line, after a line that gives the version."""
    if "merges.txt" not in files:
        raise TokenizerMissing(files.path.parent, "merges.txt")
    data, path = files.contents["merges.txt"], files.path.parent / "merges.txt"
    if data.count(b"\n") > MAX_TOKENS:
        raise DamagedFile(path, "far more lines than a tokenizer has merges")
    try:
        lines = [line.rstrip("\r") for line in data.decode("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise DamagedFile(path, "not UTF-8") from error
    return [line for line in lines if line and not line.startswith(_VERSION_LINE)]


def _read_added(files: TokenizerFiles) -> list[dict[str, Any]]:
    """In the order of their ids: tokenizer_config.json's, or where it has none, added_tokens.json's."""
    listed: dict[Any, dict[str, Any]] = {
        int(token) if token.isdecimal() and len(token) < 10 else token: entry
        for token, entry in added_tokens_decoder(files).items()
    }
    if not listed:
        listed = {token: {"content": text} for text, token in files.json("added_tokens.json").items()}
    ids = sorted(listed, key=lambda token: token if isinstance(token, int) else MAX_TOKENS)
    return [{**listed[token], "id": token} for token in ids]
