"""Tokens that a tokenizer.json adds to its vocabulary: found in a text before it is cut into words.

llama.cpp finds them too, wherever their text stands. What a file may ask for besides is in three flags:
`lstrip` and `rstrip` take in the spaces beside the token, `single_word` does not find it inside a word.
Format: huggingface.co/docs/tokenizers, `AddedToken`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import InvalidFile
from convert.tokenizers.vocabulary import MAX_TOKENS

MAX_ADDED = 1 << 16
FLAGS = ("lstrip", "rstrip", "single_word")


@dataclass(frozen=True)
class AddedToken:
    """special: not for people to write or read. normalized: looked for in the text that the normalizer
    wrote. flags: those of `FLAGS` that are set.

    id: the tokenizers library's own, which need not be what the file lists.
    """

    id: int
    listed_id: int
    special: bool
    normalized: bool
    flags: tuple[str, ...]


def read_added_tokens(path: Path, entries: Any, vocab: Mapping[str, int]) -> dict[str, AddedToken]:
    """By their text; raises `InvalidFile`.

    The library gives a token that the vocabulary has its id there, and others the next free ids in the order
    of the list. That is what a model was trained with, whatever ids the list names.
    """
    entries = [] if entries is None else entries
    if not isinstance(entries, list) or len(entries) > MAX_ADDED:
        raise InvalidFile(path, "added_tokens is not a list of sane length")
    added: dict[str, AddedToken] = {}
    next_id = len(vocab)
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise InvalidFile(path, "an added token without content")
        text, listed_id = entry["content"], check_id(path, entry.get("id"))
        if text in added:
            continue
        token = vocab.get(text, next_id)
        next_id = max(next_id, token + 1)
        flags = tuple(flag for flag in FLAGS if entry.get(flag))
        is_special, is_normalized = entry.get("special") is True, entry.get("normalized") is True
        added[text] = AddedToken(token, listed_id, is_special, is_normalized, flags)
    return added


def with_more(
    added: Mapping[str, AddedToken], vocab: Mapping[str, int], texts: Iterable[str]
) -> dict[str, AddedToken]:
    """`added` and special tokens of these `texts`, which are nowhere else, with the next free ids."""
    next_id = max([len(vocab), *(entry.id + 1 for entry in added.values())])
    return {
        **added,
        **{
            text: AddedToken(token, token, special=True, normalized=False, flags=())
            for token, text in enumerate(texts, next_id)
        },
    }


def check_id(path: Path, value: Any) -> int:
    """An id as the file gives it; raises `InvalidFile` for one that no vocabulary can have."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_TOKENS:
        raise InvalidFile(path, "a token id that is no id")
    return value
