"""The weight files of a Hugging Face folder: which there are, whether they are complete, and their tensors.

Knows file names and indexes only; config.json and the tokenizer are read elsewhere.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.errors import (
    DamagedFile,
    EmptyFolder,
    KeyNeeded,
    LfsPointer,
    MissingTensor,
    NotWeights,
    NoWeights,
    SeveralWeightFiles,
    SourceMissing,
)
from convert.sources.byte_source import ByteSource
from convert.sources.folder import LFS_POINTER_START, LocalFolder, SourceFolder, plain_file_name, read_file
from convert.sources.json_object import parse_json_object
from convert.sources.safetensors import read_safetensors
from convert.sources.tensors import StoredTensor
from convert.sources.torch_zip import read_torch_zip
from convert.sources.xor import parse_encrypted_name

_Reader = Callable[[ByteSource], dict[str, StoredTensor]]
_SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")
# A 7B index has some 30 kB.
_MAX_INDEX_BYTES = 4 << 20
_N_NAMES_SHOWN = 6


@dataclass(frozen=True)
class WeightFormat:
    """One way to store weights: the name of a single file, and who reads it. Shards carry the same suffix."""

    name: str
    single_file: str
    reader: _Reader

    @property
    def index_file(self) -> str:
        return f"{self.single_file}.index.json"

    @property
    def suffix(self) -> str:
        return Path(self.single_file).suffix

    def is_shard(self, name: str) -> bool:
        """Whether a file of this name is part of a set in this form, under its usual name."""
        match = _SHARD_NAME.fullmatch(name)
        return match is not None and match["stem"] + match["suffix"] == self.single_file


# In order of preference where a folder holds several forms of the same model.
WEIGHT_FORMATS = (
    WeightFormat("safetensors", "model.safetensors", read_safetensors),
    WeightFormat("torch", "pytorch_model.bin", read_torch_zip),
)


# Weights under any other name: quantized ones mostly, which their authors named after model and settings.
_OTHER_SUFFIXES = {
    ".safetensors": ("safetensors", read_safetensors),
    ".pt": ("torch", read_torch_zip),
    ".pth": ("torch", read_torch_zip),
}
# What trainers leave beside the weights, adapters, and Meta's files, which have readers of their own.
_NO_MODEL = re.compile(
    r"(optimizer|scheduler|scaler|training_args|adapter_model|consolidated|rng_state|global_step).*"
    r"|([0-9]+_)?adapters\.safetensors"  # mlx-lm's
)


class WeightFiles:
    """The opened weight files of one checkpoint; close it when its tensors are no longer read."""

    def __init__(self, weight_format: WeightFormat, folder: SourceFolder, names: tuple[str, ...]) -> None:
        self.format = weight_format
        self.size_bytes = 0
        self._tensors: dict[str, StoredTensor] = {}
        paths: list[Path] = []
        with ExitStack() as opened:
            for file_name in names:
                source = folder.open(file_name)
                opened.callback(source.close)
                if _is_lfs_pointer(source):
                    raise LfsPointer(source.path)
                paths.append(source.path)
                self.size_bytes += source.size_bytes
                for name, tensor in weight_format.reader(source).items():
                    if name in self._tensors:
                        raise DamagedFile(source.path, f"tensor {name!r} stands in two shards")
                    self._tensors[name] = tensor
            self._opened = opened.pop_all()
        self.paths = tuple(paths)

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """All tensors by their name in the checkpoint."""
        return self._tensors

    def close(self) -> None:
        """Close the files; harmless when repeated."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_weights(folder: Path | SourceFolder, only_file: Path | None = None) -> WeightFiles:
    """Open the weights in `folder`; of several forms the first in `WEIGHT_FORMATS`, or `only_file`'s own.

    A shard given as `only_file` stands for its whole set; in an encrypted folder it may be the `.enc` file.
    Where there is none of these, any other weight file is taken if it is the only one. Raises
    `SourceMissing`, `NotACheckpoint`, `SeveralWeightFiles`, `KeyNeeded`, `MissingShard` (or the folder's own
    error for it), `MissingTensor`, and what the readers raise.
    """
    if isinstance(folder, Path):
        folder = LocalFolder(folder if only_file is None else only_file.parent)
    if only_file is not None:
        return _open_file(folder, only_file)
    for weight_format in WEIGHT_FORMATS:
        if weight_format.index_file in folder.names:
            return _open_index(weight_format, folder)
        if weight_format.single_file in folder.names:
            return WeightFiles(weight_format, folder, (weight_format.single_file,))
        shards = sorted(name for name in folder.names if weight_format.is_shard(name))
        if shards:
            return WeightFiles(weight_format, folder, shard_set(folder, shards[0]))
    others = _other_files(folder)
    if len(others) == 1:
        return _open_other(folder, others[0])
    if others:
        raise SeveralWeightFiles(folder.path, tuple(others))
    if any(map(parse_encrypted_name, folder.names)):
        raise KeyNeeded(folder.path)
    found = _first_names(folder)
    raise NoWeights(folder.path, found) if found else EmptyFolder(folder.path)


