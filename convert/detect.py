"""What is at a path, and everything that is needed to convert it; or a refusal that says why.

This is the one place that knows how the forms of `convert.forms` are told apart: by what their files hold.
Each is opened by its reader in `convert.sources`; an encrypted folder may hold any of them, adapters go on
top of any.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.arch import read_architecture
from convert.chat_templates import OwnTemplates, read_templates
from convert.checkpoint import Checkpoint
from convert.errors import (
    AdapterAlone,
    AlreadyGguf,
    ConfigMissing,
    ConvertError,
    GptqConfigMissing,
    MetaParamsMissing,
    NotACheckpoint,
    SeveralWeightFiles,
)
from convert.forms import BLOOMZ_CPP, ENCRYPTED, FORMS, GGML, GPTQ, LORA, META
from convert.generation import FILE_NAME as GENERATION_FILE
from convert.generation import Generation, read_generation
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.folder import LocalFolder, SourceFolder, plain_file_name, read_file
from convert.sources.ggml_file import HEAD_BYTES, is_legacy_ggml
from convert.sources.ggml_legacy import find_ggml_files, open_legacy_ggml
from convert.sources.gptq import is_gptq, read_gptq
from convert.sources.gptq_settings import SETTINGS_FILE, read_settings
from convert.sources.hf_folder import WeightFiles, open_weights
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object
from convert.sources.lora import (
    ADAPTER_FILES,
    CONFIG_FILE,
    LoraAdapter,
    LoraChoice,
    check_merged,
    merge_adapters,
    open_adapter,
    read_adapter_settings,
)
from convert.sources.meta import PARAMS_FILE, WEIGHT_FILE, is_meta, open_meta
from convert.sources.model_folders import find_model_folder
from convert.sources.tensors import Tensor
from convert.sources.xor import parse_encrypted_name
from convert.sources.xor_folder import open_folder
from convert.vocab import TokenizerFiles, parse_vocabulary, read_vocabulary

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
    return replace(checkpoint, form=" + ".join(labels))


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

    def merge(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return merge_adapters(tensors, self.adapters)

    def tokenizer_files(self) -> TokenizerFiles:
        if self.tokenizer is not None:
            return TokenizerFiles.from_path(self.tokenizer)
        return TokenizerFiles.from_folder(self.folder)

    def own_templates(self) -> OwnTemplates | None:
        """Those of the tokenizer that was given, else those that came with the weights."""
        given = read_templates(LocalFolder(_folder_of(self.tokenizer))) if self.tokenizer else None
        return given or read_templates(self.folder)


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
    weights = _open_weights(found)
    config_path, config = _read_config(found, weights)
    architecture = read_architecture(config_path, config)
    form, tensors = _read_tensors(folder, weights, config_path, config)
    tensors = found.merge(tensors)
    mapped = architecture.map_tensors(path, tensors)
    check_merged(tensors, mapped, found.adapters)
    tokenizer_files = found.tokenizer_files()
    generation = _read_generation(folder, config)
    return Checkpoint(
        path=path,
        form=form,
        files=tuple(file.name for file in weights.paths),
        size_bytes=weights.size_bytes,
        config=config,
        architecture=architecture,
        mapped=mapped,
        vocabulary=parse_vocabulary(tokenizer_files, config=config),
        tokenizer_path=tokenizer_files.path,
        own_templates=found.own_templates(),
        opened=found.opened.pop_all(),
        generation=generation,
    )


def _open_weights(found: _Found) -> WeightFiles:
    name = found.only_file.name if found.only_file is not None else ""
    incomplete = _find_incomplete(found.folder)
    if incomplete is not None and (name in ADAPTER_FILES or WEIGHT_FILE.fullmatch(name)):
        raise incomplete
    try:
        return found.opened.enter_context(open_weights(found.folder, found.only_file))
    except NotACheckpoint as error:
        raise (incomplete or error) from error


def _find_incomplete(folder: SourceFolder) -> ConvertError | None:
    """What to say of a folder that has no weights but an adapter's, or Meta's without their description."""
    if CONFIG_FILE in folder.names:
        return AdapterAlone(folder.path, read_adapter_settings(folder).base)
    return MetaParamsMissing(folder.path) if is_meta(folder) else None


def _read_config(found: _Found, weights: WeightFiles) -> tuple[Path, dict[str, Any]]:
    """config.json, which quantized checkpoints may lack: then the one beside the tokenizer."""
    folder = found.folder
    if _CONFIG_FILE not in folder.names:
        other = LocalFolder(_folder_of(found.tokenizer)) if found.tokenizer is not None else folder
        if _CONFIG_FILE not in other.names:
            missing = GptqConfigMissing if is_gptq(weights.tensors) else ConfigMissing
            raise missing(folder.path)
        folder = other
    path = folder.path / _CONFIG_FILE
    return path, parse_json_object(path, read_file(folder, _CONFIG_FILE, MAX_JSON_BYTES))


def _read_generation(folder: SourceFolder, config: Mapping[str, Any]) -> Generation:
    if GENERATION_FILE not in folder.names:
        return read_generation({}, config)
    data = read_file(folder, GENERATION_FILE, MAX_JSON_BYTES)
    return read_generation(parse_json_object(folder.path / GENERATION_FILE, data), config)


def _read_tensors(
    folder: SourceFolder, weights: WeightFiles, config_path: Path, config: Mapping[str, Any]
) -> tuple[str, Mapping[str, Tensor]]:
    """The form, and the tensors with those that GPTQ quantized put together."""
    if not is_gptq(weights.tensors):
        return FORMS[weights.format.name].describe(), weights.tensors
    own_path, own = folder.path / SETTINGS_FILE, None
    if SETTINGS_FILE in folder.names:
        own = parse_json_object(own_path, read_file(folder, SETTINGS_FILE, MAX_JSON_BYTES))
    model = read_gptq(weights.tensors, read_settings(own_path, own, config_path, config))
    return f"{GPTQ.label} {model.details}", model.tensors


def _is_meta(found: _Found) -> bool:
    if PARAMS_FILE not in found.folder.names or not is_meta(found.folder):
        return False
    if found.only_file is not None:
        return WEIGHT_FILE.fullmatch(found.only_file.name) is not None or found.only_file.name == PARAMS_FILE
    return _CONFIG_FILE not in found.folder.names


def _open_meta(found: _Found) -> Checkpoint:
    model = found.opened.enter_context(open_meta(found.folder))
    tensors = found.merge(model.tensors)
    mapped = model.mapped_tensors(tensors)
    check_merged(tensors, mapped, found.adapters)
    tokenizer_files = found.tokenizer_files()
    above = found.folder.path.absolute().parent
    is_above = found.is_on_disk and found.tokenizer is None and os.path.isdir(above)
    if "tokenizer.model" not in tokenizer_files and is_above:
        # Meta's download puts it above the folders of the single models.
        tokenizer_files = TokenizerFiles.from_folder(LocalFolder(above))
    return Checkpoint(
        path=found.path,
        form=META.describe(),
        files=tuple(file.name for file in model.files),
        size_bytes=model.size_bytes,
        config=model.config,
        architecture=model.architecture,
        mapped=mapped,
        vocabulary=parse_vocabulary(tokenizer_files, config=model.config),
        tokenizer_path=tokenizer_files.path,
        own_templates=found.own_templates(),
        opened=found.opened.pop_all(),
        is_untrained=not found.adapters,
    )


def _open_ggml(found: _Found) -> Checkpoint:
    assert found.only_file is not None
    file, tokenizer = found.only_file, found.tokenizer
    model = found.opened.enter_context(open_legacy_ggml(found.folder, file.name))
    merged = found.merge(model.tensors)
    mapped = replace(model, tensors=merged).mapped_tensors()
    check_merged(merged, mapped, found.adapters)
    form = BLOOMZ_CPP if model.architecture.gguf_name == "bloom" else GGML
    return Checkpoint(
        path=file,
        form=form.describe(model.form),
        files=tuple(part.source.path.name for part in model.files),
        size_bytes=model.size_bytes,
        config=model.config,
        architecture=model.architecture,
        mapped=mapped,
        vocabulary=read_vocabulary(tokenizer, config=model.config) if tokenizer else model.vocabulary(),
        tokenizer_path=tokenizer or file,
        own_templates=read_templates(LocalFolder(_folder_of(tokenizer))) if tokenizer else None,
        opened=found.opened.pop_all(),
    )


def _locate(path: Path | SourceFolder, file: str | None) -> tuple[Path | SourceFolder, Path | None]:
    """The checkpoint's folder, and the weight file where one was named."""
    if not isinstance(path, Path):
        return path, None if file is None else path.path / plain_file_name(path.path, file)
    folder = _folder_of(path)
    if file is not None:
        return folder, folder / plain_file_name(folder, file)
    if os.path.isdir(path) or path.name == _CONFIG_FILE or path.name.endswith(".index.json"):
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
