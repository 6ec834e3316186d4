"""What is at a path, and everything that is needed to convert it; or a refusal that says why.

This is the one place that knows which forms exist. A form is recognised by what its files hold, then opened
by its reader in `convert.sources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.arch import read_architecture
from convert.arch.base import Architecture, MappedTensor
from convert.errors import AlreadyGguf, ConfigMissing, DamagedFile
from convert.plan import Plan, make_plan
from convert.prompt_choice import PromptChoice, choose_prompt
from convert.sources.byte_source import FileSource
from convert.sources.hf_folder import WeightFiles, open_weights
from convert.sources.json_object import read_json_object
from convert.vocab import Vocabulary, read_vocabulary

_TEMPLATE_FILE = "chat_template.jinja"
_MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its settings, tensors by GGUF name and vocabulary. Close it after use."""

    path: Path
    config: Mapping[str, Any]
    weights: WeightFiles
    architecture: Architecture
    mapped: list[MappedTensor]
    vocabulary: Vocabulary
    tokenizer_path: Path
    own_template: str | None

    @property
    def n_parameters(self) -> int:
        """Weights in the model; a tied embedding counts once."""
        return sum(prod(tensor.shape) for tensor in self.mapped)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types its tensors are stored in."""
        return tuple(sorted({tensor.source.dtype for tensor in self.mapped}))

    def prompt(self, requested: str) -> PromptChoice:
        """The prompt format to write, `requested` being one of `REQUESTED_FORMATS`."""
        return choose_prompt(requested, self.architecture, self.config, self.own_template)

    def plan(self, target: str, prompt: PromptChoice, name: str | None = None) -> Plan:
        """The conversion to `target`; `name` is `general.name`, by default made of family and size."""
        return make_plan(
            self.architecture,
            self.mapped,
            self.vocabulary,
            target=target,
            name=name or self._name(prompt),
            license=_license(self.architecture, prompt),
            chat_template=prompt.template,
            tokenizer_path=self.tokenizer_path,
        )

    def _name(self, prompt: PromptChoice) -> str:
        family = {"bloom": "BLOOM", "llama": "LLaMA"}[self.architecture.gguf_name]
        prefix = "BELLE " if prompt.name.startswith("belle") else ""
        return f"{prefix}{family} {parameters_text(self.n_parameters)}"

    def close(self) -> None:
        """Close the weight files; harmless when repeated."""
        self.weights.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_checkpoint(path: Path, tokenizer: Path | None = None) -> Checkpoint:
    """Open the checkpoint at `path`, a folder or one of its weight files; no weight is read.

    tokenizer: a folder or file to take the tokenizer from instead. Raises a subclass of `ConvertError`.
    """
    folder, only_file = _locate(path)
    config_path = folder / "config.json"
    weights = open_weights(folder, only_file)
    try:
        if not config_path.is_file():
            raise ConfigMissing(folder)
        config = read_json_object(config_path)
        architecture = read_architecture(config_path, config)
        tokenizer_path = tokenizer or folder
        return Checkpoint(
            path=path,
            config=config,
            weights=weights,
            architecture=architecture,
            mapped=architecture.map_tensors(path, weights.tensors),
            vocabulary=read_vocabulary(tokenizer_path, config=config),
            tokenizer_path=tokenizer_path,
            own_template=_own_template(tokenizer_path if tokenizer_path.is_dir() else tokenizer_path.parent),
        )
    except BaseException:
        weights.close()
        raise


def parameters_text(n_parameters: int) -> str:
    """A model's size as people say it: `7.1B`, `560M`."""
    if n_parameters >= 1_000_000_000:
        return f"{n_parameters / 1e9:.1f}B"
    if n_parameters >= 10_000_000:
        return f"{n_parameters / 1e6:.0f}M"
    return f"{n_parameters / 1e6:.1f}M"


def _locate(path: Path) -> tuple[Path, Path | None]:
    """The checkpoint's folder, and the weight file where one was named."""
    if path.is_dir():
        return path, None
    with FileSource(path) as source:
        magic = source.read_at(0, min(4, source.size_bytes))
    if magic == b"GGUF":
        raise AlreadyGguf(path)
    if path.name == "config.json" or path.name.endswith(".index.json"):
        return path.parent, None
    return path.parent, path


def _own_template(folder: Path) -> str | None:
    """The chat template that comes with the tokenizer, from either place transformers keeps it."""
    template_path = folder / _TEMPLATE_FILE
    if template_path.is_file():
        with FileSource(template_path) as source:
            if source.size_bytes > _MAX_TEMPLATE_BYTES:
                raise DamagedFile(template_path, f"a chat template of {source.size_bytes} bytes")
            return source.read_at(0, source.size_bytes).decode("utf-8", "replace")
    config_path = folder / "tokenizer_config.json"
    template = read_json_object(config_path).get("chat_template") if config_path.is_file() else None
    return template if isinstance(template, str) else None


def _license(architecture: Architecture, prompt: PromptChoice) -> str | None:
    """The licence BELLE published this family under, where the family settles it; nothing is guessed."""
    return "apache-2.0" if architecture.gguf_name == "bloom" and prompt.name == "belle" else None
