"""Repetition, presence and frequency penalties over the whole context, prompt included.

llama.cpp's own penalty sampler looks every token of the vocabulary up in a hash table, milliseconds a token
for BLOOM's 250,880. Here only the tokens that occurred are touched, in place in the logits buffer of the
last evaluation, with the same float32 arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from engine.types import Sampling


class Penalties:
    """Counts the tokens of a context and lowers their logits.

    Each distinct token once: a positive logit is divided by the repetition penalty, another one multiplied
    by it (as transformers' RepetitionPenaltyLogitsProcessor does), then the presence penalty and count
    times the frequency penalty are subtracted.
    """

    def __init__(self, sampling: Sampling, tokens: Iterable[int]) -> None:
        self.enabled = (
            sampling.repetition_penalty != 1.0
            or sampling.presence_penalty != 0.0
            or sampling.frequency_penalty != 0.0
        )
        self._repetition = np.float32(sampling.repetition_penalty)
        self._presence = np.float32(sampling.presence_penalty)
        self._frequency = np.float32(sampling.frequency_penalty)
        self._index_of: dict[int, int] = {}
        self._ids = np.zeros(256, np.int64)
        self._counts = np.zeros(256, np.float32)
        for token in tokens:
            self.accept(token)

    def accept(self, token: int) -> None:
        """Count one more occurrence of `token`."""
        if not self.enabled:
            return
        index = self._index_of.setdefault(token, len(self._index_of))
        if index == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._ids[index] = token
        self._counts[index] += 1

    def apply(self, logits: npt.NDArray[np.float32]) -> None:
        """Change `logits` (one for each token of the vocabulary) in place."""
        n_distinct = len(self._index_of)
        ids, counts = self._ids[:n_distinct], self._counts[:n_distinct]
        values = logits[ids]
        values = np.where(values <= 0, values * self._repetition, values / self._repetition)
        logits[ids] = values - (counts * self._frequency + self._presence)
