"""What is at a path, and everything that is needed to convert it; or a refusal that says why.

This is the one place that knows how the forms of `convert.forms` are told apart: by what their files hold.
Each is opened by its reader in `convert.sources`; an encrypted folder may hold any of them, adapters go on
top of any.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.adapted import AdaptedModel, ReadTokenizer, adapt
from convert.chat_templates import OwnTemplates, read_templates
from convert.checkpoint import Checkpoint
from convert.errors import (
    AdapterAlone,
    AlreadyGguf,
    ConfigMissing,
    ForbiddenPickle,
    GptqConfigMissing,
    MetaParamsMissing,
    NotACheckpoint,
    SeveralWeightFiles,
)
from convert.forms import BLOOMZ_CPP, ENCRYPTED, GGML, LORA, META
from convert.generation import FILE_NAME as GENERATION_FILE
from convert.generation import Generation, read_generation
from convert.notes import Note
from convert.quantized import refuse_method, restore_weights
from convert.sources.awq import is_awq
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.folder import LocalFolder, SourceFolder, plain_file_name, read_file
from convert.sources.ggml_file import HEAD_BYTES, is_legacy_ggml
from convert.sources.ggml_legacy import LegacyGgml, find_ggml_files, open_legacy_ggml
from convert.sources.gptq import is_gptq
from convert.sources.hf_folder import open_weights
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.lora import (
    ADAPTER_FILES,
    CONFIG_FILE,
    LoraAdapter,
    LoraChoice,
    open_adapter,
)
from convert.sources.meta import PARAMS_FILE, WEIGHT_FILE, is_meta, open_meta
from convert.sources.model_folders import find_model_folder
from convert.sources.weight_files import WeightFiles
from convert.sources.xor import parse_encrypted_name
from convert.sources.xor_folder import open_folder
from convert.vocab import TokenizerFiles, read_vocabulary

_CONFIG_FILE = "config.json"


def open_checkpoint(
    path: Path | SourceFolder,
    tokenizer: Path | None = None,
    key: Path | None = None,
    *,
    file: str | None = None,
    loras: Sequence[LoraChoice] = (),
) -> Checkpoint:
    """Open the checkpoint at `path`, a folder or one of its weight files; no weight is converted.

    path: or a folder that is not on this disk, which is closed with the checkpoint. tokenizer: a folder or
    file to take the tokenizer from instead. key: the key file of an encrypted checkpoint. file: the weight
    file to take in a folder that has several; a single ggml file of 2023 among nothing else needs none.
    loras: adapters to merge, in order. Raises a subclass of `ConvertError`.
    """
    path = find_model_folder(path) if isinstance(path, Path) else path
    place, only_file = _locate(path, file)
    with ExitStack() as opened:
        located = [replace(lora, path=find_model_folder(lora.path)) for lora in loras]
        adapters = [opened.enter_context(open_adapter(lora)) for lora in located]
        folder = open_folder(place, key)
        opened.callback(folder.close)
        named = path if isinstance(path, Path) else folder.path
        is_on_disk = isinstance(path, Path)
        found = _Found(named, folder, only_file, tokenizer, adapters, opened, is_on_disk)
        if is_legacy_ggml(_read_head(found)):
            checkpoint = _open_ggml(found)
        elif _is_meta(found):
            checkpoint = _open_meta(found)
        else:
            checkpoint = _open_unnamed(found)
        opened.pop_all()
    labels = [checkpoint.form, *([ENCRYPTED.label] if key else []), *(LORA.label for _ in adapters)]
    vocabulary = checkpoint.vocabulary.without_rowless(checkpoint.architecture.n_vocab)
    notes = (*checkpoint.notes, *checkpoint.architecture.notes, *vocabulary.notes)
    return replace(checkpoint, form=" + ".join(labels), vocabulary=vocabulary, notes=notes)


@dataclass(frozen=True)
class _Found:
    """What there is to open, before it is known what it is.

    path: as it was given. is_on_disk: else the paths are names only, whatever this disk has there.
    """

    path: Path
    folder: SourceFolder
    only_file: Path | None
    tokenizer: Path | None
    adapters: Sequence[LoraAdapter]
    opened: ExitStack
    is_on_disk: bool

    def choose_tokenizer(
        self, model: AdaptedModel, read_base: Callable[[], ReadTokenizer]
    ) -> tuple[ReadTokenizer, tuple[Note, ...]]:
        """The one that was given, else the model's or an adapter's, and what to say of the choice."""
        return model.choose_tokenizer(read_base) if self.tokenizer is None else (read_base(), ())

    def tokenizer_files(self) -> TokenizerFiles:
        if self.tokenizer is not None:
            return TokenizerFiles.from_path(self.tokenizer)
        return TokenizerFiles.from_folder(self.folder)

    def own_templates(self, *, has_own: bool = True) -> OwnTemplates | None:
        """Those beside the tokenizer that was given, else an adapter's, else those beside the weights.

        has_own: whether models of this form come with any.
        """
        given = [] if self.tokenizer is None else [LocalFolder(_folder_of(self.tokenizer))]
        adapters = [adapter.folder for adapter in reversed(self.adapters)]
        folders: list[SourceFolder] = [*given, *adapters, *([self.folder] if has_own else [])]
        return next((found for found in map(read_templates, folders) if found is not None), None)


def _open_unnamed(found: _Found) -> Checkpoint:
    """A Hugging Face folder; where there is none, the one file of ggml's."""
    try:
        return _open_hugging_face(found)
    except NotACheckpoint:
        files = find_ggml_files(found.folder) if found.only_file is None else ()
        ggufs = sorted(name for name in found.folder.names if name.lower().endswith(".gguf"))
        if ggufs and not files and found.only_file is None:
            raise AlreadyGguf(found.folder.path / ggufs[0]) from None
        if not files:
            raise
        if len(files) > 1:
            raise SeveralWeightFiles(found.folder.path, files) from None
        return _open_ggml(replace(found, only_file=found.folder.path / files[0]))


