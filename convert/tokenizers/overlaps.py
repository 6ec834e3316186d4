"""Added tokens whose texts can share characters: the libraries then take different ones.

In `中国人`, with `中国` and `国人` added, the tokenizers library takes the one that begins first. llama.cpp
looks for one token after the other, long ones first, in the whole text.
Sources: tokenizers `added_vocabulary.rs`; llama.cpp `tokenizer_st_partition` in src/llama-vocab.cpp.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

from convert.notes import Note

_MAX_CHARACTERS = 64
_MAX_PAIRS = 500_000
"""Bounds on the search. Of thousands of words, two that overlap are among the first pairs."""


def overlap_notes(texts: Collection[str]) -> list[Note]:
    """A note with the first two of the added tokens `texts` that llama.cpp and the library may tell apart."""
    words = [text for text in texts if len(text) <= _MAX_CHARACTERS]
    known = frozenset(words)
    for first, second, start in itertools.islice(_pairs(words), _MAX_PAIRS):
        is_shared = second.startswith(first[start:]) and len(second.encode()) >= len(first.encode())
        if is_shared and _beginning(first[:start] + second, known) == first:
            return [Note("tokenizer_overlap", {"first": first, "second": second})]
    return []


def _pairs(words: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Two words each, and where in the first one, after its beginning, the second may begin."""
    by_character: dict[str, list[str]] = {}
    for word in words:
        by_character.setdefault(word[0], []).append(word)
    for first in words:
        for start in range(1, len(first)):
            for second in by_character.get(first[start], ()):
                if second != first:
                    yield first, second, start


def _beginning(text: str, words: Collection[str]) -> str:
    """The longest of the `words` that `text` begins with, as the tokenizers library takes it."""
    return next((text[:size] for size in range(len(text), 0, -1) if text[:size] in words), "")
