"""One answer in the making: its token ids, what they spell of thought and answer, and which of the ids the
kept text covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.text_stream import TextStream
from engine.thought_tokens import Thoughts
from engine.thoughts import Part, ThoughtSplitter
from engine.types import FinishReason, Message, ThoughtChunk, TokenChunk, TokenIds

Chunk = ThoughtChunk | TokenChunk


class Answer:
    """Collects tokens; `piece` gives the bytes of a token.

    stop_strings end the answer, not its thought; so do turns that the model makes up, see `TextStream`.
    begun: the beginning that this answer continues. opening: what the prompt wrote after the last question.
    """

    def __init__(
        self,
        piece: Callable[[int], bytes],
        stop_strings: Sequence[str] = (),
        *,
        turns: Sequence[str] = (),
        thoughts: Thoughts | None = None,
        opening: str = "",
        begun: Message | None = None,
    ) -> None:
        self.tokens: list[int] = []
        self.n_chosen_tokens = 0
        """Without those that closed a thought from outside."""
        self.n_thought_tokens = 0
        self._piece = piece
        self._stop_strings = tuple(stop_strings)
        self._turns = turns
        self._begun = begun
        self._thoughts = thoughts
        self._splitter = _splitter(thoughts, opening, begun)
        self._thought = TextStream()
        self._text: TextStream | None = None
        self._data = bytearray()
        self._ends: list[int] = []  # length of `_data` after each token

    @property
    def stopped(self) -> bool:
        """Whether a stop string ended the text."""
        return self._text is not None and self._text.stopped and not self.ended

    @property
    def ended(self) -> bool:
        """Whether a tag that stands after an answer ended the text."""
        return self._text is not None and self._text.stopped_by in self._end_tags

    @property
    def is_thinking(self) -> bool:
        """Whether a thought has begun, and the answer has not."""
        return self._splitter is not None and self._splitter.has_thought and not self._splitter.in_answer

    def awaits(self, token: int) -> bool:
        """Whether `token`, which else ends an answer, is the tag that ends the thought."""
        if self._thoughts is None or self._splitter is None or not self._splitter.in_thought:
            return False
        return self._bytes(token).decode("utf-8", "replace") in self._thoughts.format.closings

    def push(self, token: int) -> Iterator[Chunk]:
        """Take a generated token; yield what is certain now, often nothing."""
        data = self._bytes(token)
        self._add(token, data)
        self.n_chosen_tokens += 1
        split = [(Part.ANSWER, data)] if self._splitter is None else self._splitter.push(data)
        yield from self._chunks(split)
        if self.is_thinking:
            self.n_thought_tokens = len(self.tokens)

    def closing(self, thought_budget: int | None) -> tuple[int, ...]:
        """The tokens that close the thought, if its budget is used up; they are to be passed to `close`."""
        if thought_budget is None or self._thoughts is None or self._splitter is None:
            return ()
        is_due = self.n_thought_tokens >= thought_budget and self._splitter.may_close
        return self._thoughts.closing if is_due and self._thought.is_whole else ()

    def close(self, tokens: Sequence[int]) -> None:
        """Close the thought with tokens that are not shown; what follows is the answer."""
        if self._splitter is None or not tokens:
            return
        n_before = len(self._data)
        for token in tokens:
            self._add(token, self._bytes(token))
        self._splitter.close(len(self._data) - n_before)
        self.n_thought_tokens = len(self.tokens)

    def finish(self, reason: FinishReason) -> Iterator[Chunk]:
        """Yield the text held back so far; a character that a limit or a person cut in two is dropped."""
        cut = reason is not FinishReason.END
        if self._splitter is not None:
            yield from self._chunks(self._splitter.finish(cut=cut))
        if thought := self._thought.finish(cut=cut):
            yield ThoughtChunk(thought)
        if self._text is not None and (text := self._text.finish(cut=cut)):
            yield TokenChunk(text)

    def message(self, vocabulary: str) -> Message:
        """The finished message, with what it continues."""
        text, ids = self._text.text if self._text else "", self._kept_ids()
        begun = self._begun
        if begun is not None:
            begun_ids = begun.tokens.ids if begun.tokens and begun.tokens.vocabulary == vocabulary else None
            begun_ids = begun_ids if begun.text else ()
            ids = begun_ids + ids if begun_ids is not None and ids is not None else None
            text = begun.text + text
        kept = TokenIds(vocabulary, ids) if ids is not None and vocabulary else None
        thought = (begun.thought if begun is not None else "") + self._thought.text
        return Message("assistant", text, kept, thought)

    @property
    def _end_tags(self) -> tuple[str, ...]:
        if self._thoughts is None or self._splitter is None or not self._splitter.answer_is_opened:
            return ()
        return self._thoughts.format.answer_ends

    def _bytes(self, token: int) -> bytes:
        """What a token spells: control tokens only where they may be part of a tag."""
        data = self._thoughts.tags.get(token) if self._thoughts is not None else None
        return self._piece(token) if data is None or not self._may_be_tag(token, data) else data

    def _may_be_tag(self, token: int, data: bytes) -> bool:
        if self._thoughts is None or self._splitter is None:
            return False
        if not self._splitter.in_answer:
            return True
        if self._splitter.answer_is_opened and token in self._thoughts.answer_ends:
            return True
        # Before its first word the tag that closed the thought may come again; no other thought may begin.
        form = self._thoughts.format
        has_begun = self._splitter.answer_start is not None or form.header is not None
        return not has_begun and data.decode() not in form.openings

    def _add(self, token: int, data: bytes) -> None:
        self.tokens.append(token)
        self._data += data
        self._ends.append(len(self._data))

    def _chunks(self, split: Iterable[tuple[Part, bytes]]) -> Iterator[Chunk]:
        for part, data in split:
            if part is Part.THOUGHT:
                if thought := self._thought.push(data):
                    yield ThoughtChunk(thought)
                continue
            if self._text is None:
                if thought := self._thought.finish(cut=False):  # an incomplete character at its end
                    yield ThoughtChunk(thought)
                self._text = self._new_text()
            if text := self._text.push(data):
                yield TokenChunk(text)

    def _new_text(self) -> TextStream:
        begun = self._begun
        goes_on = begun is not None and (begun.text != "" or not begun.thought)
        return TextStream((*self._stop_strings, *self._end_tags), self._turns, goes_on=goes_on)

    def _kept_ids(self) -> tuple[int, ...] | None:
        """The ids that spell exactly the text; None where it begins or ends inside a token."""
        if self._text is None:
            return ()
        start = self._splitter.answer_start or 0 if self._splitter else 0
        first = 0 if start == 0 else next((n for n, end in enumerate(self._ends, 1) if end >= start), 0)
        if first and self._ends[first - 1] != start:
            return None
        text = self._text.text
        for n_tokens in range(len(self.tokens), first - 1, -1):
            n_bytes = self._ends[n_tokens - 1] if n_tokens else 0
            spelt = self._data[start:n_bytes].decode("utf-8", "replace")
            if spelt == text:
                return tuple(self.tokens[first:n_tokens])
            if len(spelt) < len(text):
                break
        return None


def _splitter(thoughts: Thoughts | None, opening: str, begun: Message | None) -> ThoughtSplitter | None:
    if thoughts is None:
        return None
    splitter = ThoughtSplitter(thoughts.format, opening, in_answer=begun is not None and begun.text != "")
    if begun is not None and begun.thought and not splitter.continues_thought:
        splitter.separate()
    return splitter
