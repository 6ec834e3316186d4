"""Sampling values that may be left open, and how those of several places become one complete `Sampling`.

Each value is settled by itself, by the first place that says something about it. Knows neither files nor
models; what a model says is read in `engine.models.model_sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from engine.sampling import check_sampling
from engine.types import Sampler, Sampling, Thinking

NO_LIMIT = -1
"""Of `max_tokens` and `thought_budget`: that there is to be none, which None leaves open here."""

_LIMITS = ("max_tokens", "thought_budget")


@dataclass(frozen=True, slots=True)
class PartialSampling:
    """Values of `Sampling` by the same names; None says nothing about one, NO_LIMIT lifts a limit."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    thinking: Thinking | None = None
    thought_budget: int | None = None
    penalty_last_n: int | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    sequence: tuple[Sampler, ...] | None = None

    def said(self) -> dict[str, Any]:
        """The values that are there, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


NOTHING = PartialSampling()


class Source(StrEnum):
    """Where a value comes from, the one that counts most first."""

    CONVERSATION = "conversation"
    PERSONA = "persona"
    OWN = "own"
    FILE = "file"
    BELLE = "belle"
    MAKER = "maker"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ResolvedSampling:
    """The settled values, and for each name of `Sampling` where its value comes from."""

    sampling: Sampling
    sources: Mapping[str, Source]


def resolve(layers: Sequence[tuple[Source, PartialSampling]]) -> ResolvedSampling:
    """Settle every value by the first of `layers` that says something about it, else by the default."""
    values: dict[str, Any] = {}
    sources = {item.name: Source.DEFAULT for item in fields(Sampling)}
    for source, partial in reversed(layers):
        for name, value in partial.said().items():
            values[name] = None if name in _LIMITS and value == NO_LIMIT else value
            sources[name] = source
    return ResolvedSampling(Sampling(**values), sources)


def check_partial(partial: PartialSampling) -> None:
    """Raise InvalidSampling for the first value that is out of its range."""
    check_sampling(resolve([(Source.CONVERSATION, partial)]).sampling)
