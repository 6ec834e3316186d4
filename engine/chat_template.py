"""The prompt format `template`: a chat template, the GGUF's own or another, rendered for a conversation.

A template must not let a message speak as the template: the result says which of its characters came from
messages. And it must not lose one in silence: a question or system text that the template leaves out is
handed over in another form, or the conversation is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.conversation import Conversation
from engine.errors import ChatTemplateFailed
from engine.message_marks import Place, Run, find_end, find_places, find_spellings, without_marks
from engine.prompt import Control, KeptAnswer, RenderedText, Segment
from engine.template_sandbox import BoundedTemplate, TemplateBudgetSpent
from engine.thought_formats import ThoughtFormat
from engine.thoughts import tags_around
from engine.types import Message, Thinking

# What templates call the choice whether to think: values for yes and no; None leaves the variable undefined.
# Collected from the templates that llama.cpp is tested with, and from Qwen's and DeepSeek's model cards.
_SWITCHES: tuple[tuple[str, object, object], ...] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_option", "on", "off"),
    ("thinking_mode", "enabled", "disabled"),
    ("thinking_budget", None, 0),
    ("skip_thinking", False, True),
    ("reasoning_effort", "high", "no_think"),
    ("reasoning_effort", None, "no_think"),
    ("reasoning_effort", None, "none"),
)


class TemplateFormat:
    """A chat template; `begin_text` and `end_text` are its `bos_token` and `eos_token`.

    controls: gives the spellings of the vocabulary's control tokens. thoughts: how the model writes its
    thoughts, None if it does not think. stop_strings: texts that end an answer, where the vocabulary has no
    token for that. name: the format's.
    """

    turn_starts: tuple[str, ...] = ()

    def __init__(
        self,
        template: str,
        begin_text: str = "",
        end_text: str = "",
        *,
        controls: Callable[[], Sequence[str]] = tuple,
        thoughts: ThoughtFormat | None = None,
        stop_strings: tuple[str, ...] = (),
        name: str = "template",
    ) -> None:
        self.name = name
        self.stop_strings = stop_strings
        self._template = BoundedTemplate(template)
        self._begin_text = begin_text
        self._end_text = end_text
        self._controls = controls
        self._thoughts = thoughts
        self._switch: tuple[str, object, object] | None = None
        self._switch_is_known = False

    @property
    def can_switch_thinking(self) -> bool:
        """Whether the template lets one choose if the model thinks; False also where it can't be run."""
        return self._find_switch() is not None

    def render(self, conversation: Conversation, thinking: Thinking = "automatic") -> list[Segment]:
        """Segments up to where the answer begins. Raises ChatTemplateFailed.

        Earlier answers keep their token ids where the template left their text whole. White space around
        them counts as part of them, although many templates strip it: their tokens are in the cache as they
        were.
        """
        variables = self._variables(thinking)
        messages = _messages(conversation)
        failures: list[ChatTemplateFailed] = []
        for arranged in self._arrangements(messages):
            try:
                rendered = self._rendered(arranged, variables)
            except TemplateBudgetSpent:
                raise
            except ChatTemplateFailed as error:
                failures.append(error)
                continue
            if rendered is not None:
                return self._segments(rendered, conversation.turns[-1].answer)
            failures.append(ChatTemplateFailed("the template leaves out what was written"))
        raise failures[0]

    def _arrangements(self, messages: tuple[Message, ...]) -> Iterator[_Arrangement]:
        """The forms to try. Without a role for it, the system text joins the first question, as llama.cpp's
        server does it.
        """
        if any(_thoughts(messages)) and {"type", "thinking"} <= self._template.constants:
            yield _Arrangement(messages, typed_parts=True, thought_parts=True)
        forms = [messages]
        if messages[0].role == "system":
            system, question, *rest = messages
            forms.append((replace(question, text=f"{system.text}\n{question.text}"), *rest))
        for form in forms:
            for typed_parts in (False, True):
                yield _Arrangement(form, typed_parts)

    def _rendered(self, arranged: _Arrangement, variables: Mapping[str, object]) -> RenderedText | None:
        """The conversation in one arrangement; None if the template leaves out a question or system text."""
        messages = arranged.messages
        texts = [without_marks(text) for text in (*_texts(messages), *_thoughts(messages))]

        def run(texts: Sequence[str]) -> str:
            return self._template.render(messages=arranged.dicts(texts), **variables)

        plain = run(texts)
        places = _try_places(run, texts, plain)
        wanted = [number for number, item in enumerate(messages) if item.role != "assistant"]
        if arranged.thought_parts:
            wanted += range(len(messages), len(texts))
        if places is None:
            # A list of parts that is printed as it is shows its texts, too: only marks around them tell.
            n_after = None if arranged.typed_parts else find_end(run, texts, wanted)
            return None if n_after is None else self._without_places(run, texts, plain, n_after)
        found = {place.number for place in places}
        if any(texts[number].strip() and number not in found for number in wanted):
            return None
        opening = max((place.end for place in places if place.number == len(messages) - 1), default=0)
        kept = tuple(_kept_answers(places, plain, messages, plain[opening:]))
        return RenderedText(plain, _ranges(places), kept, opening)

    def _without_places(self, run: Run, texts: Sequence[str], plain: str, n_after: int) -> RenderedText:
        """What a template wrote that takes texts apart; n_after: characters that follow the last question."""
        places = find_spellings(run, texts, plain, self._controls())
        if places is None:
            raise ChatTemplateFailed("the template rewrites messages")
        return RenderedText(plain, _ranges(places), opening=max(0, len(plain) - n_after))

    def _segments(self, rendered: RenderedText, opened: Message | None) -> list[Segment]:
        begins = bool(self._begin_text) and rendered.text.startswith(self._begin_text)
        if opened is not None:
            opening = rendered.text[rendered.opening :]
            around = tags_around(self._thoughts, opening) if self._thoughts is not None else None
            rendered = rendered.continued(opened, around)
        return [rendered] if begins else [Control.BEGIN, rendered]

    def _variables(self, thinking: Thinking) -> dict[str, object]:
        """What the template may read besides the messages; `tools` and `documents` stay undefined."""
        now = datetime.now()
        variables: dict[str, object] = {
            "add_generation_prompt": True,
            "bos_token": self._begin_text,
            "eos_token": self._end_text,
            # As llama.cpp's server has them; transformers has neither.
            "date_string": now.strftime("%d %b %Y"),
            "datetime": now.strftime("%b %d %Y"),
        }
        switch = self._find_switch() if thinking != "automatic" else None
        if switch is not None:
            name, on, off = switch
            value = on if thinking == "on" else off
            if value is not None:
                variables[name] = value
        return variables

    def _find_switch(self) -> tuple[str, object, object] | None:
        """The first of the known variables that the template reads and that changes what it writes."""
        if not self._switch_is_known:
            try:
                self._switch = next((item for item in self._read_switches() if self._changes(item)), None)
            except ChatTemplateFailed:  # `render` says so, to whom it concerns
                self._switch = None
            self._switch_is_known = True
        return self._switch

    def _read_switches(self) -> Iterator[tuple[str, object, object]]:
        """Words that the template does not know it would only print, as gpt-oss's does with any effort."""
        known, words = self._template.variables, self._template.constants
        for switch in _SWITCHES:
            name, *values = switch
            if name in known and words.issuperset(value for value in values if isinstance(value, str)):
                yield switch

    def _changes(self, switch: tuple[str, object, object]) -> bool:
        name, *values = switch
        question = [{"role": "user", "content": "?"}]
        written = set()
        for value in values:
            chosen = {} if value is None else {name: value}
            try:
                written.add(
                    self._template.render(messages=question, **self._variables("automatic"), **chosen)
                )
            except ChatTemplateFailed:  # a value that this template does not know
                return False
        return len(written) > 1


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """Messages as one kind of template wants them.

    typed_parts: content as a list of parts, not as a text. thought_parts: thoughts are among them.
    """

    messages: tuple[Message, ...]
    typed_parts: bool
    thought_parts: bool = False

    def dicts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The messages with other texts: of all messages, then of their thoughts."""
        n_messages = len(self.messages)
        dicts = []
        for index, message in enumerate(self.messages):
            text: Any = texts[index]
            thought = texts[n_messages + index]
            content = [{"type": "text", "text": text}] if self.typed_parts else text
            if thought and self.thought_parts:
                content = [{"type": "thinking", "thinking": thought}, *content]
            entry = {"role": message.role, "content": content}
            if thought and not self.thought_parts:  # under the names that templates know it by
                entry |= dict.fromkeys(("reasoning_content", "reasoning", "thinking"), thought)
            dicts.append(entry)
        return dicts


def _messages(conversation: Conversation) -> tuple[Message, ...]:
    """All messages; the answer to continue is left out."""
    messages = [Message("system", conversation.system)] if conversation.system else []
    for turn in conversation.turns:
        messages.append(turn.question)
        if turn.answer is not None:
            messages.append(turn.answer)
    return tuple(messages[:-1] if conversation.turns[-1].answer is not None else messages)


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    return (message.text for message in messages)


def _thoughts(messages: Sequence[Message]) -> Iterator[str]:
    return (message.thought for message in messages)


def _try_places(run: Run, texts: Sequence[str], plain: str) -> tuple[Place, ...] | None:
    """`find_places`, where a template that stumbles over marks is one that they change."""
    try:
        return find_places(run, texts, plain)
    except ChatTemplateFailed:
        return None


def _kept_answers(
    places: Sequence[Place], plain: str, messages: Sequence[Message], opening: str
) -> Iterator[KeptAnswer]:
    """The answers whose ids are known, with the white space around them, as far as the template wrote any.

    An answer begins where the words end that the template opens an answer with: a blank after those was
    generated, too.
    """
    before = 0
    for place in places:
        message = messages[place.number] if place.number < len(messages) else None
        start, end = place.start, place.end
        is_whole = message is not None and plain[start:end] == message.text.strip()
        if message is not None and message.tokens is not None and is_whole:
            written = plain[before:start]
            lead, _, trail = message.text.partition(plain[start:end])
            if written.startswith(opening) and not written[len(opening) :].strip():
                start = before + len(opening)
            elif written.endswith(lead):
                start -= len(lead)
            if plain.startswith(trail, end):
                end += len(trail)
            yield KeptAnswer(start, end, message.tokens)
        before = place.end


def _ranges(places: Sequence[Place]) -> tuple[tuple[int, int], ...]:
    return tuple((place.start, place.end) for place in places)