def _open_file(folder: SourceFolder, path: Path) -> WeightFiles:
    name = _plain_name(folder, path)
    for weight_format in WEIGHT_FORMATS:
        if Path(name).suffix == weight_format.suffix:
            if _SHARD_NAME.fullmatch(name) and weight_format.index_file in folder.names:
                return _open_index(weight_format, folder)
            return WeightFiles(weight_format, folder, shard_set(folder, name))
    if Path(name).suffix in _OTHER_SUFFIXES:
        return _open_other(folder, name)
    raise NotWeights(path)


def _open_other(folder: SourceFolder, name: str) -> WeightFiles:
    form, reader = _OTHER_SUFFIXES[Path(name).suffix]
    return WeightFiles(WeightFormat(form, name, reader), folder, shard_set(folder, name))


def _other_files(folder: SourceFolder) -> list[str]:
    """Weight files under unusual names, the first of each set of shards.

    Of one model in both forms only the safetensors files.
    """
    names = [
        name
        for name in sorted(folder.names)
        if Path(name).suffix in _OTHER_SUFFIXES
        and not _NO_MODEL.fullmatch(name)
        and not _is_later_shard(name)
    ]
    stems = {Path(name).stem for name in names if name.endswith(".safetensors")}
    return [name for name in names if name.endswith(".safetensors") or Path(name).stem not in stems]


def _is_later_shard(name: str) -> bool:
    match = _SHARD_NAME.fullmatch(name)
    return match is not None and int(match["number"]) > 1


def _plain_name(folder: SourceFolder, path: Path) -> str:
    """What the folder calls the file at `path`, which may be an encrypted one's own name."""
    encrypted = parse_encrypted_name(path.name)
    if encrypted is None:
        if path.name not in folder.names:
            raise SourceMissing(path, os.strerror(errno.ENOENT))
        return path.name
    if encrypted.plain_name not in folder.names or path.name in folder.names:
        raise KeyNeeded(path)
    return encrypted.plain_name


def _open_index(weight_format: WeightFormat, folder: SourceFolder) -> WeightFiles:
    index = folder.path / weight_format.index_file
    content = parse_json_object(index, read_file(folder, weight_format.index_file, _MAX_INDEX_BYTES))
    weight_map: Any = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DamagedFile(index, "no weight_map")
    shards = sorted({plain_file_name(index, shard) for shard in weight_map.values()})
    for shard in shards:
        if shard not in folder.names:
            raise folder.missing_shard(shard)
    weights = WeightFiles(weight_format, folder, tuple(shards))
    missing = next((name for name in weight_map if name not in weights.tensors), None)
    if missing is not None:
        weights.close()
        raise MissingTensor(folder.path / weight_map[missing], missing)
    return weights


def shard_set(folder: SourceFolder, name: str) -> tuple[str, ...]:
    """All files of the set that a shard belongs to; any other file is a set of its own.

    Raises the folder's `missing_shard`, or `DamagedFile` for a part number that can't be.
    """
    match = _SHARD_NAME.fullmatch(name)
    if match is None:
        return (name,)
    n_shards = int(match["count"])
    if not 1 <= int(match["number"]) <= n_shards:
        raise DamagedFile(folder.path / name, "the part's number in its name")
    names = [f"{match['stem']}-{i:05d}-of-{match['count']}{match['suffix']}" for i in range(1, n_shards + 1)]
    for shard in names:
        if shard not in folder.names:
            raise folder.missing_shard(shard)
    return tuple(names)


def _first_names(folder: SourceFolder) -> tuple[str, ...]:
    # A local folder's own folders are named as well: the checkpoint may be in one of them.
    on_disk = [entry.name for entry in folder.path.iterdir()] if os.path.isdir(folder.path) else []
    names = sorted(on_disk or folder.names)
    return (*names[:_N_NAMES_SHOWN], "…") if len(names) > _N_NAMES_SHOWN else tuple(names)


def _is_lfs_pointer(source: ByteSource) -> bool:
    n_start = len(LFS_POINTER_START)
    return source.size_bytes > n_start and source.read_at(0, n_start) == LFS_POINTER_START
