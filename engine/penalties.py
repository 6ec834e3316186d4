"""Repetition, presence and frequency penalties over the newest tokens of a context, prompt included.

llama.cpp's own penalty sampler looks every token of the vocabulary up in a hash table, milliseconds a token
for BLOOM's 250,880, and knows no token that must be spared. Here only the tokens that occurred are touched,
in place in the logits buffer of the last evaluation, with the same float32 arithmetic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from engine.types import Sampling


def none_spared(_token: int) -> bool:
    """Every token counts, those that end a turn too."""
    return False


class Penalties:
    """Counts the tokens of a context and lowers their logits.

    Each distinct token once: a positive logit is divided by the repetition penalty, another one multiplied
    by it (as transformers' RepetitionPenaltyLogitsProcessor does), then the presence penalty and count
    times the frequency penalty are subtracted.
    """

    def __init__(
        self, sampling: Sampling, tokens: Sequence[int], is_spared: Callable[[int], bool] = none_spared
    ) -> None:
        """tokens: the prompt. is_spared: tokens that are never touched, asked once for each one."""
        self.enabled = _changes_anything(sampling)
        self._repetition = np.float32(sampling.repetition_penalty)
        self._presence = np.float32(sampling.presence_penalty)
        self._frequency = np.float32(sampling.frequency_penalty)
        self._is_spared = is_spared
        self._n_window = sampling.penalty_last_n
        self._window: deque[int] = deque()  # indices of the counted tokens, oldest first; unused without one
        self._index_of: dict[int, int | None] = {}  # None for those spared
        self._n_distinct = 0
        self._ids = np.zeros(256, np.int64)
        self._counts = np.zeros(256, np.float32)
        if self.enabled:
            for token in tokens if self._n_window < 0 else tokens[-self._n_window :]:
                self.accept(token)

    def accept(self, token: int) -> None:
        """Count one more occurrence of `token`; the one that leaves the window counts no more."""
        if not self.enabled:
            return
        index = self._index(token)
        if index is not None:
            self._counts[index] += 1
        if self._n_window > 0:
            self._window.append(-1 if index is None else index)
            if len(self._window) > self._n_window and (left := self._window.popleft()) >= 0:
                self._counts[left] -= 1

    def apply(self, logits: npt.NDArray[np.float32]) -> None:
        """Change `logits` (one for each token of the vocabulary) in place."""
        ids, counts = self._ids[: self._n_distinct], self._counts[: self._n_distinct]
        if self._n_window > 0:
            present = counts > 0
            ids, counts = ids[present], counts[present]
        values = logits[ids]
        values = np.where(values <= 0, values * self._repetition, values / self._repetition)
        logits[ids] = values - (counts * self._frequency + self._presence)

    def _index(self, token: int) -> int | None:
        """The token's place in `_ids`, a new one if need be; None where it is spared."""
        if token in self._index_of:
            return self._index_of[token]
        if self._is_spared(token):
            self._index_of[token] = None
            return None
        index = self._index_of[token] = self._n_distinct
        if index == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._ids[index] = token
        self._n_distinct += 1
        return index


def _changes_anything(sampling: Sampling) -> bool:
    # llama.cpp's mirostat takes the place of all other samplers, penalties included.
    if sampling.penalty_last_n == 0 or sampling.mirostat or "penalties" not in sampling.sequence:
        return False
    return (
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty != 0.0
        or sampling.frequency_penalty != 0.0
    )
