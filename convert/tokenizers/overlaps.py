"""Added tokens whose texts can share characters: the libraries then take different ones.

In `中国人`, with `中国` and `国人` added, the tokenizers library takes the one that begins first. llama.cpp
looks for one token after the other, long ones first, in the whole text.
Sources: tokenizers `added_vocabulary.rs`; llama.cpp `tokenizer_st_partition` in src/llama-vocab.cpp.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from convert.notes import Note

_MAX_TRIED = 10_000
"""Pairs to look at: of thousands of words, two that overlap are found among the first."""


def overlap_notes(texts: Collection[str]) -> list[Note]:
    """A note with the first two of the added tokens `texts` that llama.cpp and the library may tell apart."""
    tokens = set(texts)
    for tried, (first, second, shared) in enumerate(_overlaps(texts)):
        if tried == _MAX_TRIED:
            break
        joined = first + second[shared:]
        if len(second.encode()) >= len(first.encode()) and _begins_with(joined, tokens) == first:
            return [Note("tokenizer_overlap", {"first": first[:40], "second": second[:40]})]
    return []


def _overlaps(texts: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Pairs of which the first ends with what the second begins with, and how many characters that are."""
    by_beginning: dict[str, list[str]] = {}
    for text in texts:
        for size in range(1, len(text)):
            by_beginning.setdefault(text[:size], []).append(text)
    for first in texts:
        for size in range(1, len(first)):
            for second in by_beginning.get(first[-size:], ()):
                if second != first:
                    yield first, second, size


def _begins_with(text: str, tokens: Collection[str]) -> str:
    """The longest of the `tokens` that `text` begins with, as the tokenizers library takes it."""
    return next((text[:size] for size in range(len(text), 0, -1) if text[:size] in tokens), "")
