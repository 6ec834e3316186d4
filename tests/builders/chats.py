"""Short ways to ask a backend something in a test."""

from __future__ import annotations

from collections.abc import Sequence

from engine.backend import Backend
from engine.types import Finished, Message, Sampling, TokenChunk

GREEDY = Sampling(temperature=0, max_tokens=24)


def user(text: str) -> Message:
    return Message("user", text)


def ask(backend: Backend, messages: Sequence[Message], sampling: Sampling = GREEDY) -> Finished:
    """The last event of an answer, after checking that the chunks add up to its text."""
    *chunks, finished = backend.chat(messages, sampling)
    assert isinstance(finished, Finished)
    texts = [chunk.text for chunk in chunks if isinstance(chunk, TokenChunk)]
    assert len(texts) == len(chunks)
    assert all(texts)
    begun = messages[-1].text if messages[-1].role == "assistant" else ""
    assert finished.message.text == begun + "".join(texts)
    return finished


def talk(
    backend: Backend, questions: Sequence[str], sampling: Sampling = GREEDY
) -> tuple[list[Message], list[Finished]]:
    """Ask one question after the other; the whole conversation, and how each answer ended."""
    messages: list[Message] = []
    answers: list[Finished] = []
    for question in questions:
        messages.append(user(question))
        answers.append(ask(backend, messages, sampling))
        messages.append(answers[-1].message)
    return messages, answers
