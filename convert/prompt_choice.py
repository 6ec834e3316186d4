"""Which prompt format is written for a checkpoint: the one asked for, its own, or its family's.

Knows no family and reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from convert.arch.base import Architecture
from convert.chat_templates import OwnTemplate
from engine.prompt import BASE, TEMPLATE, chat_template

REQUESTED_FORMATS = ("auto", "belle", "belle-card", "belle-llama", "none")


@dataclass(frozen=True)
class PromptChoice:
    """The format's name as the engine knows it, the template for the GGUF, and why it was chosen.

    reason: worded in the catalogs under `prompt_reason.<reason>`. place: where the checkpoint's own template
    is, "" where it was not taken.
    """

    name: str
    template: str
    reason: str
    place: str = ""


def choose_prompt(
    requested: str,
    architecture: Architecture,
    own_template: OwnTemplate | None,
    *,
    is_untrained: bool = False,
) -> PromptChoice:
    """Settle `requested`, one of `REQUESTED_FORMATS`; `own_template` is the checkpoint's own chat template.

    is_untrained: the weights are Meta's own, as they were before any training for conversations.
    """
    if requested != "auto":
        return _own(BASE.name if requested == "none" else requested, "requested")
    if own_template is not None:
        if own_template.text.strip():
            return PromptChoice(TEMPLATE, own_template.text, "own-template", own_template.place)
        # transformers would say nothing at all with it: another family's prompt is not what it means.
        return replace(_own(BASE.name, "empty-template"), place=own_template.place)
    if is_untrained:
        return _own(BASE.name, "meta")
    default = architecture.default_prompt()
    return _own(default.name, default.reason)


def _own(name: str, reason: str) -> PromptChoice:
    template = chat_template(name)
    assert template is not None  # only the engine's "template" format has none
    return PromptChoice(name, template, reason)
