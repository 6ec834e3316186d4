"""How fast a model runs on this machine, measured several times.

Every repetition loads the model anew, reads a long prompt, then answers a short question. Knows no screen,
and of the engine only the `Backend` protocol.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.interrupts import cancelling_on_interrupt
from app.model_values import ModelValues
from engine.backend import Backend
from engine.errors import PromptTooLong
from engine.models.model_sampling import resolve_for
from engine.types import Finished, FinishReason, LoadOptions, Message, ModelInfo, Sampling, Statistics

_QUESTION = "请用一段话介绍一下你自己，再说说你能帮我做什么。"
_PARAGRAPH = "春天来了，河边的柳树发了芽。The river is clear, and the boats go up and down all day long. "
_N_PARAGRAPHS = 8
_SEED = 42
_FIGURES = ("load_s", "prompt_tokens_per_s", "first_token_s", "tokens_per_s", "sampling_us_per_token")


@dataclass(frozen=True)
class Run:
    """One repetition, in the units of the names; None where too little was done to measure it."""

    load_s: float
    prompt_tokens: int
    prompt_tokens_per_s: float | None
    first_token_s: float | None
    generated_tokens: int
    tokens_per_s: float | None
    sampling_us_per_token: float | None


@dataclass(frozen=True)
class Spread:
    """The middle and the extremes of one figure over all repetitions."""

    median: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Report:
    """All repetitions with one model; peak_rss_bytes is the whole process's that had the model."""

    info: ModelInfo
    runs: Sequence[Run]
    peak_rss_bytes: int

    @property
    def figures(self) -> dict[str, Spread | None]:
        """Median and range by figure; None where no repetition has it."""
        return {name: self._spread(name) for name in _FIGURES}

    def _spread(self, name: str) -> Spread | None:
        values = [value for run in self.runs if (value := getattr(run, name)) is not None]
        return Spread(statistics.median(values), min(values), max(values)) if values else None


def measure(backend: Backend, path: Path, options: LoadOptions, n_tokens: int) -> tuple[ModelInfo, Run]:
    """One repetition, with an answer of at most `n_tokens`; the model stays loaded.

    Raises EngineError, and KeyboardInterrupt at Ctrl-C.
    """
    backend.unload()
    started_s = time.perf_counter()
    info = backend.load(path, options)
    load_s = time.perf_counter() - started_s
    # As it answers when nobody sets anything: a greedy choice, without penalties, would cost less.
    sampling = replace(resolve_for(ModelValues().of_file(path, options)).sampling, seed=_SEED)
    prompt = _read_prompt(backend, sampling)
    answer = _answer(backend, _QUESTION, replace(sampling, max_tokens=n_tokens))
    n_generated = answer.generated_tokens
    return info, Run(
        load_s=load_s,
        prompt_tokens=prompt.prompt_tokens,
        prompt_tokens_per_s=prompt.prompt_tokens_per_s or None,
        first_token_s=answer.first_token_s,
        generated_tokens=n_generated,
        tokens_per_s=answer.tokens_per_s or None,
        sampling_us_per_token=answer.sampling_s / n_generated * 1e6 if n_generated else None,
    )


def _read_prompt(backend: Backend, sampling: Sampling) -> Statistics:
    """Read a long prompt, shortened until the context takes it."""
    n_paragraphs = _N_PARAGRAPHS
    while True:
        try:
            return _answer(backend, _PARAGRAPH * n_paragraphs, replace(sampling, max_tokens=1))
        except PromptTooLong:
            if n_paragraphs == 1:
                raise
            n_paragraphs //= 2


def _answer(backend: Backend, question: str, sampling: Sampling) -> Statistics:
    with cancelling_on_interrupt(backend.cancel):
        events = backend.chat([Message("user", question)], sampling)
        finished = next(event for event in events if isinstance(event, Finished))
    if finished.reason is FinishReason.CANCELLED:
        raise KeyboardInterrupt
    return finished.statistics
