"""Thoughts of whole models: streamed apart from the answer, limited, interrupted, continued, and carried
between processes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from builders.chats import user
from builders.gguf_models import WORDS, Vocabulary, byte_vocabulary, chain, write_scripted_model
from engine.backend import Backend
from engine.errors import AnswerFillsContext, InvalidSampling
from engine.in_process import InProcessBackend
from engine.types import (
    Event,
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    ModelInfo,
    Sampling,
    ThoughtChunk,
    TokenChunk,
)
from engine.worker import WorkerBackend

SAMPLING = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=60)
QUESTION = [user("?")]

MESSAGES = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
TOLD = "{% if false %}{{ '<think>\\n' + thought + '\\n</think>\\n' }}{% endif %}"
THINKS = MESSAGES + TOLD + "A:"
OPENED = THINKS + "{{ '<think>\\n' }}"
CLOSED = THINKS + "{{ '<think>\\n\\n</think>\\n\\n' }}"
PLAIN = MESSAGES + "A:"
HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "{% if false %}<|channel|>{% endif %}<|start|>assistant"
)
HARMONY_TOKENS = ("<|start|>", "<|message|>", "<|end|>", "<|channel|>")

AS_TEXT = byte_vocabulary(["<think>"])  # the closing tag takes eight tokens
AS_USER_DEFINED = byte_vocabulary([*WORDS], user_defined=["<think>", "</think>"])
AS_CONTROL = byte_vocabulary([*WORDS], control=["<think>", "</think>"])


def load(
    backend: Backend,
    folder: Path,
    template: str,
    vocabulary: Vocabulary,
    *texts: bytes,
    start: bytes = b":",
    more: dict[bytes, bytes] | None = None,
) -> ModelInfo:
    """Load a model that says `texts`, each one token, after the token `start`; more: what follows others."""
    following = chain(start, *texts, vocabulary=vocabulary)
    ids = vocabulary.ids
    following |= {ids[token]: ids[next_token] for token, next_token in (more or {}).items()}
    path = write_scripted_model(
        folder / "thinking.gguf", following, vocabulary=vocabulary, chat_template=template
    )
    return backend.load(path, LoadOptions())


def told(events: Sequence[Event]) -> tuple[str, str, Finished]:
    """What was shown as thought and as answer, after checking it against the message."""
    *chunks, finished = events
    assert isinstance(finished, Finished)
    thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ThoughtChunk))
    answer = "".join(chunk.text for chunk in chunks if isinstance(chunk, TokenChunk))
    kinds = [kind for kind, _ in itertools.groupby(map(type, chunks))]
    assert kinds in ([], [ThoughtChunk], [TokenChunk], [ThoughtChunk, TokenChunk])
    assert all(chunk.text for chunk in chunks if isinstance(chunk, ThoughtChunk | TokenChunk))
    return thought, answer, finished


def ask(
    backend: Backend, messages: Sequence[Message] = QUESTION, sampling: Sampling = SAMPLING
) -> tuple[str, str, Finished]:
    return told(list(backend.chat(messages, sampling)))


def ids(vocabulary: Vocabulary, *texts: bytes) -> tuple[int, ...]:
    return tuple(vocabulary.ids[text] for text in texts)


@pytest.fixture
def worker() -> Iterator[WorkerBackend]:
    backend = WorkerBackend()
    yield backend
    backend.close()


# --- told apart -------------------------------------------------------------------------------------


def test_tags_of_any_kind_of_token_are_not_shown(backend: InProcessBackend, tmp_path: Path) -> None:
    for vocabulary in (AS_USER_DEFINED, AS_CONTROL):
        said = (b"<think>", b"\n", b"H", b"m", b"</think>", b"\n\n", b"4", b"!")
        info = load(backend, tmp_path, THINKS, vocabulary, *said)
        thought, answer, finished = ask(backend)
        assert info.thinks
        assert (thought, answer) == ("Hm", "4!")
        assert finished.reason is FinishReason.END
        assert (finished.message.thought, finished.message.text) == ("Hm", "4!")
        assert finished.message.tokens is not None
        assert finished.message.tokens.ids == ids(vocabulary, b"4", b"!")
        statistics = finished.statistics
        assert (statistics.thought_tokens, statistics.generated_tokens) == (6, 8)
        assert 0 < statistics.thought_s < statistics.generation_s


def test_tags_of_plain_text_over_several_tokens_are_not_shown(
    backend: InProcessBackend, tmp_path: Path
) -> None:
    vocabulary = byte_vocabulary(["<th", "ink", "</", "think>", ">\n\n"])
    said = (b"<th", b"ink", b">", b"H", b"m", b"</", b"think>", b"\n", b"4")
    load(backend, tmp_path, THINKS, vocabulary, *said)
    thought, answer, finished = ask(backend)
    assert (thought, answer) == ("Hm", "4")
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == ids(vocabulary, b"4")


def test_an_answer_that_begins_inside_a_token_has_no_ids(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary([">4"], user_defined=["<think>"])
    said = (b"<think>", b"H", b"<", b"/", b"t", b"h", b"i", b"n", b"k", b">4", b"!")
    load(backend, tmp_path, THINKS, vocabulary, *said)
    thought, answer, finished = ask(backend)
    assert (thought, answer) == ("H", "4!")
    assert finished.message.tokens is None


def test_channels_are_told_apart(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["assistant", "analysis", "final"], control=HARMONY_TOKENS)
    # A token has one follower only, so the second header leaves `<|channel|>` out, as `<|message|>` may.
    said = (b"<|channel|>", b"analysis", b"<|message|>", b"H", b"m", b"<|end|>", b"4")
    load(backend, tmp_path, HARMONY, vocabulary, *said, start=b"assistant")
    thought, answer, finished = ask(backend)
    assert (thought, answer) == ("Hm", "4")
    assert finished.statistics.thought_tokens == 6


def test_a_channels_end_ends_the_answer(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["assistant", "final"], control=HARMONY_TOKENS)
    said = (b"<|channel|>", b"final", b"<|message|>", b"4", b"<|end|>", b"x")
    load(backend, tmp_path, HARMONY, vocabulary, *said, start=b"assistant")
    thought, answer, finished = ask(backend)
    assert (thought, answer, finished.reason) == ("", "4", FinishReason.END)
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == ids(vocabulary, b"4")


def test_the_prompt_may_open_the_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, OPENED, AS_CONTROL, b"H", b"</think>", b"\n\n", b"4", start=b"\n")
    thought, answer, finished = ask(backend)
    assert (thought, answer) == ("H", "4")
    assert finished.statistics.thought_tokens == 3


def test_the_prompt_may_close_the_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, CLOSED, AS_CONTROL, b"4", b"<", b"t", start=b"\n\n")
    thought, answer, finished = ask(backend)
    assert (thought, answer) == ("", "4<t")
    assert finished.statistics.thought_tokens == 0
    assert finished.statistics.thought_s == 0


def test_a_model_that_does_not_think_may_write_tags(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["<think>", "</think>"])
    said = (b"<think>", b"H", b"</think>", b"4")
    for template in (PLAIN, None):
        following = chain(b":", *said, vocabulary=vocabulary)
        path = write_scripted_model(
            tmp_path / "plain.gguf", following, vocabulary=vocabulary, chat_template=template
        )
        info = backend.load(path, LoadOptions())
        thought, answer, _ = ask(backend)
        assert not info.thinks
        assert (thought, answer) == ("", "<think>H</think>4")


def test_a_later_tag_is_part_of_the_answer(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["<think>", "</think>"])
    load(backend, tmp_path, THINKS, vocabulary, b"4", b"<think>", b"H", b"</think>")
    thought, answer, _ = ask(backend)
    assert (thought, answer) == ("", "4<think>H</think>")


# --- how it ends ------------------------------------------------------------------------------------


def test_a_stop_string_does_not_end_the_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    said = (b"<think>", b"H", b"m", b"</think>", b"4", b"5", b"6")
    load(backend, tmp_path, THINKS, AS_CONTROL, *said)
    thought, answer, finished = ask(backend, sampling=dataclasses.replace(SAMPLING, stop=("H", "56")))
    assert (thought, answer) == ("Hm", "4")
    assert finished.reason is FinishReason.STOP


def test_max_tokens_count_the_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    said = (b"<think>", b"H", b"m", b"!", b"</think>", b"4", b"5", b"6")
    load(backend, tmp_path, THINKS, AS_CONTROL, *said)
    for max_tokens, expected in ((3, ("Hm", "")), (5, ("Hm!", "")), (7, ("Hm!", "45"))):
        sampling = dataclasses.replace(SAMPLING, max_tokens=max_tokens)
        thought, answer, finished = ask(backend, sampling=sampling)
        assert (thought, answer) == expected
        assert (finished.message.thought, finished.message.text) == expected
        assert finished.reason is FinishReason.LENGTH
        assert finished.statistics.generated_tokens == max_tokens


def test_a_model_may_end_within_its_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"<think>", b"H", b"m")
    thought, answer, finished = ask(backend)
    assert (thought, answer, finished.reason) == ("Hm", "", FinishReason.END)
    assert (finished.message.thought, finished.message.text) == ("Hm", "")


def test_a_person_may_end_a_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    said = (b"<think>", *(bytes([letter]) for letter in b"abcdefgh"), b"</think>", b"4")
    load(backend, tmp_path, THINKS, AS_CONTROL, *said)
    events = backend.chat(QUESTION, SAMPLING)
    seen: list[Event] = [next(events)]
    backend.cancel()
    thought, answer, finished = told([*seen, *events])
    assert finished.reason is FinishReason.CANCELLED
    assert answer == finished.message.text == ""
    assert 1 <= len(thought) < 8
    assert "abcdefgh".startswith(thought)
    assert finished.message.thought == thought
    assert ask(backend)[:2] == ("abcdefgh", "4")


# --- the budget -------------------------------------------------------------------------------------

LETTERS = tuple(bytes([letter]) for letter in b"abcdefgh")
FORCED = {b"\n": b"4", b"4": b"!"}  # what follows `\n</think>\n`, which no script says


@pytest.mark.parametrize(
    "vocabulary", [AS_TEXT, AS_USER_DEFINED, AS_CONTROL], ids=["text", "user", "control"]
)
@pytest.mark.parametrize("budget", [1, 4])
def test_a_used_up_budget_closes_the_thought(
    backend: InProcessBackend, tmp_path: Path, vocabulary: Vocabulary, budget: int
) -> None:
    load(backend, tmp_path, THINKS, vocabulary, b"<think>", *LETTERS, more=FORCED)
    thought, answer, finished = ask(backend, sampling=dataclasses.replace(SAMPLING, thought_budget=budget))
    assert thought == "abcdefgh"[: budget - 1]
    assert answer.startswith("4!")
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids[:2] == ids(vocabulary, b"4", b"!")
    statistics = finished.statistics
    assert budget < statistics.thought_tokens < statistics.generated_tokens
    assert statistics.context_used == statistics.prompt_tokens + statistics.generated_tokens


def test_a_budget_of_nothing_closes_at_once_what_the_prompt_opened(
    backend: InProcessBackend, tmp_path: Path
) -> None:
    load(backend, tmp_path, OPENED, AS_CONTROL, b"4", b"!", start=b"\n")
    thought, answer, finished = ask(backend, sampling=dataclasses.replace(SAMPLING, thought_budget=0))
    assert (thought, answer) == ("", "4!")
    assert finished.statistics.thought_tokens == 3  # "\n", "</think>", "\n"


@pytest.mark.parametrize(
    "vocabulary", [AS_TEXT, AS_USER_DEFINED, AS_CONTROL], ids=["text", "user", "control"]
)
def test_a_closed_thought_that_the_model_closes_too_leaves_no_tag(
    backend: InProcessBackend, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    tag = [token for token in (b"</think>",) if token in vocabulary.ids]
    said = tag or [bytes([byte]) for byte in b"</think>"]
    load(backend, tmp_path, OPENED, vocabulary, *said, b"4", b"!", start=b"\n")
    thought, answer, finished = ask(backend, sampling=dataclasses.replace(SAMPLING, thought_budget=0))
    assert (thought, answer, finished.message.text) == ("", "4!", "4!")
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == ids(vocabulary, b"4", b"!")


def test_a_thought_within_its_budget_is_left_alone(backend: InProcessBackend, tmp_path: Path) -> None:
    said = (b"<think>", b"H", b"</think>", b"4", b"5", b"6", b"7")
    load(backend, tmp_path, THINKS, AS_CONTROL, *said)
    assert ask(backend, sampling=dataclasses.replace(SAMPLING, thought_budget=3))[:2] == ("H", "4567")


def test_a_budget_does_not_cut_a_tag_or_a_character(backend: InProcessBackend, tmp_path: Path) -> None:
    zhong = [bytes([byte]) for byte in "中".encode()]
    load(backend, tmp_path, THINKS, AS_TEXT, b"<think>", *zhong, b"<", b"/", b"t", b"x", b"y", more=FORCED)
    for budget, expected in ((1, ""), (2, "中"), (4, "中"), (5, "中</tx"), (7, "中</tx")):
        sampling = dataclasses.replace(SAMPLING, thought_budget=budget)
        thought, answer, _ = ask(backend, sampling=sampling)
        assert thought == expected
        assert answer.startswith("4!")


def test_channels_change_when_the_budget_is_used_up(backend: InProcessBackend, tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["assistant", "analysis", "final"], control=HARMONY_TOKENS)
    said = (b"<|channel|>", b"analysis", b"<|message|>", b"H")
    # After `<|message|>` comes H again, now as the answer.
    load(backend, tmp_path, HARMONY, vocabulary, *said, start=b"assistant")
    thought, answer, finished = ask(backend, sampling=dataclasses.replace(SAMPLING, thought_budget=3))
    assert (thought, answer) == ("", "H")
    assert finished.statistics.thought_tokens == 3 + 6  # <|end|><|start|>assistant<|channel|>final<|message|>


@pytest.mark.parametrize(("budget", "max_tokens"), [(4, 7), (4, 5), (1, 2)])
def test_max_tokens_leave_out_what_closes_the_thought(
    backend: InProcessBackend, tmp_path: Path, budget: int, max_tokens: int
) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"<think>", *LETTERS, more=FORCED | {b"!": b"5", b"5": b"6"})
    sampling = dataclasses.replace(SAMPLING, thought_budget=budget, max_tokens=max_tokens)
    thought, answer, finished = ask(backend, sampling=sampling)
    assert (thought, answer) == ("abc"[: budget - 1], "4!56"[: max_tokens - budget])
    assert finished.reason is FinishReason.LENGTH
    assert finished.statistics.generated_tokens == max_tokens + 3  # "\n", "</think>", "\n"


@pytest.mark.parametrize("max_tokens", [1, 2])
def test_a_budget_of_nothing_leaves_an_answer_within_any_limit(
    backend: InProcessBackend, tmp_path: Path, max_tokens: int
) -> None:
    load(backend, tmp_path, OPENED, AS_CONTROL, b"4", b"!", b"5", start=b"\n")
    sampling = dataclasses.replace(SAMPLING, thought_budget=0, max_tokens=max_tokens)
    thought, answer, finished = ask(backend, sampling=sampling)
    assert (thought, answer, finished.reason) == ("", "4!"[:max_tokens], FinishReason.LENGTH)


def test_a_thought_that_ends_at_the_limit_is_not_closed(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"<think>", *LETTERS, more=FORCED)
    sampling = dataclasses.replace(SAMPLING, thought_budget=4, max_tokens=4)
    thought, answer, finished = ask(backend, sampling=sampling)
    assert (thought, answer, finished.reason) == ("abc", "", FinishReason.LENGTH)
    assert finished.statistics.generated_tokens == 4


def test_without_room_in_the_context_to_close_it_the_answer_ends(
    backend: InProcessBackend, tmp_path: Path
) -> None:
    load(backend, tmp_path, OPENED, AS_CONTROL, *LETTERS, start=b"\n", more={b"h": b"a"})
    unlimited = dataclasses.replace(SAMPLING, max_tokens=None)
    statistics = ask(backend, sampling=unlimited)[2].statistics
    room = statistics.context_tokens - statistics.prompt_tokens
    for budget, is_closed in ((room - 4, True), (room - 3, False)):
        sampling = dataclasses.replace(unlimited, thought_budget=budget)
        thought, answer, finished = ask(backend, sampling=sampling)
        assert (len(thought), answer != "", finished.reason) == (budget, is_closed, FinishReason.CONTEXT)
        assert finished.statistics.generated_tokens == (room if is_closed else budget)


@pytest.mark.parametrize("budget", [-1, 2**31])
def test_a_budget_out_of_range_is_refused(backend: InProcessBackend, tmp_path: Path, budget: int) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"4")
    with pytest.raises(InvalidSampling) as caught:
        backend.chat(QUESTION, dataclasses.replace(SAMPLING, thought_budget=budget))
    assert caught.value.setting == "thought_budget"


# --- the next turn, and going on --------------------------------------------------------------------


def test_the_next_question_comes_after_the_answer_alone(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"<think>", b"H", b"</think>", b"4")
    first = ask(backend)[2]
    second = ask(backend, [*QUESTION, first.message, *QUESTION])[2]
    without = dataclasses.replace(first.message, thought="")
    third = ask(backend, [*QUESTION, without, *QUESTION])[2]
    assert second.statistics.prompt_tokens == third.statistics.prompt_tokens
    assert second.message == third.message == first.message


def test_going_on_with_an_answer_keeps_its_thought(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, b"<think>", b"H", b"</think>", b"4", b"5", b"6")
    begun = ask(backend, sampling=dataclasses.replace(SAMPLING, max_tokens=4))[2].message
    assert (begun.thought, begun.text) == ("H", "4")
    thought, answer, finished = ask(backend, [*QUESTION, begun])
    assert (thought, answer) == ("", "56")
    assert (finished.message.thought, finished.message.text) == ("H", "456")
    assert finished.message.tokens is not None
    assert finished.message.tokens.ids == ids(AS_CONTROL, b"4", b"5", b"6")


@pytest.mark.parametrize(("template", "start"), [(THINKS, b":"), (OPENED, b"\n")], ids=["asked", "opened"])
def test_going_on_with_a_thought_ends_it_as_at_once(
    backend: InProcessBackend, tmp_path: Path, template: str, start: bytes
) -> None:
    opening = [b"<think>"] if template is THINKS else []
    said = (*opening, *LETTERS, b"</think>", b"4", b"5", b"6")
    load(backend, tmp_path, template, AS_CONTROL, *said, start=start)
    whole = ask(backend)[2]
    begun = ask(backend, sampling=dataclasses.replace(SAMPLING, max_tokens=4))[2].message
    assert (begun.text, "abcdefgh".startswith(begun.thought)) == ("", True)
    thought, answer, finished = ask(backend, [*QUESTION, begun])
    assert (begun.thought + thought, answer) == ("abcdefgh", "456")
    assert finished.message == whole.message
    if template is OPENED:  # the script above leaves out the newline after the tag
        assert finished.statistics.reused_tokens == finished.statistics.prompt_tokens - 1


def test_the_budget_holds_for_a_thought_that_goes_on(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, OPENED, AS_CONTROL, *LETTERS, start=b"\n")
    begun = Message("assistant", "", None, "abc")
    sampling = dataclasses.replace(SAMPLING, thought_budget=2, max_tokens=8)
    thought, answer, _ = ask(backend, [*QUESTION, begun], sampling)
    assert thought == "de"
    assert answer.startswith("abc")  # the closing ends with a newline, after which the script begins anew


def test_a_thought_with_half_a_surrogate_pair_goes_on(backend: InProcessBackend, tmp_path: Path) -> None:
    load(backend, tmp_path, THINKS, AS_CONTROL, *LETTERS[1:], b"</think>", b"4", b"5", start=b"a")
    begun = Message("assistant", "", None, "\ud800a")
    assert ask(backend, [*QUESTION, begun])[:2] == ("abcdefgh"[1:], "45")


@pytest.mark.parametrize("thinks", [True, False], ids=["thought", "answer"])
def test_a_thought_that_fills_the_context_ends_like_an_answer_that_does(
    backend: InProcessBackend, tmp_path: Path, thinks: bool
) -> None:
    template, start = (OPENED, b"\n") if thinks else (PLAIN, b":")
    load(backend, tmp_path, template, AS_CONTROL, *LETTERS, start=start, more={b"h": b"a"})
    unlimited = dataclasses.replace(SAMPLING, max_tokens=None)
    thought, answer, finished = ask(backend, sampling=unlimited)
    assert finished.reason is FinishReason.CONTEXT
    assert (len(thought) > len(answer)) is thinks
    n_context = finished.statistics.context_tokens
    with pytest.raises(AnswerFillsContext) as caught:
        ask(backend, [*QUESTION, finished.message], unlimited)
    error = caught.value
    assert (error.prompt_tokens, error.context_tokens) == (n_context, n_context)
    assert error.available_tokens == n_context - 1
    assert ask(backend)[2].reason is FinishReason.LENGTH  # a new question has room again


# --- in a process of its own ------------------------------------------------------------------------


def test_a_worker_tells_the_same(worker: WorkerBackend, backend: InProcessBackend, tmp_path: Path) -> None:
    said = (b"<think>", *LETTERS, b"</think>", b"\n\n", b"4", b"5", b"6")
    assert load(worker, tmp_path, THINKS, AS_CONTROL, *said).thinks
    thought, answer, finished = ask(worker)
    assert (thought, answer) == ("abcdefgh", "456")
    load(backend, tmp_path, THINKS, AS_CONTROL, *said)
    assert finished.message == ask(backend)[2].message
    assert finished.statistics.thought_tokens == 11
    begun = dataclasses.replace(finished.message, text="4", tokens=None)
    assert ask(worker, [*QUESTION, begun])[2].message.thought == "abcdefgh"
