"""A conversation as the prompt formats see it: a system text and turns of question and answer.

Knows the order in which messages may come, and nothing about formats, tokens or contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InvalidConversation
from engine.types import Message


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer; `answer` is None, or the beginning to continue, in the last turn only."""

    question: Message
    answer: Message | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Checked messages: `system` is stripped and may be empty, `turns` has at least one element."""

    system: str
    turns: tuple[Turn, ...]

    def without_first(self, n_turns: int) -> Conversation:
        """The same conversation with its `n_turns` earliest turns forgotten; the last turn always stays."""
        return Conversation(self.system, self.turns[min(n_turns, len(self.turns) - 1) :])


def read_conversation(messages: Sequence[Message]) -> Conversation:
    """Group messages into turns.

    Allowed is: at most one system message at the front, then user and assistant in turn. The last message is
    the question to answer, or the beginning of an answer to continue. Raises InvalidConversation.
    """
    system, rest = _split_system(messages)
    for index, message in enumerate(rest):
        expected = "assistant" if index % 2 else "user"
        if message.role != expected:
            raise InvalidConversation(
                f"message {index} after the system text is {message.role!r}, not {expected!r}"
            )
    if not rest:
        raise InvalidConversation("there is no user message")
    answers: list[Message | None] = [*rest[1::2]]
    if len(rest) % 2:
        answers.append(None)
    turns = tuple(Turn(question, answer) for question, answer in zip(rest[::2], answers, strict=True))
    if not turns[-1].question.text.strip():
        raise InvalidConversation("the last user message is empty")
    return Conversation(system, turns)


def _split_system(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    if messages and messages[0].role == "system":
        return messages[0].text.strip(), messages[1:]
    return "", messages
