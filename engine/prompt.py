"""Prompt formats: from a conversation to the pieces that are tokenized one by one.

The BELLE formats are those of the code that trained and ran BELLE (github.com/LianjiaTech/BELLE): every
earlier turn is question, answer and end token, nothing between turns, no beginning token. Their trainer
encoded each of these parts by itself, so they are separate segments here too.

A prompt is a list of segments, never one string: what a person typed is tokenized as plain text, so that
`</s>` in a question stays four characters. Nothing here knows token ids, llama.cpp or contexts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engine.conversation import Conversation, Turn
from engine.errors import UnknownPromptFormat
from engine.types import Message, TokenIds


class Control(Enum):
    """A control token that the vocabulary decides: its end token, or its beginning token if it wants one."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True, slots=True)
class TextSegment:
    """Text to tokenize by itself; control tokens are recognised in it only where `parse_special` says so."""

    text: str
    parse_special: bool = False


@dataclass(frozen=True, slots=True)
class AnswerSegment:
    """An earlier answer: its token ids where they belong to the loaded vocabulary, otherwise its text."""

    text: str
    tokens: TokenIds | None


Segment = TextSegment | AnswerSegment | Control


class PromptFormat(Protocol):
    """How one conversation becomes segments."""

    @property
    def name(self) -> str:
        """One of `PROMPT_FORMATS`."""
        ...

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Strings that end an answer, besides the end token."""
        ...

    def render(self, conversation: Conversation) -> list[Segment]:
        """Segments up to where the answer begins. Raises ChatTemplateFailed (format `template` only)."""
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
    stop_strings: tuple[str, ...] = ("\nHuman:",)

    def render(self, conversation: Conversation) -> list[Segment]:
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
    stop_strings: tuple[str, ...] = ()

    def render(self, conversation: Conversation) -> list[Segment]:
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

PROMPT_FORMATS: tuple[str, ...] = (*_OWN_FORMATS, "template")


def chat_template(name: str) -> str | None:
    """Jinja template text that a converter writes into the GGUF for the prompt format `name`.

    None for `template`, which means the model's own. Raises UnknownPromptFormat.
    """
    if name == "template":
        return None
    return own_format(name).template()


def own_format(name: str) -> BelleFormat | BaseFormat:
    """The format `name`, any of `PROMPT_FORMATS` but `template`. Raises UnknownPromptFormat."""
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
        return written.get(template, "template")
    return BELLE.name if architecture == "bloom" else BASE.name


def _answer(message: Message) -> AnswerSegment:
    return AnswerSegment(message.text, message.tokens)


def _open_ended(segments: list[Segment]) -> list[Segment]:
    """Without a final end token: an answer at the end is one to continue."""
    return segments[:-1] if segments[-1] is Control.END else segments


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
