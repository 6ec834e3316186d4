"""Prompt formats: from a conversation to what is tokenized.

The BELLE formats are those of the code that trained and ran BELLE (github.com/LianjiaTech/BELLE): every
earlier turn is question, answer and end token, nothing between turns, no beginning token. Their trainer
encoded each of these parts by itself, so they are separate segments here too.

What a person typed is tokenized as plain text, so that `</s>` in a question stays four characters. Nothing
here knows token ids, llama.cpp or contexts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from engine.conversation import Conversation, Turn
from engine.errors import UnknownPromptFormat
from engine.named_templates import NAMED_TEMPLATES
from engine.types import Message, Thinking, TokenIds


class Control(Enum):
    """A control token that the vocabulary decides: its end token, or its beginning token if it wants one."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Text to tokenize by itself, without control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerSegment:
    """An earlier answer: its token ids where they belong to the loaded vocabulary, otherwise its text."""

    text: str
    tokens: TokenIds | None


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """Characters `start` to `end` of a rendered text: an earlier answer, and the ids that it was made of."""

    start: int
    end: int
    tokens: TokenIds


@dataclass(frozen=True, slots=True)
class RenderedText:
    """What a chat template wrote, to tokenize as one text, as other programs do.

    typed: (start, end) of what came from messages, where control tokens are only text. answers: the earlier
    answers whose ids are known. opening: where what follows the last question begins. Places ascend.
    """

    text: str
    typed: tuple[tuple[int, int], ...] = ()
    answers: tuple[KeptAnswer, ...] = ()
    opening: int = 0

    def continued(self, answer: Message, around_thought: tuple[str, str] | None = None) -> RenderedText:
        """The same with the beginning of an answer at its end.

        around_thought: what stands before and after a thought here, nothing before one that is open; None
        where there can be none. An answer without a word yet goes on with its thought.
        """
        before, after = around_thought or ("", "")
        thought = answer.thought if around_thought else ""
        is_open = around_thought is not None and not before
        text = self.text + (before + thought if thought else "")
        typed = (*self.typed, (len(text) - len(thought), len(text)))
        if answer.text and (thought or is_open):
            text += after
        start, end = len(text), len(text) + len(answer.text)
        kept = () if answer.tokens is None else (KeptAnswer(start, end, answer.tokens),)
        return replace(
            self,
            text=text + answer.text,
            typed=(*typed, (start, end)),
            answers=(*self.answers, *kept),
        )


Segment = TextSegment | AnswerSegment | RenderedText | Control


class PromptFormat(Protocol):
    """How one conversation becomes segments."""

    @property
    def name(self) -> str:
        """One of `PROMPT_FORMATS`."""
        ...

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Texts that end an answer, where the vocabulary has no token for that."""
        ...

    @property
    def turn_starts(self) -> tuple[str, ...]:
        """What begins a turn that the model makes up, which ends an answer: see `engine.turns`."""
        ...

    def render(self, conversation: Conversation, thinking: Thinking = "automatic") -> list[Segment]:
        """Segments up to where the answer begins. Raises ChatTemplateFailed (chat templates only).

        thinking: for templates that have a switch for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class BelleFormat:
    """One of BELLE's own formats: `before` + question + `after`, answer, end token.

    `strips` is the model card's `input.strip()`. Source: the BELLE-7B card, bloom_inference.py, and for
    `belle-llama` the training repository's interface since 2023-05-09.
    """

    name: str
    before: str
    after: str
    strips: bool
    # At the beginning of a line, that of the answer too. What follows tells whether it is a turn that the
    # model makes up, or a line like `Human: an animal species.`: see `engine.turns`.
    turn_starts: tuple[str, ...] = ("\nHuman:", "\nHuman：", "\n Human:", "\n Human：")
    stop_strings: tuple[str, ...] = ()

    def render(self, conversation: Conversation, thinking: Thinking = "automatic") -> list[Segment]:
        """Segments of the whole conversation; the system text, if any, precedes the first question."""
        segments: list[Segment] = []
        lead = f"{conversation.system}\n\n" if conversation.system else ""
        for turn in conversation.turns:
            segments.append(TextSegment(lead + self._question(turn)))
            if turn.answer is not None:
                segments += [_answer(turn.answer), Control.END]
            lead = ""
        return _open_ended(segments)

    def template(self) -> str:
        """The same format as a Jinja chat template for a GGUF's `tokenizer.chat_template`."""
        content = "message['content'].strip()" if self.strips else "message['content']"
        question = f"{_quoted(self.before)} + {content} + {_quoted(self.after)}"
        return _TEMPLATE.format(question=question, answer="message['content'] + eos_token")

    def _question(self, turn: Turn) -> str:
        text = turn.question.text.strip() if self.strips else turn.question.text
        return self.before + text + self.after


