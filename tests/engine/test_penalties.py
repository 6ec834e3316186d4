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
from builders.gguf_files import write_gguf
from builders.gguf_models import byte_vocabulary, chain, write_scripted_model
from convert.tokenizers.vocabulary import TokenType, Vocabulary
from engine.abort import Cancellation
from engine.conversation import read_conversation
from engine.in_process import InProcessBackend
from engine.llama import Context, Model
from engine.penalties import Penalties
from engine.prompt import BELLE
from engine.session import Session
from engine.threads import Threads
from engine.types import Finished, FinishReason, LoadOptions, Message, Sampling

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
    sampling = Sampling(
        repetition_penalty=repetition,
        presence_penalty=presence,
        frequency_penalty=frequency,
        penalty_last_n=-1,
    )
    logits = (np.random.default_rng(seed).standard_normal(N_VOCAB) * 5).astype(np.float32)
    expected = reference(logits, tokens, sampling)
    half = len(tokens) // 2
    penalties = Penalties(sampling, tokens[:half])
    for token in tokens[half:]:
        penalties.accept(token)
    penalties.apply(logits)
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


@given(
    st.lists(st.integers(0, 20), max_size=200),
    st.integers(1, 80),
    st.integers(0, 200),
    st.frozensets(st.integers(0, 20)),
)
def test_only_the_newest_tokens_count_and_none_that_is_spared(
    tokens: list[int], n_window: int, n_prompt: int, spared: frozenset[int]
) -> None:
    sampling = Sampling(
        repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.25, penalty_last_n=n_window
    )
    logits = np.linspace(-3, 3, 21, dtype=np.float32)
    newest = [token for token in tokens[-n_window:] if token not in spared]
    expected = reference(logits, newest, sampling)
    penalties = Penalties(sampling, tokens[:n_prompt], spared.__contains__)
    for token in tokens[n_prompt:]:
        penalties.accept(token)
    penalties.apply(logits)
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


def test_penalties_that_are_off_cost_nothing() -> None:
    assert not Penalties(Sampling(repetition_penalty=1.0), [1, 2, 3]).enabled
    assert not Penalties(Sampling(repetition_penalty=1.2, penalty_last_n=0), []).enabled
    assert not Penalties(Sampling(repetition_penalty=1.2, sequence=("temperature",)), []).enabled
    assert not Penalties(Sampling(repetition_penalty=1.2, mirostat=2), []).enabled
    assert Penalties(Sampling(repetition_penalty=1.2), []).enabled


@pytest.mark.parametrize("name", ["bloom", "llama"])
def test_greedy_answers_follow_the_reference_over_the_whole_context(models: Path, name: str) -> None:
    """Token for token: an unpenalized evaluation of prompt and answer so far, then reference and argmax."""
    sampling = dataclasses.replace(
        GREEDY,
        repetition_penalty=1.3,
        presence_penalty=0.2,
        frequency_penalty=0.1,
        penalty_last_n=-1,
        max_tokens=40,
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
    penalized = ask(
        backend, [user("hello")], dataclasses.replace(GREEDY, repetition_penalty=1.2, max_tokens=100)
    )
    free = ask(backend, [user("hello")], dataclasses.replace(GREEDY, max_tokens=100))
    assert penalized.message.text != free.message.text


def test_what_a_template_writes_is_spared_and_words_are_not(tmp_path: Path) -> None:
    texts = ["<unk>", "<s>", "</s>", "a", "<|channel|>", "ab", "<b>", "<|end_of_turn|>"]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, TokenType.NORMAL]
    kinds += [TokenType.USER_DEFINED, TokenType.USER_DEFINED, TokenType.NORMAL, TokenType.NORMAL]
    vocabulary = Vocabulary("llama", None, texts, kinds, [0.0] * 8, bos_id=1, eos_id=2, unk_id=0)
    path = tmp_path / "v.gguf"
    write_gguf(path, dataclasses.replace(vocabulary, eot_id=7))
    with Model(path, vocabulary_only=True) as model:
        spared = [model.marks_turn(token) for token in range(8)]

    assert spared == [False, True, True, False, True, False, False, True]


REPEATING = Sampling(temperature=0, repetition_penalty=1.0, presence_penalty=50.0, max_tokens=20)
"""A penalty that no token of the context survives."""


@pytest.mark.parametrize("prompt_format", ["template", "belle"])
def test_penalties_spare_what_ends_a_turn_but_in_belles_formats(
    tmp_path: Path, backend: InProcessBackend, prompt_format: str
) -> None:
    """An earlier turn's end token is in the context; the model's own wish is to end the answer."""
    vocabulary = byte_vocabulary()
    template = (
        "{% for message in messages %}{% if message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token }}{% else %}{{ message['content'] + ':' }}{% endif %}{% endfor %}"
    )
    following = chain(b":", b"y", b"e", vocabulary=vocabulary)
    write_scripted_model(tmp_path / "m.gguf", following, vocabulary=vocabulary, chat_template=template)
    backend.load(tmp_path / "m.gguf", LoadOptions(prompt_format=prompt_format))
    first = ask(backend, [user("a")], dataclasses.replace(REPEATING, presence_penalty=0.0))
    assert (first.message.text, first.reason) == ("ye", FinishReason.END)
    longer = [user("a"), Message("assistant", "k"), user("b")]
    second = ask(backend, longer, dataclasses.replace(REPEATING, penalty_last_n=-1))
    ends = prompt_format == "template"
    assert (second.message.text == "ye") is ends
    assert (second.reason is FinishReason.END) is ends
