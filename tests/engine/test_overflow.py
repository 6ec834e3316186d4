"""What is forgotten when a conversation no longer fits, and for how long the choice stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from builders.chats import GREEDY, ask, user
from engine.errors import AnswerFillsContext, PromptTooLong
from engine.in_process import InProcessBackend
from engine.types import Finished, FinishReason, LoadOptions, Message

CONTEXT = 256
SHORT = dataclasses.replace(GREEDY, max_tokens=16)
UNLIMITED = dataclasses.replace(GREEDY, max_tokens=None)
SYSTEM = Message("system", "Be brief.")


@pytest.fixture
def small(backend: InProcessBackend, models: Path) -> InProcessBackend:
    backend.load(models / "llama.gguf", LoadOptions(context_tokens=CONTEXT, prompt_format="belle"))
    return backend


def long_talk(backend: InProcessBackend, n_turns: int) -> tuple[list[Message], list[Finished]]:
    messages, answers = [SYSTEM], []
    for index in range(n_turns):
        messages.append(user(f"question number {index}"))
        answers.append(ask(backend, messages, SHORT))
        messages.append(answers[-1].message)
    return messages, answers


def test_a_long_conversation_goes_on_for_ever(small: InProcessBackend) -> None:
    _, answers = long_talk(small, 30)
    forgotten = [answer.statistics.forgotten_turns for answer in answers]
    assert forgotten[0] == 0
    assert forgotten == sorted(forgotten)
    assert forgotten[-1] >= 20
    for answer in answers:
        assert answer.statistics.prompt_tokens <= CONTEXT - SHORT.max_tokens


def test_forgetting_halves_the_prompt_and_then_the_choice_stays(small: InProcessBackend) -> None:
    _, answers = long_talk(small, 30)
    for before, after in zip(answers, answers[1:], strict=False):
        if after.statistics.forgotten_turns > before.statistics.forgotten_turns:
            assert after.statistics.prompt_tokens <= CONTEXT // 2
        else:
            assert after.statistics.reused_tokens >= before.statistics.prompt_tokens
    n_choices = len({answer.statistics.forgotten_turns for answer in answers})
    assert n_choices <= 1 + 30 // 3


def test_half_the_context_is_filled_with_as_many_turns_as_fit(small: InProcessBackend) -> None:
    messages, answers = long_talk(small, 30)
    first_full = next(index for index, answer in enumerate(answers) if answer.statistics.forgotten_turns)
    n_forgotten = answers[first_full].statistics.forgotten_turns
    one_more = [SYSTEM, *messages[1 + 2 * (n_forgotten - 1) : 2 + 2 * first_full]]
    assert ask(small, one_more, SHORT).statistics.prompt_tokens > CONTEXT // 2


def test_the_system_text_is_never_forgotten(small: InProcessBackend) -> None:
    messages, answers = long_talk(small, 12)
    n_forgotten = answers[-1].statistics.forgotten_turns
    assert n_forgotten > 0
    kept = [SYSTEM, *messages[1 + 2 * n_forgotten : -1]]
    same = ask(small, kept, SHORT)
    assert same.statistics.prompt_tokens == answers[-1].statistics.prompt_tokens
    assert same.statistics.reused_tokens == same.statistics.prompt_tokens - 1


def test_a_choice_does_not_carry_over_to_another_conversation(small: InProcessBackend) -> None:
    long_talk(small, 12)
    assert ask(small, [user("new")], SHORT).statistics.forgotten_turns == 0


def test_what_fits_again_is_remembered_again(small: InProcessBackend) -> None:
    messages, _ = long_talk(small, 12)
    assert ask(small, [*messages[:3], user("edited")], SHORT).statistics.forgotten_turns == 0


def test_a_message_that_cannot_fit_is_refused_with_numbers(small: InProcessBackend) -> None:
    messages, _ = long_talk(small, 3)
    with pytest.raises(PromptTooLong) as caught:
        ask(small, [*messages, user("word " * 300)], SHORT)
    assert caught.value.context_tokens == CONTEXT
    assert caught.value.available_tokens == CONTEXT - SHORT.max_tokens
    assert caught.value.message_tokens > 1000
    assert ask(small, [*messages, user("short")], SHORT).message.text


def test_the_answer_gets_at_most_a_quarter_reserved(small: InProcessBackend) -> None:
    greedy_for_more = dataclasses.replace(GREEDY, max_tokens=10_000)
    with pytest.raises(PromptTooLong) as caught:
        ask(small, [user("word " * 300)], greedy_for_more)
    assert caught.value.available_tokens == CONTEXT - CONTEXT // 4


def test_a_message_over_half_the_context_is_answered_alone(small: InProcessBackend) -> None:
    messages, _ = long_talk(small, 3)
    finished = ask(small, [*messages, user("x" * 180)], SHORT)
    assert finished.statistics.forgotten_turns == 3
    assert finished.statistics.prompt_tokens > CONTEXT // 2


def fill(backend: InProcessBackend, messages: list[Message]) -> list[Message]:
    """The messages with an answer that ends where the context does."""
    finished = ask(backend, messages, UNLIMITED)
    assert finished.reason is FinishReason.CONTEXT
    assert finished.statistics.context_used == CONTEXT
    return [*messages, finished.message]


def test_an_answer_that_fills_the_context_by_itself_cannot_go_on(small: InProcessBackend) -> None:
    messages = fill(small, [user("count")])
    with pytest.raises(AnswerFillsContext) as caught:
        ask(small, messages, UNLIMITED)
    assert caught.value.prompt_tokens == CONTEXT
    assert caught.value.available_tokens == CONTEXT - 1
    assert caught.value.context_tokens == CONTEXT


def test_an_answer_that_fills_the_context_goes_on_when_earlier_turns_are_forgotten(
    small: InProcessBackend,
) -> None:
    begun = [user("a long first question " * 4), Message("assistant", "yes")]
    messages = fill(small, [*begun, user("count")])
    going_on = ask(small, messages, UNLIMITED)

    assert going_on.statistics.forgotten_turns == 1
    assert going_on.statistics.generated_tokens > 0
    assert len(going_on.message.text) > len(messages[-1].text)
