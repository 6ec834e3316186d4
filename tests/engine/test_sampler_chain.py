"""Which tokens a sampler chain lets through, against the definitions written out with numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.llama import Context, Model
from engine.sampler_chain import SamplerChain
from engine.types import Sampling

OFF = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
N_DRAWS = 400


@pytest.fixture(scope="module")
def context(models: Path) -> Iterator[Context]:
    """With the logits after some text, sharpened so that few tokens are probable."""
    with Model(models / "bloom.gguf") as model:
        context = Context(model, context_tokens=64, n_batch=64, n_micro_batch=64, n_threads=1)
        context.evaluate(model.tokenize("Human: hello"))
        context.logits()[:] *= 0.6
        yield context


def drawn(context: Context, sampling: Sampling) -> set[int]:
    """The tokens of many draws from the same logits."""
    tokens = set()
    for seed in range(N_DRAWS):
        with SamplerChain(sampling, seed, context.model.n_vocab) as chain:
            tokens.add(chain.sample(context))
    return tokens


def probabilities(context: Context, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    logits = context.logits().astype(np.float64) / temperature
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def nucleus(chances: npt.NDArray[np.float64], top_p: float) -> set[int]:
    """The fewest most probable tokens whose probabilities reach `top_p`."""
    order = np.argsort(-chances, kind="stable")
    n_kept = int(np.searchsorted(np.cumsum(chances[order]), top_p)) + 1
    return set(order[:n_kept].tolist())


def test_top_k_lets_the_k_likeliest_through(context: Context) -> None:
    order = np.argsort(-context.logits(), kind="stable")

    assert drawn(context, replace(OFF, top_k=3)) == set(order[:3].tolist())


def test_min_p_is_a_share_of_the_likeliest(context: Context) -> None:
    chances = probabilities(context)
    allowed = set(np.flatnonzero(chances >= 0.3 * chances.max()).tolist())

    assert drawn(context, replace(OFF, min_p=0.3)) == allowed


def test_temperature_and_top_p_work_in_the_order_asked_for(context: Context) -> None:
    """Divided first, a high temperature lets more tokens into the nucleus."""
    hot = replace(OFF, temperature=1.6, top_p=0.3)
    first = drawn(context, replace(hot, sequence=("temperature", "top_p")))
    last = drawn(context, replace(hot, sequence=("top_p", "temperature")))

    assert last == nucleus(probabilities(context), 0.3)
    assert first <= nucleus(probabilities(context, 1.6), 0.3)
    assert last < first


def test_a_sampler_that_is_not_in_the_sequence_is_off(context: Context) -> None:
    assert len(drawn(context, replace(OFF, top_k=1, sequence=("temperature",)))) > 1


def test_xtc_leaves_out_the_likeliest(context: Context) -> None:
    chances = probabilities(context)
    order = np.argsort(-chances, kind="stable")
    threshold = float(chances[order[2]])
    sampling = replace(OFF, xtc_probability=1.0, xtc_threshold=threshold * 0.999)

    assert set(order[:2].tolist()).isdisjoint(drawn(context, sampling))
    assert int(order[2]) in drawn(context, sampling)


@pytest.mark.parametrize("mirostat", [1, 2])
def test_mirostat_takes_the_place_of_the_filters(context: Context, mirostat: int) -> None:
    narrow = replace(OFF, mirostat=mirostat, mirostat_tau=0.1)
    wide = replace(OFF, mirostat=mirostat, mirostat_tau=8.0, top_k=1)

    assert len(drawn(context, narrow)) < len(drawn(context, wide))


def test_temperature_zero_takes_the_likeliest(context: Context) -> None:
    best = int(np.argmax(context.logits()))

    assert drawn(context, replace(Sampling(), temperature=0.0, mirostat=0)) == {best}