@dataclass(frozen=True, slots=True)
class BaseFormat:
    """No format: a pre-trained model continues the text; what it wrote earlier is part of that text."""

    name: str = "base"
    turn_starts: tuple[str, ...] = ()
    stop_strings: tuple[str, ...] = ()

    def render(self, conversation: Conversation, thinking: Thinking = "automatic") -> list[Segment]:
        """Segments of all texts in order, after the beginning token if the vocabulary wants one."""
        segments: list[Segment] = [Control.BEGIN]
        lead = f"{conversation.system}\n\n" if conversation.system else ""
        for turn in conversation.turns:
            segments.append(TextSegment(lead + turn.question.text))
            if turn.answer is not None:
                segments.append(_answer(turn.answer))
            lead = ""
        return segments

    def template(self) -> str:
        """The same format as a Jinja chat template for a GGUF's `tokenizer.chat_template`."""
        return _TEMPLATE.format(question="message['content']", answer="message['content']")


# Newlines are escapes inside string expressions: with trim_blocks a literal newline after a tag vanishes.
# Written to mean the same to Jinja2 and to llama.cpp's own engine.
_TEMPLATE = (
    "{{% for message in messages %}}"
    "{{% if message['role'] == 'system' %}}"
    "{{% if message['content'].strip() %}}{{{{ message['content'].strip() + '\\n\\n' }}}}{{% endif %}}"
    "{{% elif message['role'] == 'user' %}}{{{{ {question} }}}}"
    "{{% elif message['role'] == 'assistant' %}}{{{{ {answer} }}}}"
    "{{% endif %}}{{% endfor %}}"
)

BELLE = BelleFormat("belle", "Human: ", "\n\nAssistant:", strips=True)
BELLE_CARD = BelleFormat("belle-card", "Human: ", " \n\nAssistant:", strips=False)
BELLE_LLAMA = BelleFormat("belle-llama", "Human: \n", "\n\nAssistant: \n", strips=False)
BASE = BaseFormat()

_OWN_FORMATS: dict[str, BelleFormat | BaseFormat] = {
    own.name: own for own in (BELLE, BELLE_CARD, BELLE_LLAMA, BASE)
}

BELLE_FORMATS = frozenset({BELLE.name, BELLE_CARD.name, BELLE_LLAMA.name})
"""Formats of BELLE's own models, which answer as BELLE's card says."""

TEMPLATE = "template"
PROMPT_FORMATS: tuple[str, ...] = (*_OWN_FORMATS, TEMPLATE, *NAMED_TEMPLATES)


def chat_template(name: str) -> str | None:
    """Jinja template text that a converter writes into the GGUF for the prompt format `name`.

    None for `template`, which means the model's own. Raises UnknownPromptFormat.
    """
    if name == TEMPLATE:
        return None
    return own_format(name).template()


def own_format(name: str) -> BelleFormat | BaseFormat:
    """BELLE's format `name`, or `base`. Raises UnknownPromptFormat for every other."""
    try:
        return _OWN_FORMATS[name]
    except KeyError:
        raise UnknownPromptFormat(name, PROMPT_FORMATS) from None


def detect_format(architecture: str, template: str | None) -> str:
    """Name of the prompt format of a GGUF, from its architecture and `tokenizer.chat_template`.

    A template that our converter wrote selects the exact format; any other one is used as it is. Without a
    template a BLOOM model is taken for BELLE's, and anything else for a base model.
    """
    if template is not None and template.strip():
        written = {own.template(): own.name for own in _OWN_FORMATS.values()}
        return written.get(template, TEMPLATE)
    return BELLE.name if architecture == "bloom" else BASE.name


def _answer(message: Message) -> AnswerSegment:
    return AnswerSegment(message.text, message.tokens)


def _open_ended(segments: list[Segment]) -> list[Segment]:
    """Without a final end token: an answer at the end is one to continue."""
    return segments[:-1] if segments[-1] is Control.END else segments


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
