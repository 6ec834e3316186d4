"""Penalties against a slow reference of transformers' semantics, and over the prompt of a real answer."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.chats import GREEDY, ask, user
from engine.abort import Cancellation
from engine.conversation import read_conversation
from engine.in_process import InProcessBackend
from engine.llama import Context, Model
from engine.penalties import Penalties
from engine.prompt import BELLE
from engine.session import Session
from engine.threads import Threads
from engine.types import Finished, LoadOptions, Sampling

N_VOCAB = 300


def reference(
    logits: npt.NDArray[np.float32], tokens: list[int], sampling: Sampling
) -> npt.NDArray[np.float32]:
    """RepetitionPenaltyLogitsProcessor's gather, where, scatter; then OpenAI's two penalties."""
    changed = logits.copy()
    for token, count in Counter(tokens).items():
        score = np.float32(logits[token])
        penalty = np.float32(sampling.repetition_penalty)
        score = score * penalty if score < 0 else score / penalty
        changed[token] = score - (
            np.float32(count) * np.float32(sampling.frequency_penalty) + np.float32(sampling.presence_penalty)
        )
    return changed


@given(
    st.lists(st.integers(0, N_VOCAB - 1), max_size=600),
    st.floats(0.5, 2.0),
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.integers(0, 2**32 - 1),
)
def test_logits_change_as_the_reference_says(
    tokens: list[int], repetition: float, presence: float, frequency: float, seed: int
) -> None:
    sampling = Sampling(repetition_penalty=repetition, presence_penalty=presence, frequency_penalty=frequency)
    logits = (np.random.default_rng(seed).standard_normal(N_VOCAB) * 5).astype(np.float32)
    expected = reference(logits, tokens, sampling)
    half = len(tokens) // 2
    penalties = Penalties(sampling, tokens[:half])
    for token in tokens[half:]:
        penalties.accept(token)
    penalties.apply(logits)
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


def test_penalties_that_are_off_cost_nothing() -> None:
    assert not Penalties(Sampling(repetition_penalty=1.0), [1, 2, 3]).enabled
    assert Penalties(Sampling(repetition_penalty=1.2), []).enabled


@pytest.mark.parametrize("name", ["bloom", "llama"])
def test_greedy_answers_follow_the_reference_over_the_whole_context(models: Path, name: str) -> None:
    """Token for token: an unpenalized evaluation of prompt and answer so far, then reference and argmax."""
    sampling = dataclasses.replace(
        GREEDY, repetition_penalty=1.3, presence_penalty=0.2, frequency_penalty=0.1, max_tokens=40
    )
    with Model(models / f"{name}.gguf") as model:
        context = Context(model, context_tokens=512, n_batch=512, n_micro_batch=512, n_threads=1)
        session = Session(model, context, BELLE, Threads([1]), vocabulary="v", context_tokens=512, n_read=128)
        conversation = read_conversation([user("hello hello, 你好!")])
        *_, finished = session.answer(conversation, sampling, 0, Cancellation())
        assert isinstance(finished, Finished)
        assert finished.message.tokens is not None
        tokens = list(model.tokenize("Human: hello hello, 你好!\n\nAssistant:"))
        assert len(tokens) == finished.statistics.prompt_tokens
        context.truncate(0)
        context.evaluate(tokens)
        for token in finished.message.tokens.ids:
            assert int(np.argmax(reference(context.logits(), tokens, sampling))) == token
            tokens.append(token)
            context.evaluate([token])


def test_without_penalties_the_answer_differs(models: Path, backend: InProcessBackend) -> None:
    backend.load(models / "bloom.gguf", LoadOptions())
    penalized = ask(backend, [user("hello")], dataclasses.replace(GREEDY, max_tokens=100))
    free = ask(backend, [user("hello")], dataclasses.replace(GREEDY, repetition_penalty=1.0, max_tokens=100))
    assert penalized.message.text != free.message.text
