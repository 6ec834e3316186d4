"""Scores that make SentencePiece's way of merging find what an ordered list of merges would find.

Byte-pair encoding joins the pair that stands first in its list of merges. SentencePiece (and llama.cpp's
"llama" tokenizer) joins the neighbours that make the best-scored token, whatever it is made of. The two agree
where all ways to make a token are in the list, one after another: so it is in every list that was made from
a SentencePiece vocabulary. Where it is not so, texts are cut both ways, and the differences counted.
Knows no files.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]

N_SAMPLES = 1000
_MAX_SAMPLE_CHARS = 60


@dataclass(frozen=True)
class MergeScores:
    """scores: by token, the best first. unmade: tokens that SentencePiece would find, but no merge makes.

    n_loose: tokens that the two may make at different times, or of different parts. n_different: of
    `N_SAMPLES` texts, those that the scores cut in another way than the merges. The texts are made to differ
    if any do, of loose tokens and others that overlap; usual ones differ less.
    """

    scores: Sequence[float]
    unmade: Collection[str]
    n_loose: int
    n_different: int


def score_tokens(tokens: Sequence[str], merges: Sequence[Pair], apart: Collection[str]) -> MergeScores:
    """A score for each of `tokens`: minus the rank of the first merge that makes it, or less than any.

    merges: first to last, a pair at most once. apart: tokens that are never made of others. `unmade` tokens
    have to be kept from being found. Ranks are exact in float32, as there are fewer than 2^24.
    """
    ranks_of: dict[str, list[int]] = defaultdict(list)
    for rank, (left, right) in enumerate(merges):
        ranks_of[left + right].append(rank)
    worst = float(-len(merges) - 1)
    scores = [-float(ranks_of[token][0]) if token in ranks_of else worst for token in tokens]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    parts, unmade = _sort_out(tokens, merges, apart)
    loose = sorted(token for token in parts if _is_loose(token, parts, ranks, ranks_of.get(token, [])))
    n_different = 0
    if loose:
        by_text = {token: -score for token, score in zip(tokens, scores, strict=True) if token in parts}
        samples = _overlapping_texts(loose, parts)
        n_different = sum(
            _cut(text, lambda left, right: ranks.get((left, right), math.inf))
            != _cut(text, lambda left, right: by_text.get(left + right, math.inf))
            for text in samples
        )
    return MergeScores(scores, unmade, len(loose), n_different)


def _sort_out(
    tokens: Sequence[str], merges: Sequence[Pair], apart: Collection[str]
) -> tuple[set[str], set[str]]:
    """Tokens that a text can be cut into, and those that only look so: made of such, but by no merge."""
    pairs_of: dict[str, list[Pair]] = defaultdict(list)
    for left, right in merges:
        pairs_of[left + right].append((left, right))
    parts: set[str] = set()
    unmade: set[str] = set()
    for token in sorted(set(tokens).difference(apart), key=len):
        if len(token) == 1 or any(left in parts and right in parts for left, right in pairs_of[token]):
            parts.add(token)
        elif any(left in parts and right in parts for left, right in _splits(token)):
            unmade.add(token)
    return parts, unmade


def _is_loose(token: str, parts: Collection[str], ranks: Mapping[Pair, int], own: Sequence[int]) -> bool:
    """Whether SentencePiece would make it of other parts than the merges, or between two of its merges
    might have to make another.
    """
    if own and own[-1] - own[0] != len(own) - 1:
        return True
    return any(
        left in parts and right in parts and (left, right) not in ranks for left, right in _splits(token)
    )


def _splits(token: str) -> list[Pair]:
    return [(token[:place], token[place:]) for place in range(1, len(token))]


def _overlapping_texts(loose: Sequence[str], parts: Collection[str]) -> list[str]:
    """Texts with a loose token in each, and others that begin with the last character before them."""
    chance = random.Random(0)
    by_start: dict[str, list[str]] = defaultdict(list)
    for token in sorted(parts):
        if len(token) > 1:
            by_start[token[0]].append(token)
    texts = []
    for _ in range(N_SAMPLES):
        text = chance.choice(loose)
        if chance.random() < 0.5:
            before = chance.choice(loose)
            text = before[:-1] + text if before[-1] == text[0] else before + text
        for _ in range(2):
            following = by_start.get(text[-1])
            if following:
                text += chance.choice(following)[1:]
        texts.append(text[:_MAX_SAMPLE_CHARS])
    return texts


def _cut(text: str, order: Callable[[str, str], float]) -> list[str]:
    """Join the pair of the lowest `order`, of equal ones the leftmost, until none has an order below inf."""
    parts = list(text)
    while len(parts) > 1:
        orders = [order(left, right) for left, right in zip(parts, parts[1:], strict=False)]
        place = min(range(len(orders)), key=orders.__getitem__)
        if orders[place] == math.inf:
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts
