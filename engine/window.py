"""Which part of a conversation the model gets to see: tokenization, and forgetting when the context is full.

Forgetting one turn at a time would have the whole rest read again for every answer. So when a conversation
no longer fits, all but the newest turns that fill half the context are forgotten at once, and that choice
stays until the context is full again. Knows nothing of caches and sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.conversation import Conversation
from engine.errors import AnswerFillsContext, ChatTemplateFailed, InvalidConversation, PromptTooLong
from engine.llama import Model
from engine.prompt import AnswerSegment, PromptFormat, RenderedText, Segment
from engine.prompt_tokens import PromptTokenizer
from engine.template_sandbox import TemplateBudgetSpent
from engine.types import Thinking


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to answer, and how many of the earliest turns they leave out.

    opening: the text between the last question and where the answer goes on: the words that a template begins
    an answer with, and the beginning of the answer that is continued.
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
        self._format = prompt_format
        self._tokenizer = PromptTokenizer(model, vocabulary)
        self._context_tokens = context_tokens
        self._forgotten: tuple[tuple[str, str], ...] = ()
        self._too_long: tuple[tuple[str, str], ...] = ()

    def fit(
        self, conversation: Conversation, max_tokens: int | None, thinking: Thinking = "automatic"
    ) -> Prompt:
        """The prompt for `conversation` with room for an answer of `max_tokens`, at most (and for None) a
        quarter of the context.

        Raises PromptTooLong when the last message alone, with the system text, does not fit;
        AnswerFillsContext when it is the beginning of an answer that leaves no room to go on;
        ChatTemplateFailed; InvalidConversation if there are no tokens.
        """
        quarter = self._context_tokens // 4
        room = self._context_tokens - (quarter if max_tokens is None else min(max_tokens, quarter))
        for n_forgotten in self._candidates(conversation):
            prompt = self._prompt(conversation, n_forgotten, thinking)
            if prompt is not None and len(prompt.tokens) <= room:
                break
        else:
            self._too_long = _texts(conversation, len(conversation.turns))
            prompt = self._newest_half(conversation, thinking)
        is_continued = conversation.turns[-1].answer is not None
        if is_continued:  # what there is of it can't be shortened, and any room is better than none
            room = self._context_tokens - 1
        if len(prompt.tokens) > room:
            too_long = AnswerFillsContext if is_continued else PromptTooLong
            raise too_long(len(prompt.tokens), room, self._context_tokens)
        if not prompt.tokens:
            raise InvalidConversation("the prompt has no tokens")
        self._forgotten = _texts(conversation, prompt.forgotten_turns)
        return prompt

    def _candidates(self, conversation: Conversation) -> Iterator[int]:
        """How many turns to forget: none, or what was forgotten last time, if `conversation` begins with it.

        One that begins with a conversation that was too long is too long as well: rendering hundreds of turns
        only to find that out takes some templates seconds.
        """
        if not _begins(conversation, self._too_long):
            yield 0
        if _begins(conversation, self._forgotten):
            yield len(self._forgotten)

    def _newest_half(self, conversation: Conversation, thinking: Thinking) -> Prompt:
        """As many of the newest turns as fit in half the context, at least the last one (binary search)."""
        low, high = 1, len(conversation.turns) - 1
        while low < high:
            middle = (low + high) // 2
            prompt = self._prompt(conversation, middle, thinking)
            if prompt is not None and len(prompt.tokens) <= self._context_tokens // 2:
                high = middle
            else:
                low = middle + 1
        newest = self._prompt(conversation, max(0, high), thinking)
        if newest is None:
            raise ChatTemplateFailed("the template does not come to an end")
        return newest

    def _prompt(self, conversation: Conversation, n_forgotten: int, thinking: Thinking) -> Prompt | None:
        """None if that is so long that the template does not get through it."""
        try:
            segments = self._format.render(conversation.without_first(n_forgotten), thinking)
        except TemplateBudgetSpent:
            return None
        return Prompt(self._tokenizer.ids(segments), n_forgotten, _opening(segments))


def _opening(segments: Sequence[Segment]) -> str:
    last = segments[-1]
    if isinstance(last, RenderedText):
        return last.text[last.opening :]
    return last.text if isinstance(last, AnswerSegment) else ""


def _begins(conversation: Conversation, turns: tuple[tuple[str, str], ...]) -> bool:
    """Whether the conversation begins with these turns, of which there is at least one, and goes on."""
    is_longer = 0 < len(turns) < len(conversation.turns)
    return is_longer and _texts(conversation, len(turns)) == turns


def _texts(conversation: Conversation, n_turns: int) -> tuple[tuple[str, str], ...]:
    return tuple(
        (turn.question.text, turn.answer.text if turn.answer else "") for turn in conversation.turns[:n_turns]
    )
