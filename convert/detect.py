"""What is at a path, and everything that is needed to convert it; or a refusal that says why.

This is the one place that knows which forms exist. A form is recognised by what its files hold, then opened
by its reader in `convert.sources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.arch import read_architecture
from convert.arch.base import Architecture, MappedTensor
from convert.errors import AlreadyGguf, ConfigMissing
from convert.plan import Plan, make_plan
from convert.prompt_choice import PromptChoice, choose_prompt
from convert.sources.byte_source import FileSource
from convert.sources.folder import LocalFolder, SourceFolder, read_file
from convert.sources.ggml_file import HEAD_BYTES, is_legacy_ggml
from convert.sources.ggml_legacy import open_legacy_ggml
from convert.sources.hf_folder import open_weights
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.xor_folder import open_folder
from convert.vocab import TokenizerFiles, Vocabulary, parse_vocabulary, read_vocabulary

_CONFIG_FILE = "config.json"
_TEMPLATE_FILE = "chat_template.jinja"
_MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its settings, tensors by GGUF name and vocabulary. Close it after use.

    form: for people, such as "safetensors" or "ggjt v2, q4_0". files: names of the weight files; size_bytes:
    all of them together. opened: what `close` closes.
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
    own_template: str | None
    opened: ExitStack

    @property
    def n_parameters(self) -> int:
        """Weights in the model; a tied embedding counts once."""
        return sum(prod(tensor.shape) for tensor in self.mapped)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types its tensors are stored in."""
        return tuple(sorted({_stored_type(tensor) for tensor in self.mapped}))

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
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_checkpoint(path: Path, tokenizer: Path | None = None, key: Path | None = None) -> Checkpoint:
    """Open the checkpoint at `path`, a folder or one of its weight files; no weight is converted.

    tokenizer: a folder or file to take the tokenizer from instead. key: the key file of an encrypted
    checkpoint. Raises a subclass of `ConvertError`.
    """
    folder_path, only_file, head = _locate(path)
    with ExitStack() as opened:
        folder = open_folder(folder_path, key)
        opened.callback(folder.close)
        if only_file is not None and is_legacy_ggml(head):
            checkpoint = _open_ggml(folder, only_file, tokenizer, opened)
        else:
            checkpoint = _open_hugging_face(path, folder, only_file, tokenizer, opened)
        opened.pop_all()
    return checkpoint


def _open_hugging_face(
    path: Path, folder: SourceFolder, only_file: Path | None, tokenizer: Path | None, opened: ExitStack
) -> Checkpoint:
    weights = opened.enter_context(open_weights(folder, only_file))
    config_path = folder.path / _CONFIG_FILE
    if _CONFIG_FILE not in folder.names:
        raise ConfigMissing(folder.path)
    config = parse_json_object(config_path, read_file(folder, _CONFIG_FILE, MAX_JSON_BYTES))
    architecture = read_architecture(config_path, config)
    tokenizer_files = TokenizerFiles.from_path(tokenizer) if tokenizer else TokenizerFiles.from_folder(folder)
    return Checkpoint(
        path=path,
        form=weights.format.name,
        files=tuple(file.name for file in weights.paths),
        size_bytes=weights.size_bytes,
        config=config,
        architecture=architecture,
        mapped=architecture.map_tensors(path, weights.tensors),
        vocabulary=parse_vocabulary(tokenizer_files, config=config),
        tokenizer_path=tokenizer_files.path,
        own_template=_own_template(folder if tokenizer is None else LocalFolder(_folder_of(tokenizer))),
        opened=opened.pop_all(),
    )


def _open_ggml(folder: SourceFolder, file: Path, tokenizer: Path | None, opened: ExitStack) -> Checkpoint:
    model = opened.enter_context(open_legacy_ggml(folder, file.name))
    return Checkpoint(
        path=file,
        form=model.form,
        files=tuple(part.source.path.name for part in model.files),
        size_bytes=model.size_bytes,
        config=model.config,
        architecture=model.architecture,
        mapped=model.mapped_tensors(),
        vocabulary=read_vocabulary(tokenizer, config=model.config) if tokenizer else model.vocabulary(),
        tokenizer_path=tokenizer or file,
        own_template=None,
        opened=opened.pop_all(),
    )


def parameters_text(n_parameters: int) -> str:
    """A model's size as people say it: `7.1B`, `560M`."""
    if n_parameters >= 1_000_000_000:
        return f"{n_parameters / 1e9:.1f}B"
    if n_parameters >= 10_000_000:
        return f"{n_parameters / 1e6:.0f}M"
    return f"{n_parameters / 1e6:.1f}M"


def _locate(path: Path) -> tuple[Path, Path | None, bytes]:
    """The checkpoint's folder, the weight file where one was named, and that file's first bytes."""
    if path.is_dir():
        return path, None, b""
    with FileSource(path) as source:
        head = source.read_at(0, min(HEAD_BYTES, source.size_bytes))
    if head[:4] == b"GGUF":
        raise AlreadyGguf(path)
    if path.name == _CONFIG_FILE or path.name.endswith(".index.json"):
        return path.parent, None, b""
    return path.parent, path, head


def _stored_type(tensor: MappedTensor) -> str:
    return tensor.packed.packed_type if tensor.packed is not None else tensor.source.dtype


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _own_template(folder: SourceFolder) -> str | None:
    """The chat template that comes with the tokenizer, from either place transformers keeps it."""
    if _TEMPLATE_FILE in folder.names:
        return read_file(folder, _TEMPLATE_FILE, _MAX_TEMPLATE_BYTES).decode("utf-8", "replace")
    name = "tokenizer_config.json"
    if name not in folder.names:
        return None
    settings = parse_json_object(folder.path / name, read_file(folder, name, MAX_JSON_BYTES))
    template = settings.get("chat_template")
    return template if isinstance(template, str) else None


def _license(architecture: Architecture, prompt: PromptChoice) -> str | None:
    """The licence BELLE published this family under, where the family settles it; nothing is guessed."""
    return "apache-2.0" if architecture.gguf_name == "bloom" and prompt.name == "belle" else None
