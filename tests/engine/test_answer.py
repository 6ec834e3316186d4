"""What is kept of an answer whose thought was begun before."""

from __future__ import annotations

import pytest

from engine.answer import Answer
from engine.thought_formats import thought_format
from engine.thought_tokens import Thoughts
from engine.types import FinishReason, Message, ThoughtChunk, TokenChunk, TokenIds

FORMAT = thought_format("<think></think>", "llama", lambda _: True)
assert FORMAT is not None
THINKS = Thoughts(FORMAT, tags={}, answer_ends={}, closing=(1, 2))
OPENED = "<|im_start|>assistant\n<think>\n"


def go_on(text: str, begun: Message | None, opening: str, reason: FinishReason = FinishReason.END) -> Message:
    """The message after a model wrote `text`, each byte a token, whose chunks add up to it."""
    answer = Answer(lambda token: bytes([token]), thoughts=THINKS, opening=opening, begun=begun)
    chunks = [chunk for byte in text.encode() for chunk in answer.push(byte)]
    chunks += answer.finish(reason)
    message = answer.message("v")
    thought = "".join(chunk.text for chunk in chunks if isinstance(chunk, ThoughtChunk))
    written = "".join(chunk.text for chunk in chunks if isinstance(chunk, TokenChunk))
    assert message.thought == (begun.thought if begun else "") + thought
    assert message.text == (begun.text if begun else "") + written
    return message


def ids(text: str) -> TokenIds:
    return TokenIds("v", tuple(text.encode()))


def test_a_thought_that_a_limit_cut_goes_on() -> None:
    begun = go_on("One thing", None, OPENED, FinishReason.LENGTH)
    assert begun == Message("assistant", "", ids(""), "One thing")
    assert go_on(" and another.\n</think>\n\nYes.", begun, OPENED + begun.thought) == Message(
        "assistant", "Yes.", ids("Yes."), "One thing and another."
    )


def test_a_thought_that_has_to_begin_anew_is_told_from_the_first() -> None:
    begun = Message("assistant", "", None, "One thing")
    went_on = go_on("<think>\nAnew.\n</think>\nYes.", begun, "<|im_start|>assistant\n")
    assert went_on == Message("assistant", "Yes.", ids("Yes."), "One thing\n\nAnew.")


def test_an_answer_that_goes_on_has_no_other_thought() -> None:
    begun = Message("assistant", "Write ", ids("Write "), "Hm.")
    went_on = go_on("<think>x</think>", begun, OPENED + "Hm.\n</think>\n\nWrite ")
    assert went_on == Message("assistant", "Write <think>x</think>", ids("Write <think>x</think>"), "Hm.")


@pytest.mark.parametrize("tokens", [None, TokenIds("other", (1,))])
def test_ids_of_another_vocabulary_are_not_continued(tokens: TokenIds | None) -> None:
    assert go_on("b", Message("assistant", "a", tokens), "").tokens is None


def test_half_a_character_at_the_end_of_a_thought_shows_as_such() -> None:
    answer = Answer(lambda token: bytes([token]), thoughts=THINKS, opening=OPENED)
    chunks = [chunk for byte in b"a\xe4\xb8</think>b" for chunk in answer.push(byte)]
    assert chunks == [ThoughtChunk("a"), ThoughtChunk("\ufffd"), TokenChunk("b")]


def test_a_thought_is_not_closed_within_a_character_or_a_tag() -> None:
    answer = Answer(lambda token: bytes([token]), thoughts=THINKS, opening=OPENED)
    due = []
    for byte in "a中</tx".encode():
        list(answer.push(byte))
        due.append(bool(answer.closing(1)))
    assert due == [True, False, False, True, False, False, False, True]
