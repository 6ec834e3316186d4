"""How models write down what they think before they answer, by what their chat templates say.

A format is read once, from the template's text and the vocabulary, when a model is loaded; a model without
one never has thoughts, whatever it writes. Facts about each family come from the makers' templates and from
llama.cpp's `common/chat.cpp` and `common/parsers`. Nothing here knows text streams, caches or conversations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

# What Qwen has a model write when its thinking budget is used up: qwen.readthedocs.io, "Thinking Budget".
_QWEN_HASTE = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now."
)


@dataclass(frozen=True, slots=True)
class Header:
    """Headers that say whom a message is for, in place of tags: from one of `begins` to the next `end`.

    answer: found in the headers of answers; any other header begins a thought.
    """

    begins: tuple[str, ...]
    end: str
    answer: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class ThoughtFormat:
    """The texts around a thought, and around the answer where it has any.

    openings: begin a thought, where an answer would begin. closings: end it. before, after: how they are
    written in full, from where an answer would begin to the thought, and from there to the answer. haste:
    what is written before `after` when a thought is closed from outside. answer_openings: may stand before an
    answer; they end a thought as well. answer_ends: end an answer that began with one of those.
    message_start: where messages end with a closing, too, what the model's message begins with.
    """

    name: str
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    before: str
    after: str
    haste: str = ""
    answer_openings: tuple[str, ...] = ()
    answer_ends: tuple[str, ...] = ()
    message_start: str = ""
    header: Header | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """All texts whose control tokens have to be read as text."""
        header = (*self.header.begins, self.header.end) if self.header else ()
        return (*self.openings, *self.closings, *self.answer_openings, *self.answer_ends, *header)


_HARMONY = ThoughtFormat(
    "harmony",
    openings=(),
    closings=("<|end|>",),
    before="<|channel|>analysis<|message|>",
    after="<|end|><|start|>assistant<|channel|>final<|message|>",
    answer_ends=("<|end|>", "<|start|>", "<|return|>"),
    message_start="<|start|>assistant",
    header=Header(
        ("<|channel|>", "<|start|>", "<|message|>", "to="),
        "<|message|>",
        re.compile(r"<\|channel\|>final|^(<\|start\|>assistant)?<\|message\|>"),
    ),
)
_MUSE = ThoughtFormat(
    "muse",
    openings=(),
    closings=("<|eom|>",),
    before=" to=self<|message|>",
    after="<|eom|><|start|>assistant to=user<|message|>",
    answer_ends=("<|eom|>", "<|eot|>", "<|start|>"),
    message_start="<|start|>assistant",
    header=Header(
        ("<|start|>", "<|message|>", "to="),
        "<|message|>",
        re.compile(r"to=user|^(<\|start\|>assistant)?<\|message\|>"),
    ),
)
_GEMMA = ThoughtFormat(
    "gemma", ("<|channel>thought",), ("<channel|>",), before="<|channel>thought\n", after="\n<channel|>"
)
_KIMI_K3 = ThoughtFormat(
    "kimi-k3",
    openings=("<|open|>think<|sep|>",),
    closings=("<|close|>think<|sep|>",),
    before="<|open|>think<|sep|>",
    after="<|close|>think<|sep|><|open|>response<|sep|>",
    answer_openings=("<|open|>response<|sep|>",),
    answer_ends=("<|close|>response<|sep|>", "<|close|>message<|sep|>"),
)
_SOLAR = ThoughtFormat(
    "solar",
    openings=("<|think|>", "<|begin|>assistant<|think|>"),
    closings=("<|end|>",),
    before="<|think|>",
    after="<|end|><|begin|>assistant<|content|>",
    answer_openings=("<|content|>", "<|begin|>assistant<|content|>"),
    answer_ends=("<|end|>",),
    message_start="<|begin|>assistant",
)
_COHERE = ThoughtFormat(
    "cohere",
    openings=("<|START_THINKING|>",),
    closings=("<|END_THINKING|>",),
    before="<|START_THINKING|>",
    after="<|END_THINKING|><|START_RESPONSE|>",
    answer_openings=("<|START_RESPONSE|>",),
    answer_ends=("<|END_RESPONSE|>",),
)
_COHERE_MOE = replace(
    _COHERE,
    after="<|END_THINKING|><|START_TEXT|>",
    answer_openings=("<|START_TEXT|>",),
    answer_ends=("<|END_TEXT|>",),
)
_APERTUS = ThoughtFormat(
    "apertus",
    ("<|inner_prefix|>",),
    ("<|inner_suffix|>",),
    before="<|inner_prefix|>",
    after="<|inner_suffix|>",
)
_APRIEL = ThoughtFormat(
    "apriel",
    openings=("Here are my reasoning steps:",),
    closings=(),
    before="Here are my reasoning steps:\n",
    after="\n[BEGIN FINAL RESPONSE]\n",
    answer_openings=("[BEGIN FINAL RESPONSE]",),
    answer_ends=("[END FINAL RESPONSE]",),
)
_GRANITE_PHRASES = ThoughtFormat(
    "granite",
    openings=("Here is my thought process:",),
    closings=("Here is my response:",),
    before="Here is my thought process:\n",
    after="\n\nHere is my response:\n\n",
)

# Of control tokens: (what the template has to contain, format). The vocabulary has to have the first one.
_BY_CONTROL_TOKENS: tuple[tuple[tuple[str, ...], ThoughtFormat], ...] = (
    (("<|channel|>", "<|message|>"), _HARMONY),
    (("<|channel>", "<channel|>"), _GEMMA),
    (("<|open|>", "<|close|>", "<|end_of_msg|>"), _KIMI_K3),
    (("<|eom|>", "to=self", "<|message|>"), _MUSE),
    (("<|think|>", "<|content|>", "<|begin|>"), _SOLAR),
    (("<|START_THINKING|>", "<|START_TEXT|>"), _COHERE_MOE),
    (("<|START_THINKING|>",), _COHERE),
    (("<|inner_prefix|>", "<|inner_suffix|>"), _APERTUS),
)

# Opening and closing tag; either one in the template is enough. Order matters: Magistral's templates may
# speak of <think>, too.
_TAGS: tuple[tuple[str, str], ...] = (
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("◁think▷", "◁/think▷"),
    ("<think>", "</think>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
)
_KIMI_VL = ("<|im_middle|>", "<|media_start|>")  # its templates say nothing of the ◁think▷ that it writes
_KIMI_K2 = "<|tool_calls_section_begin|>"  # its template is otherwise like that
_SUFFIXED = re.compile(r"<think\{\}>'\.format\((\w+)\)")  # Hunyuan: one suffix for all special tokens

# Tags around the answer that follows a thought, and how its template tells of them: Granite 3.3, ERNIE,
# Hunyuan. MiniMax has <response> for what tools say.
_ANSWER_TAGS = (
    (re.compile(r"<response></response>|'<response>(\n|\\n)' \+"), "<response>", "</response>"),
    (re.compile(r"</answer>"), "<answer>", "</answer>"),
)


def thought_format(
    template: str, architecture: str, has_token: Callable[[str], bool]
) -> ThoughtFormat | None:
    """How the model of a chat template writes its thoughts; None for one that does not think.

    has_token: whether the vocabulary has a token of exactly that text; a template of control tokens that it
    lacks was borrowed from another model.
    """
    for texts, control_format in _BY_CONTROL_TOKENS:
        if all(text in template for text in texts) and has_token(texts[0]):
            return control_format
    if "[BEGIN FINAL RESPONSE]" in template:
        return _APRIEL
    if all(phrase in template for phrase in (*_GRANITE_PHRASES.openings, *_GRANITE_PHRASES.closings)):
        return _GRANITE_PHRASES
    tags = _tags(template)
    return _tagged(template, architecture, *tags) if tags else None


def _tags(template: str) -> tuple[str, str] | None:
    suffixed = _SUFFIXED.search(template)
    if suffixed:
        value = re.search(rf"set {suffixed[1]} = '([^']*)'", template)
        if value:
            return f"<think{value[1]}>", f"</think{value[1]}>"
    for opening, closing in _TAGS:
        if opening in template or closing in template:
            return opening, closing
    if all(text in template for text in _KIMI_VL) and _KIMI_K2 not in template:
        return "◁think▷", "◁/think▷"
    return None


def _tagged(template: str, architecture: str, opening: str, closing: str) -> ThoughtFormat:
    lines_before, lines_after = _blank_lines(template, opening, closing)
    is_qwen = opening == "<think>" and architecture.startswith("qwen3") and "<|im_start|>" in template
    answer_tags = [(begin, end) for told, begin, end in _ANSWER_TAGS if told.search(template)][:1]
    return ThoughtFormat(
        opening.strip("<>[]◁▷").lower(),
        openings=(opening,),
        closings=(closing,),
        before=opening + lines_before,
        after=lines_before + closing + lines_after + "".join(begin for begin, _ in answer_tags),
        haste=_QWEN_HASTE if is_qwen else "",
        answer_openings=tuple(begin for begin, _ in answer_tags),
        answer_ends=tuple(end for _, end in answer_tags),
    )


def _blank_lines(template: str, opening: str, closing: str) -> tuple[str, str]:
    """The newlines that a template writes before and after the closing tag; it may write them as `\\n`.

    Where it does so only after no thought at all, that one less; where it only removes thoughts, those that
    DeepSeek-R1 writes, if it opens the thought with a newline.
    """
    source = template.replace("\\n", "\n")
    around = re.findall(rf"(?<!\n)(\n*){re.escape(closing)}(\n*)", source)
    written = [
        (before, after)
        for before, after in around
        if any(f"{quote}{before}{closing}{after}{quote}" in source for quote in "'\"")
    ]
    best = max(written, key=lambda pair: len("".join(pair)), default=("", ""))
    without = re.search(rf"{re.escape(opening)}\n+{re.escape(closing)}(\n*)", source)
    if best == ("", "") and without:
        return "\n", without[1]
    if best == ("", "") and f"{opening}\n'" in source:
        return "\n", "\n\n"
    return best
