"""The prompt format `template`: a GGUF's own `tokenizer.chat_template`, rendered in a sandbox.

A template is a program by a stranger. It runs in Jinja2's immutable sandbox with a budget for loop rounds,
calls, repetition and output. And it must not let a message speak as the template: rendering marks where
each message's text went, and only what lies outside the marks may become control tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.conversation import Conversation
from engine.errors import ChatTemplateFailed
from engine.prompt import AnswerSegment, Control, Segment, TextSegment
from engine.types import Message

_MAX_TEMPLATE_CHARS = 1 << 20
_MAX_OUTPUT_CHARS = 16 << 20
_MAX_STEPS = 1_000_000
_MAX_POWER = 64
_COUNTED = "chatbelle_counted"

# Private-use characters stand around each message while the template runs; what is between them is that
# message.
_OPEN, _CLOSE = "\U0010fdd0", "\U0010fdd1"
_MARKED = re.compile(f"{_OPEN}(.*?){_CLOSE}", re.DOTALL)


class TemplateFormat:
    """A GGUF's own chat template; `begin_text` and `end_text` are its `bos_token` and `eos_token`."""

    name = "template"
    stop_strings: tuple[str, ...] = ()

    def __init__(self, template: str, begin_text: str = "", end_text: str = "") -> None:
        self._template = _BoundedTemplate(template)
        self._begin_text = begin_text
        self._end_text = end_text

    def render(self, conversation: Conversation) -> list[Segment]:
        """Segments up to where the answer begins. Raises ChatTemplateFailed.

        Outer white space of system texts and questions is not part of them here; answers stay exact, although
        many templates strip them, since their tokens are in the cache as they were. Where a template changes
        answers otherwise, as when it removes thoughts, they are tokenized as the template left them.
        """
        messages = _messages(conversation)
        plain = self._run(_as_dicts(messages))
        for marks_answers in (True, False):
            marked = self._run(_marked(messages, marks_answers))
            spelt = (_MARKED.sub(r"\1", marked), _MARKED.sub(lambda part: part[1].strip(), marked))
            if plain in spelt:  # which a mark without its counterpart never is
                return self._segments(marked, messages, conversation.turns[-1].answer)
        raise ChatTemplateFailed("the template rewrites messages")

    def _segments(self, marked: str, messages: Sequence[Message], opened: Message | None) -> list[Segment]:
        answers = {message.text: message for message in messages if message.role == "assistant"}
        segments: list[Segment] = []
        if not (self._begin_text and marked.startswith(self._begin_text)):
            segments.append(Control.BEGIN)
        for index, part in enumerate(_MARKED.split(marked)):
            answer = answers.get(part) if index % 2 else None
            if answer is not None:
                segments.append(AnswerSegment(answer.text, answer.tokens))
            elif part:
                segments.append(TextSegment(part, parse_special=index % 2 == 0))
        if opened is not None:
            segments.append(AnswerSegment(opened.text, opened.tokens))
        return segments

    def _run(self, messages: list[dict[str, str]]) -> str:
        return self._template.render(
            messages=messages,
            add_generation_prompt=True,
            bos_token=self._begin_text,
            eos_token=self._end_text,
            tools=None,
            documents=None,
        )


class _BoundedTemplate:
    """A template, compiled on first use; every failure of it is a ChatTemplateFailed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._environment = _BoundedEnvironment()
        self._compiled: Template | None = None

    def render(self, **variables: object) -> str:
        try:
            if self._compiled is None:
                self._compiled = self._environment.compile_counted(self._source)
            self._environment.n_steps = 0
            return _joined(self._compiled.generate(**variables))
        except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ChatTemplateFailed(str(error)) from error


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which loop rounds and calls are counted, and repetition is kept small."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        self.n_steps = 0
        self.globals.update({"raise_exception": _raise_exception, "strftime_now": _strftime_now})
        self.filters.update({"tojson": _tojson, _COUNTED: self._counted})

    def compile_counted(self, source: str) -> Template:
        """Compile `source` with every loop going through the counter."""
        if len(source) > _MAX_TEMPLATE_CHARS:
            raise ValueError(f"the template has {len(source)} characters")
        tree = self.parse(source)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return self.template_class.from_code(self, self.compile(tree), self.make_globals(None))

    def call(self, context: Any, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call from the template, counted."""
        self._step()
        return super().call(context, callee, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiplication, power and formatting, refused where the result could be huge."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("string formatting with %")
        if operator == "**" and isinstance(right, int | float) and abs(right) > _MAX_POWER:
            raise ValueError("a power that high")
        if operator == "*" and _repetition_length(left, right) > _MAX_STEPS:
            raise ValueError("a repetition that long")
        return super().call_binop(context, operator, left, right)

    def _counted(self, iterable: Iterable[Any]) -> Iterator[Any]:
        for element in iterable:
            self._step()
            yield element

    def _step(self) -> None:
        self.n_steps += 1
        if self.n_steps > _MAX_STEPS:
            raise ValueError("the template does not come to an end")


def _repetition_length(left: Any, right: Any) -> float:
    """Length of `sequence * count` or `count * sequence`; 0 for a product of numbers."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(count, int) and hasattr(sequence, "__len__"):
            return float(len(sequence)) * count
    return 0.0


def _messages(conversation: Conversation) -> list[Message]:
    """System text and questions stripped, answers exact; the answer to continue is left out."""
    messages = [Message("system", conversation.system)] if conversation.system else []
    for turn in conversation.turns:
        messages.append(Message("user", turn.question.text.strip()))
        if turn.answer is not None:
            messages.append(turn.answer)
    return messages[:-1] if conversation.turns[-1].answer is not None else messages


def _marked(messages: Sequence[Message], marks_answers: bool) -> list[dict[str, str]]:
    return [
        {"role": message.role, "content": _plain(message.text) if plain else _enclosed(message.text)}
        for message in messages
        for plain in [message.role == "assistant" and not marks_answers]
    ]


def _as_dicts(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": _plain(message.text)} for message in messages]


def _enclosed(text: str) -> str:
    return _OPEN + _plain(text) + _CLOSE


def _plain(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _joined(pieces: Iterable[str]) -> str:
    parts: list[str] = []
    n_chars = 0
    for piece in pieces:
        parts.append(piece)
        n_chars += len(piece)
        if n_chars > _MAX_OUTPUT_CHARS:
            raise ValueError("the template writes too much")
    return "".join(parts)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    """Like transformers' and llama.cpp's: no HTML escapes, unlike Jinja2's own filter."""
    return json.dumps(value, ensure_ascii=False, indent=indent)
