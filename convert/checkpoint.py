"""An opened checkpoint, whatever form it has: what a conversion needs to know of it.

Knows no forms and no files; `convert.detect` opens them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.arch.base import Architecture, MappedTensor
from convert.chat_templates import OwnTemplates
from convert.generation import Generation
from convert.notes import Note
from convert.plan import Plan, make_plan
from convert.prompt_choice import PromptChoice, choose_prompt
from convert.tokenizers.end_tokens import with_end_tokens
from convert.vocab import Vocabulary
from engine.prompt import BELLE, BELLE_FORMATS


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its settings, tensors by GGUF name and vocabulary. Close it after use.

    form: for people, such as "safetensors" or "GPTQ 4-bit, group 128". files: names of the weight files;
    size_bytes: all of them together. is_untrained: see `choose_prompt`. opened: what `close` closes.
    generation: how its makers have it answer. notes: what was chosen, left out or assumed.
    """

    path: Path
    form: str
    files: tuple[str, ...]
    size_bytes: int
    config: Mapping[str, Any]
    architecture: Architecture
    mapped: list[MappedTensor]
    vocabulary: Vocabulary
    tokenizer_path: Path
    own_templates: OwnTemplates | None
    opened: ExitStack
    is_untrained: bool = False
    generation: Generation = field(default_factory=Generation)
    notes: tuple[Note, ...] = ()

    @property
    def n_parameters(self) -> int:
        """Weights in the model; a tied embedding counts once."""
        return sum(prod(tensor.shape) for tensor in self.mapped)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types its tensors are stored in."""
        return tuple(sorted({_stored_type(tensor) for tensor in self.mapped}))

    def prompt(self, requested: str) -> PromptChoice:
        """The prompt format to write, `requested` being one of `REQUESTED_FORMATS`.

        Raises `SeveralTemplates` where nothing was requested and the checkpoint's own is not clear.
        """
        is_asked = requested == "auto" and self.own_templates is not None
        own = self.own_templates.chosen() if is_asked and self.own_templates is not None else None
        return choose_prompt(requested, self.architecture, own, is_untrained=self.is_untrained)

    def plan(self, target: str, prompt: PromptChoice, name: str | None = None) -> Plan:
        """The conversion to `target`; `name` is `general.name`, by default made of family and size."""
        # BELLE's prompts have no beginning token; other programs would add one to the rendered template.
        is_belle = prompt.name in BELLE_FORMATS
        vocabulary = replace(self.vocabulary, add_bos=self.vocabulary.add_bos and not is_belle)
        if not is_belle:
            vocabulary = vocabulary.for_template(prompt.template)
        ends, others = self.generation.end_ids, self.generation.other_end_ids
        return make_plan(
            self.architecture,
            self.mapped,
            with_end_tokens(vocabulary, ends, self.tokenizer_path, others=others),
            target=target,
            name=name or self._name(prompt),
            license=self._license(prompt),
            chat_template=prompt.template,
            tokenizer_path=self.tokenizer_path,
            # BELLE's card says how BELLE answers; what lies beside the weights came with what it was made of.
            sampling=None if is_belle else self.generation.keys(self.architecture.n_context),
        )

    def _name(self, prompt: PromptChoice) -> str:
        prefix = "BELLE " if prompt.name in BELLE_FORMATS else ""
        return f"{prefix}{self.architecture.family.title} {parameters_text(self.n_parameters)}"

    def _license(self, prompt: PromptChoice) -> str | None:
        """The licence BELLE published this family under, where the family settles it; nothing is guessed."""
        return self.architecture.family.belle_license if prompt.name == BELLE.name else None

    def close(self) -> None:
        """Close the weight files; harmless when repeated."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parameters_text(n_parameters: int) -> str:
    """A model's size as people say it: `7.1B`, `560M`."""
    if n_parameters >= 1_000_000_000:
        return f"{n_parameters / 1e9:.1f}B"
    if n_parameters >= 10_000_000:
        return f"{n_parameters / 1e6:.0f}M"
    return f"{n_parameters / 1e6:.1f}M"


def _stored_type(tensor: MappedTensor) -> str:
    return tensor.quantization or tensor.source.dtype