def _open_hugging_face(found: _Found) -> Checkpoint:
    folder, path = found.folder, found.path
    try:
        weights = _open_weights(found)
    except ForbiddenPickle:
        if _CONFIG_FILE in folder.names:  # torchao's and Quanto's tensors are objects of classes of their own
            refuse_method(folder.path / _CONFIG_FILE, _parse_config(folder))
        raise
    config_path, config = _read_config(found, weights)
    restored = restore_weights(folder, weights, config_path, config)
    model = adapt(config_path, config, restored.tensors, found.adapters)
    mapped = model.check(model.architecture.map_tensors(path, model.tensors))
    tokenizer, notes = found.choose_tokenizer(
        model, lambda: ReadTokenizer.parse(found.tokenizer_files(), config)
    )
    generation = _read_generation(folder, config)
    return Checkpoint(
        path=path,
        form=restored.form,
        files=tuple(file.name for file in weights.paths),
        size_bytes=weights.size_bytes,
        config=model.config,
        architecture=model.architecture,
        mapped=mapped,
        vocabulary=tokenizer.vocabulary,
        tokenizer_path=tokenizer.path,
        own_templates=found.own_templates(),
        opened=found.opened.pop_all(),
        generation=generation,
        notes=(*weights.notes, *restored.notes, *model.notes, *notes, *_adapter_note(found)),
    )


def _open_weights(found: _Found) -> WeightFiles:
    name = found.only_file.name if found.only_file is not None else ""
    if name in ADAPTER_FILES or WEIGHT_FILE.fullmatch(name):
        _refuse_incomplete(found.folder)
    try:
        return found.opened.enter_context(open_weights(found.folder, found.only_file))
    except NotACheckpoint:
        _refuse_incomplete(found.folder)
        raise


def _adapter_note(found: _Found) -> tuple[Note, ...]:
    """That an adapter lies beside the model's own weights, unless it is merged as was asked for."""
    weights = next((name for name in ADAPTER_FILES if name != CONFIG_FILE and name in found.folder.names), "")
    if not weights or CONFIG_FILE not in found.folder.names or found.adapters:
        return ()
    return (Note("adapter_beside", {"adapter": weights}),)


def _refuse_incomplete(folder: SourceFolder) -> None:
    """Say what a folder is that has no weights but an adapter's, or Meta's without their description.

    Raises `AdapterAlone`, what is wrong with that adapter, or `MetaParamsMissing`.
    """
    if CONFIG_FILE in folder.names:
        with LoraAdapter(folder, 1.0) as adapter:
            raise AdapterAlone(folder.path, adapter.settings.base)
    if is_meta(folder):
        raise MetaParamsMissing(folder.path)


def _read_config(found: _Found, weights: WeightFiles) -> tuple[Path, dict[str, Any]]:
    """config.json, which quantized checkpoints may lack: then the one beside the tokenizer."""
    folder = found.folder
    if _CONFIG_FILE not in folder.names:
        other = LocalFolder(_folder_of(found.tokenizer)) if found.tokenizer is not None else folder
        if _CONFIG_FILE not in other.names:
            is_belles = is_gptq(weights.tensors) and not is_awq(weights.tensors, {})
            missing = GptqConfigMissing if is_belles else ConfigMissing
            raise missing(folder.path)
        folder = other
    return folder.path / _CONFIG_FILE, _parse_config(folder)


def _parse_config(folder: SourceFolder) -> dict[str, Any]:
    return parse_json_object(folder.path / _CONFIG_FILE, read_file(folder, _CONFIG_FILE, MAX_JSON_BYTES))


