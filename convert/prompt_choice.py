"""Which prompt format a checkpoint was trained with, as far as its own files tell.

Knows the published BELLE families by their shape only; nothing here reads files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from convert.arch.base import Architecture
from convert.chat_templates import OwnTemplate
from engine.prompt import chat_template

REQUESTED_FORMATS = ("auto", "belle", "belle-card", "belle-llama", "none")

_EXTENDED_VOCABULARY = 79_458
_WIDTH_7B = 4096
_LLAMA2_CONTEXT = 4096

Reason = Literal[
    "requested",
    "own-template",
    "empty-template",
    "meta",
    "bloom",
    "llama-ext-base",
    "llama-ext-chat",
    "llama2",
    "llama",
]


@dataclass(frozen=True)
class PromptChoice:
    """The format's name as the engine knows it, the template for the GGUF, and why it was chosen.

    place: where the checkpoint's own template is, "" where it was not taken.
    """

    name: str
    template: str
    reason: Reason
    place: str = ""


def choose_prompt(
    requested: str,
    architecture: Architecture,
    config: Mapping[str, Any],
    own_template: OwnTemplate | None,
    *,
    is_untrained: bool = False,
) -> PromptChoice:
    """Settle `requested`, one of `REQUESTED_FORMATS`; `own_template` is the checkpoint's own chat template.

    is_untrained: the weights are Meta's own, as they were before any training for conversations. The families
    and their formats are those of BELLE's published models; for LLaMA-1 models the format follows from the
    date of training.
    """
    if requested != "auto":
        return _own("base" if requested == "none" else requested, "requested")
    if own_template is not None:
        if own_template.text.strip():
            return PromptChoice("template", own_template.text, "own-template", own_template.place)
        # transformers would say nothing at all with it: another family's prompt is not what it means.
        return replace(_own("base", "empty-template"), place=own_template.place)
    if is_untrained:
        return _own("base", "meta")
    if architecture.gguf_name == "bloom":
        return _own("belle", "bloom")
    if architecture.n_vocab == _EXTENDED_VOCABULARY:
        is_7b = config.get("hidden_size") == _WIDTH_7B
        return _own("base", "llama-ext-base") if is_7b else _own("belle-llama", "llama-ext-chat")
    if config.get("max_position_embeddings") == _LLAMA2_CONTEXT:
        return _own("belle-llama", "llama2")
    return _own("belle", "llama")


def _own(name: str, reason: Reason) -> PromptChoice:
    template = chat_template(name)
    assert template is not None  # only the engine's "template" format has none
    return PromptChoice(name, template, reason)
