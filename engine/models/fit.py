"""Whether a model runs on a machine: how much memory it needs there, and what to choose so that it does.

Arithmetic only: the estimate is `engine.memory`'s, the machine `engine.models.machine`'s. A recommendation
keeps a part of the memory for everything else, so that a machine with 8 GB does not begin to swap; a person
may override it, up to what is available.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine import memory
from engine.memory import Footprint, MemoryNeed, estimate, largest_context
from engine.models.machine import Machine

QUANTIZATIONS = ("q4_k_m", "q4_k_s", "iq4_xs", "q3_k_m")
"""What is offered by itself, best first; larger ones only where somebody asks for them."""

_FOR_THE_SYSTEM = 4  # one part in so many of all memory stays free of models
_SLOW_TOKENS_PER_S = 4.0  # about as fast as one reads Chinese


class Verdict(StrEnum):
    """How a model does on a machine."""

    WELL = "well"
    SLOWLY = "slowly"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict with its numbers, in bytes and tokens.

    free_bytes: what is available, None where the system does not tell (then everything fits).
    smaller_context: a context that would fit, where the one asked for does not; quantization: a smaller one
    that would, None where that is not known or none does.
    """

    verdict: Verdict
    need: MemoryNeed
    free_bytes: int | None
    context_tokens: int
    smaller_context: int | None = None
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take on a machine unless a person wants something else."""

    quantization: str
    context_tokens: int
    fit: Fit


def judge(model: Footprint, machine: Machine, context_tokens: int | None = None) -> Fit:
    """How `model` does with this context, by default the one `default_context` chooses."""
    if context_tokens is None:
        context_tokens = default_context(model, machine)
    need = estimate(model, context_tokens)
    free = _usable(machine)
    if free is None or need.total <= free:
        verdict = Verdict.SLOWLY if _is_slow(model, machine) else Verdict.WELL
        return Fit(verdict, need, free, context_tokens)
    smaller = largest_context(model, free)
    if smaller is not None and smaller >= context_tokens:
        smaller = None
    return Fit(Verdict.NO, need, free, context_tokens, smaller)


def default_context(model: Footprint, machine: Machine) -> int:
    """The context to load with: what the model was trained with, at most 4,096 (on phones 2,048), less where
    that would swap.

    Never below 1,024 for lack of memory: `judge` then says that it does not fit.
    """
    return memory.default_context(model, _budget(machine))


def choose(models: Mapping[str, Footprint], machine: Machine) -> Choice | None:
    """The best of `QUANTIZATIONS` that `models` has (footprint by quantization) and that fits comfortably.

    If none does, the best that fits the memory available now; None where none fits at all.
    """
    offered = [name for name in QUANTIZATIONS if name in models]
    for limit in (_budget(machine), _usable(machine)):
        for name in offered:
            context_tokens = default_context(models[name], machine)
            fit = judge(models[name], machine, context_tokens)
            if limit is None or fit.need.total <= limit:
                return Choice(name, context_tokens, fit)
    return None


def judge_best(models: Mapping[str, Footprint], machine: Machine) -> Fit | None:
    """The verdict on a model that exists in several quantizations: that of `choose`, or, where none fits,
    that of the smallest; None where no size is known.
    """
    choice = choose(models, machine)
    if choice is not None:
        fit = choice.fit
        return Fit(fit.verdict, fit.need, fit.free_bytes, fit.context_tokens, None, choice.quantization)
    if not models:
        return None
    return judge(min(models.values(), key=lambda model: model.weights), machine)


def _usable(machine: Machine) -> int | None:
    """What can be used at all now."""
    known = [size for size in (machine.available_bytes, machine.gpu_bytes) if size is not None]
    return min(known, default=None)


def _budget(machine: Machine) -> int | None:
    """What may be used by default."""
    known = [size for size in (_usable(machine),) if size is not None]
    if machine.total_bytes is not None:
        known.append(machine.total_bytes - machine.total_bytes // _FOR_THE_SYSTEM)
    return min(known, default=None)


def _is_slow(model: Footprint, machine: Machine) -> bool:
    """Each token reads all weights once; nothing else comes near it."""
    return machine.bandwidth < _SLOW_TOKENS_PER_S * model.weights
