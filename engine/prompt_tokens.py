"""From the segments of a prompt to token ids.

A rendered text is tokenized as llama.cpp does it with control tokens allowed, so that the ids are those that
any other program would send, but for two things: a control token is only recognised where the template wrote
it, and earlier answers keep the ids that they were generated as, which are in the KV cache.

Source: `tokenizer_st_partition` and `tokenize` in llama.cpp's src/llama-vocab.cpp.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.llama import ControlToken, Model
from engine.prompt import AnswerSegment, Control, RenderedText, Segment
from engine.types import TokenIds

_MAX_TOKENIZED_TEXTS = 4096  # kept, so that a long conversation is not tokenized anew for each turn
_C_SPACES = " \t\n\v\f\r"  # C's isspace
# Texts that a continuation is tokenized behind: one of them is left alone by its tokens.
_LEADS = ("\n", ".", "a", "1")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Characters `start` to `end` that are still text, or the `ids` that stand for them.

    continues: an answer's ids precede, which the text is to follow as if it had been tokenized with them.
    """

    start: int
    end: int
    ids: tuple[int, ...] | None = None
    continues: bool = False


class PromptTokenizer:
    """Tokenizes for one model; ids of earlier answers are trusted under its `vocabulary`, a fingerprint."""

    def __init__(self, model: Model, vocabulary: str) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._tokenize = functools.lru_cache(_MAX_TOKENIZED_TEXTS)(model.tokenize)
        self._continue = functools.lru_cache(_MAX_TOKENIZED_TEXTS)(self._tokenize_continuation)

    def ids(self, segments: Sequence[Segment]) -> tuple[int, ...]:
        """The ids of all segments in order."""
        return tuple(token for segment in segments for token in self._segment_ids(segment))

    def _segment_ids(self, segment: Segment) -> tuple[int, ...]:
        model = self._model
        match segment:
            case Control.END:
                return (model.end_token,) if model.end_token >= 0 else ()
            case Control.BEGIN:
                return (model.begin_token,) if model.wants_begin else ()
            case RenderedText():
                return self._rendered_ids(segment)
            case AnswerSegment(tokens=tokens) if tokens is not None and self._is_known(tokens):
                return tokens.ids
            case _:
                return self._tokenize(segment.text)

    def _rendered_ids(self, rendered: RenderedText) -> tuple[int, ...]:
        stretches = self._around_answers(rendered)
        for control in self._model.control_tokens:
            if control.text in rendered.text:
                stretches = list(_divided(stretches, control, rendered))
        return tuple(token for stretch in stretches for token in self._stretch_ids(stretch, rendered.text))

    def _around_answers(self, rendered: RenderedText) -> list[_Stretch]:
        stretches: list[_Stretch] = []
        at, continues = 0, False
        for answer in rendered.answers:
            if answer.start < at or not answer.tokens.ids or not self._is_known(answer.tokens):
                continue
            stretches.append(_Stretch(at, answer.start, continues=continues))
            stretches.append(_Stretch(answer.start, answer.end, answer.tokens.ids))
            at, continues = answer.end, True
        return [*stretches, _Stretch(at, len(rendered.text), continues=continues)]

    def _stretch_ids(self, stretch: _Stretch, text: str) -> tuple[int, ...]:
        if stretch.ids is not None:
            return stretch.ids
        part = text[stretch.start : stretch.end]
        if not part:
            return ()
        return self._continue(part) if stretch.continues else self._tokenize(part)

    def _tokenize_continuation(self, text: str) -> tuple[int, ...]:
        """Ids of `text` in the middle of a text: without the space that SentencePiece adds."""
        for lead in _LEADS:
            alone, together = self._tokenize(lead), self._tokenize(lead + text)
            if together[: len(alone)] == alone:
                return together[len(alone) :]
        return self._tokenize(text)

    def _is_known(self, tokens: TokenIds) -> bool:
        ids = tokens.ids
        are_tokens = not ids or (min(ids) >= 0 and max(ids) < self._model.n_vocab)
        return tokens.vocabulary == self._vocabulary != "" and are_tokens


def _divided(
    stretches: Sequence[_Stretch], control: ControlToken, rendered: RenderedText
) -> Iterator[_Stretch]:
    """The stretches with every `control` that the template wrote in one of its own."""
    for stretch in stretches:
        if stretch.ids is not None:
            yield stretch
            continue
        at, continues = stretch.start, stretch.continues
        for start in _occurrences(control.text, rendered, stretch):
            if start < at:
                continue
            end = _stripped_end(rendered.text, at, start) if control.strips_left else start
            yield _Stretch(at, end, continues=continues)
            at, continues = start + len(control.text), False
            yield _Stretch(start, at, (control.id,))
            if control.strips_right:
                at = _stripped_start(rendered.text, at, stretch.end)
        yield _Stretch(at, stretch.end, continues=continues)


def _occurrences(spelling: str, rendered: RenderedText, stretch: _Stretch) -> Iterator[int]:
    """Where `spelling` begins in a stretch, without a character that came from a message."""
    start = rendered.text.find(spelling, stretch.start, stretch.end)
    while start >= 0:
        end = start + len(spelling)
        is_typed = any(first < end and start < last for first, last in rendered.typed)
        if not is_typed:
            yield start
        start = rendered.text.find(spelling, start + 1 if is_typed else end, stretch.end)


def _stripped_end(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip(_C_SPACES))


def _stripped_start(text: str, start: int, end: int) -> int:
    return end - len(text[start:end].lstrip(_C_SPACES))