def _read_generation(folder: SourceFolder, config: Mapping[str, Any]) -> Generation:
    if GENERATION_FILE not in folder.names:
        return read_generation({}, config)
    data = read_file(folder, GENERATION_FILE, MAX_JSON_BYTES)
    return read_generation(parse_json_object(folder.path / GENERATION_FILE, data), config)


def _is_meta(found: _Found) -> bool:
    if PARAMS_FILE not in found.folder.names or not is_meta(found.folder):
        return False
    if found.only_file is not None:
        return WEIGHT_FILE.fullmatch(found.only_file.name) is not None or found.only_file.name == PARAMS_FILE
    return _CONFIG_FILE not in found.folder.names


def _open_meta(found: _Found) -> Checkpoint:
    model = found.opened.enter_context(open_meta(found.folder))
    adapted = adapt(model.path, model.config, model.tensors, found.adapters)
    mapped = adapted.check(replace(model, architecture=adapted.architecture).mapped_tensors(adapted.tensors))
    tokenizer_files = found.tokenizer_files()
    above = found.folder.path.absolute().parent
    is_above = found.is_on_disk and found.tokenizer is None and os.path.isdir(above)
    if "tokenizer.model" not in tokenizer_files and is_above:
        # Meta's download puts it above the folders of the single models.
        tokenizer_files = TokenizerFiles.from_folder(LocalFolder(above))
    tokenizer, notes = found.choose_tokenizer(
        adapted, lambda: ReadTokenizer.parse(tokenizer_files, model.config)
    )
    return Checkpoint(
        path=found.path,
        form=META.describe(),
        files=tuple(file.name for file in model.files),
        size_bytes=model.size_bytes,
        config=adapted.config,
        architecture=adapted.architecture,
        mapped=mapped,
        vocabulary=tokenizer.vocabulary,
        tokenizer_path=tokenizer.path,
        own_templates=found.own_templates(),
        opened=found.opened.pop_all(),
        is_untrained=not found.adapters,
        notes=adapted.notes + notes,
    )


def _open_ggml(found: _Found) -> Checkpoint:
    assert found.only_file is not None
    file = found.only_file
    model = found.opened.enter_context(open_legacy_ggml(found.folder, file.name))
    adapted = adapt(model.path, model.config, model.tensors, found.adapters)
    mapped = adapted.check(
        replace(model, architecture=adapted.architecture, tensors=adapted.tensors).mapped_tensors()
    )
    tokenizer, notes = found.choose_tokenizer(adapted, lambda: _ggml_tokenizer(found, model))
    form = GGML if model.has_vocabulary else BLOOMZ_CPP
    return Checkpoint(
        path=file,
        form=form.describe(model.form),
        files=tuple(part.source.path.name for part in model.files),
        size_bytes=model.size_bytes,
        config=adapted.config,
        architecture=adapted.architecture,
        mapped=mapped,
        vocabulary=tokenizer.vocabulary,
        tokenizer_path=tokenizer.path,
        own_templates=found.own_templates(has_own=False),
        opened=found.opened.pop_all(),
        notes=adapted.notes + notes,
    )


def _ggml_tokenizer(found: _Found, model: LegacyGgml) -> ReadTokenizer:
    if found.tokenizer is not None:
        return ReadTokenizer(read_vocabulary(found.tokenizer, config=model.config), found.tokenizer)
    return ReadTokenizer(model.vocabulary(), found.only_file or model.path)


def _locate(path: Path | SourceFolder, file: str | None) -> tuple[Path | SourceFolder, Path | None]:
    """The checkpoint's folder, and the weight file where one was named."""
    if not isinstance(path, Path):
        return path, None if file is None else path.path / plain_file_name(path.path, file)
    folder = _folder_of(path)
    if file is not None:
        return folder, folder / plain_file_name(folder, file)
    if os.path.isdir(path) or path.name == _CONFIG_FILE:
        return folder, None
    return folder, path


def _read_head(found: _Found) -> bytes:
    """The first bytes of the file that was named, on the disk or, under its plain name, encrypted there."""
    file, folder = found.only_file, found.folder
    if file is None:
        return b""
    if found.is_on_disk and (os.path.isfile(file) or file.name not in folder.names):
        source: ByteSource = FileSource(file)
    else:
        encrypted = parse_encrypted_name(file.name)
        is_decrypted = encrypted is not None and encrypted.plain_name in folder.names
        source = folder.open(encrypted.plain_name if encrypted and is_decrypted else file.name)
    try:
        head = source.read_at(0, min(HEAD_BYTES, source.size_bytes))
    finally:
        source.close()
    if head[:4] == b"GGUF":
        raise AlreadyGguf(file)
    return head


def _folder_of(path: Path) -> Path:
    return path if os.path.isdir(path) else path.parent
