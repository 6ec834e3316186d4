"""Which prompt format is written for a checkpoint: the one asked for, its own, or its family's.

Knows no family and reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.arch.base import Architecture
from engine.prompt import BASE, TEMPLATE, chat_template

REQUESTED_FORMATS = ("auto", "belle", "belle-card", "belle-llama", "none")


@dataclass(frozen=True)
class PromptChoice:
    """The format's name as the engine knows it, the template for the GGUF, and why it was chosen.

    reason: worded in the catalogs under `prompt_reason.<reason>`.
    """

    name: str
    template: str
    reason: str


def choose_prompt(
    requested: str, architecture: Architecture, own_template: str | None, *, is_untrained: bool = False
) -> PromptChoice:
    """Settle `requested`, one of `REQUESTED_FORMATS`; `own_template` is the checkpoint's own chat template.

    is_untrained: the weights are Meta's own, as they were before any training for conversations.
    """
    if requested != "auto":
        return _own(BASE.name if requested == "none" else requested, "requested")
    if own_template is not None and own_template.strip():
        return PromptChoice(TEMPLATE, own_template, "own-template")
    if is_untrained:
        return _own(BASE.name, "meta")
    default = architecture.default_prompt()
    return _own(default.name, default.reason)


def _own(name: str, reason: str) -> PromptChoice:
    template = chat_template(name)
    assert template is not None  # only the engine's "template" format has none
    return PromptChoice(name, template, reason)
