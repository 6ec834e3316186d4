"""Which part of a conversation the model gets to see: tokenization, and forgetting when the context is full.

Forgetting one turn at a time would have the whole rest read again for every answer. So when a conversation
no longer fits, all but the newest turns that fill half the context are forgotten at once, and that choice
stays until the context is full again. Knows nothing of caches and sampling.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from engine.conversation import Conversation
from engine.errors import InvalidConversation, PromptTooLong
from engine.llama import Model
from engine.prompt import AnswerSegment, Control, PromptFormat, Segment, TextSegment

_MAX_TOKENIZED_TEXTS = 4096  # kept, so that a long conversation is not tokenized anew for each turn


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to answer, and how many of the earliest turns they leave out.

    opening: what was written after the last question, up to where the answer goes on.
    """

    tokens: tuple[int, ...]
    forgotten_turns: int
    opening: str = ""


class ContextWindow:
    """Turns conversations into prompts of at most `context_tokens`, less the room reserved for the answer.

    `vocabulary` is the fingerprint under which token ids of earlier answers are trusted.
    """

    def __init__(
        self, model: Model, prompt_format: PromptFormat, vocabulary: str, context_tokens: int
    ) -> None:
        self._model = model
        self._format = prompt_format
        self._vocabulary = vocabulary
        self._context_tokens = context_tokens
        self._forgotten: tuple[tuple[str, str], ...] = ()
        self._tokenize = functools.lru_cache(_MAX_TOKENIZED_TEXTS)(model.tokenize)

    def fit(self, conversation: Conversation, max_tokens: int | None) -> Prompt:
        """The prompt for `conversation` with room for an answer of `max_tokens`, at most (and for None) a
        quarter of the context.

        Raises PromptTooLong when the last message alone, with the system text, does not fit;
        ChatTemplateFailed; InvalidConversation if it has no tokens.
        """
        quarter = self._context_tokens // 4
        room = self._context_tokens - (quarter if max_tokens is None else min(max_tokens, quarter))
        for n_forgotten in (0, self._remembered(conversation)):
            prompt = self._prompt(conversation, n_forgotten)
            if len(prompt.tokens) <= room:
                break
        else:
            prompt = self._newest_half(conversation)
        if len(prompt.tokens) > room:
            raise PromptTooLong(len(prompt.tokens), room, self._context_tokens)
        if not prompt.tokens:
            raise InvalidConversation("the prompt has no tokens")
        self._forgotten = _texts(conversation, prompt.forgotten_turns)
        return prompt

    def _remembered(self, conversation: Conversation) -> int:
        """How many turns were forgotten last time, if `conversation` begins with those; otherwise 0."""
        n_turns = len(self._forgotten)
        continues = n_turns < len(conversation.turns) and _texts(conversation, n_turns) == self._forgotten
        return n_turns if continues else 0

    def _newest_half(self, conversation: Conversation) -> Prompt:
        """As many of the newest turns as fit in half the context, at least the last one (binary search)."""
        low, high = 1, len(conversation.turns) - 1
        while low < high:
            middle = (low + high) // 2
            if len(self._prompt(conversation, middle).tokens) <= self._context_tokens // 2:
                high = middle
            else:
                low = middle + 1
        return self._prompt(conversation, max(0, high))

    def _prompt(self, conversation: Conversation, n_forgotten: int) -> Prompt:
        tokens: list[int] = []
        opening = ""
        for segment in self._format.render(conversation.without_first(n_forgotten)):
            tokens += self._ids(segment)
            if isinstance(segment, TextSegment):
                opening = segment.text if segment.parse_special else ""
        return Prompt(tuple(tokens), n_forgotten, opening)

    def _ids(self, segment: Segment) -> tuple[int, ...]:
        model = self._model
        if isinstance(segment, Control):
            if segment is Control.END:
                return (model.end_token,) if model.end_token >= 0 else ()
            return (model.begin_token,) if model.wants_begin else ()
        if not isinstance(segment, AnswerSegment):
            return self._tokenize(segment.text, parse_special=segment.parse_special)
        kept = segment.tokens
        if kept is not None and kept.vocabulary == self._vocabulary != "" and self._are_tokens(kept.ids):
            return kept.ids
        return self._tokenize(segment.text)

    def _are_tokens(self, ids: tuple[int, ...]) -> bool:
        return not ids or (min(ids) >= 0 and max(ids) < self._model.n_vocab)


def _texts(conversation: Conversation, n_turns: int) -> tuple[tuple[str, str], ...]:
    return tuple(
        (turn.question.text, turn.answer.text if turn.answer else "") for turn in conversation.turns[:n_turns]
    )
