"""A format of thoughts in the vocabulary of a loaded model.

Control tokens have no text of their own in an answer; those that tags consist of are given theirs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.llama import Model
from engine.prompt import RenderedText
from engine.prompt_tokens import PromptTokenizer
from engine.thought_formats import ThoughtFormat, thought_format


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The format of a loaded model's thoughts, in its vocabulary.

    tags: the bytes of the control tokens in any tag. answer_ends: of those that end an answer. closing: the
    tokens that end a thought whose budget is used up.
    """

    format: ThoughtFormat
    tags: Mapping[int, bytes]
    answer_ends: Mapping[int, bytes]
    closing: tuple[int, ...]


def read_thoughts(template: str, architecture: str, model: Model) -> Thoughts | None:
    """How the model with that chat template thinks; None if it does not."""
    found = thought_format(template, architecture, model.is_token)
    if found is None:
        return None
    closing = PromptTokenizer(model, "").ids([RenderedText(found.haste + found.after)])
    return Thoughts(
        found, _control_tokens(found.tags, model), _control_tokens(found.answer_ends, model), closing
    )


def _control_tokens(tags: tuple[str, ...], model: Model) -> dict[int, bytes]:
    return {
        control.id: control.text.encode()
        for control in model.control_tokens
        if any(control.text in tag for tag in tags)
    }
