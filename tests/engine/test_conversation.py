"""Which lists of messages are a conversation."""

from __future__ import annotations

import pytest

from engine.conversation import Turn, read_conversation
from engine.errors import InvalidConversation
from engine.types import Message

SYSTEM, USER, ANSWER = Message("system", " s "), Message("user", "u"), Message("assistant", "a")


def test_messages_become_turns() -> None:
    conversation = read_conversation([SYSTEM, USER, ANSWER, USER])
    assert conversation.system == "s"
    assert conversation.turns == (Turn(USER, ANSWER), Turn(USER))


def test_a_final_answer_is_one_to_continue() -> None:
    assert read_conversation([USER, ANSWER]).turns == (Turn(USER, ANSWER),)


def test_forgetting_keeps_the_system_text_and_the_last_turn() -> None:
    conversation = read_conversation([SYSTEM, USER, ANSWER, USER])
    assert conversation.without_first(1).turns == (Turn(USER),)
    assert conversation.without_first(9).turns == (Turn(USER),)
    assert conversation.without_first(1).system == "s"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [SYSTEM],
        [ANSWER],
        [USER, USER],
        [USER, ANSWER, ANSWER],
        [USER, SYSTEM],
        [SYSTEM, SYSTEM, USER],
        [Message("user", " \n")],
        [USER, ANSWER, Message("user", "")],
    ],
)
def test_anything_else_is_refused(messages: list[Message]) -> None:
    with pytest.raises(InvalidConversation) as caught:
        read_conversation(messages)
    assert caught.value.detail
