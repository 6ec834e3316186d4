"""The weight files of a Hugging Face folder: which are read, whether they are complete, and their tensors.

transformers' order decides among several forms of one model, but for what is incomplete: a set that lacks a
part, such as one whose index was left behind, is passed over for the next one that is whole. Knows file names
and indexes only; config.json and the tokenizer are read elsewhere.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import (
    BrokenLink,
    Detail,
    EmptyFolder,
    InvalidFile,
    KeyNeeded,
    LfsPointer,
    MissingEncryptedShard,
    MissingShard,
    NotWeights,
    NoWeights,
    SeveralWeightFiles,
    ShardedCheckpoint,
    SourceError,
    SourceMissing,
    TrainingState,
)
from convert.notes import Note
from convert.sources.folder import LFS_POINTER_START, LocalFolder, SourceFolder, plain_file_name, read_file
from convert.sources.json_object import parse_json_object
from convert.sources.safetensors import read_safetensors
from convert.sources.torch_file import has_torch_start, read_torch
from convert.sources.weight_files import WeightFiles, WeightFormat
from convert.sources.weight_sets import (
    SAFETENSORS_FILE,
    TORCH_FILE,
    TORCH_SUFFIXES,
    WeightSet,
    complete_sets,
    is_beside_pieces,
    is_complete,
    is_of_training,
    is_piece,
    other_files,
    parse_shard,
    shard_sets,
)
from convert.sources.xor import parse_encrypted_name

_INDEX_NAME = re.compile(r"(?P<single>.+\.(safetensors|bin))\.index(\..+)?\.json")
# A 7B index has some 30 kB.
_MAX_INDEX_BYTES = 4 << 20
_N_NAMES_SHOWN = 6


# In order of preference where a folder holds several forms of the same model.
WEIGHT_FORMATS = (
    WeightFormat("safetensors", SAFETENSORS_FILE, read_safetensors),
    WeightFormat("torch", TORCH_FILE, read_torch),
)


@dataclass(frozen=True)
class _Choice:
    """Files that could be read; places: the file that the index names for each tensor."""

    format: WeightFormat
    set: WeightSet
    places: Mapping[str, str] = field(default_factory=dict)


def open_weights(folder: Path | SourceFolder, only_file: Path | None = None) -> WeightFiles:
    """Open the weights in `folder`: the first complete set in transformers' order, or `only_file`'s own.

    An index or a shard given as `only_file` stands for its whole set; in an encrypted folder it may be the
    `.enc` file. Where there is none of transformers' names, any other weight file is taken if it is the only
    one. Tensors have the names that they have in the model. Raises `SourceMissing`, `NotACheckpoint`,
    `SeveralWeightFiles`, `KeyNeeded`, `MissingShard` (or the folder's own error for it), `LfsPointer`,
    `BrokenLink`, `ShardedCheckpoint`, what `WeightFiles.unwrap` and what the readers raise.
    """
    if isinstance(folder, Path):
        folder = LocalFolder(folder if only_file is None else only_file.parent)
    weights = _open_first(folder) if only_file is None else _open_named(folder, only_file)
    try:
        weights.unwrap()
    except BaseException:
        weights.close()
        raise
    return weights


def _open_first(folder: SourceFolder) -> WeightFiles:
    gaps: dict[str, SourceError] = {}
    begun: SourceError | None = None
    for choice in _usual_choices(folder):
        try:
            weights = _open_set(folder, choice)
        except (MissingShard, MissingEncryptedShard, LfsPointer, BrokenLink) as error:
            gaps[choice.set.label] = error
            if begun is None and any(name in folder.names for name in choice.set.files):
                begun = error
        else:
            weights.notes = _notes(folder, choice.set, gaps)
            return weights
    if begun is not None:
        raise begun
    if any(map(is_piece, folder.names)):
        raise ShardedCheckpoint(folder.path)
    others = [name for name in other_files(folder.names) if _is_weight_file(folder, name)]
    if len(others) == 1:
        weights = _open_set(folder, _choice_of(folder, others[0]))
        weights.notes = _notes(folder, WeightSet(others[0], tuple(others)), gaps)
        return weights
    if others:
        raise SeveralWeightFiles(folder.path, tuple(others))
    if any(map(parse_encrypted_name, folder.names)):
        raise KeyNeeded(folder.path)
    raise next(iter(gaps.values()), None) or _nothing(folder)


def _nothing(folder: SourceFolder) -> SourceError:
    """What to say of a folder without weights."""
    # A local folder's own folders are named as well: the checkpoint may be in one of them.
    on_disk = [entry.name for entry in folder.path.iterdir()] if os.path.isdir(folder.path) else []
    names = sorted(on_disk or folder.names)
    if any(map(is_beside_pieces, names)):
        return ShardedCheckpoint(folder.path)
    shown = (*names[:_N_NAMES_SHOWN], "…") if len(names) > _N_NAMES_SHOWN else tuple(names)
    return NoWeights(folder.path, shown) if shown else EmptyFolder(folder.path)


def _usual_choices(folder: SourceFolder) -> Iterator[_Choice]:
    """What there is under transformers' names, complete or not, in its order."""
    for weight_format in WEIGHT_FORMATS:
        single_file = weight_format.single_file
        if single_file in folder.names:
            yield _Choice(weight_format, WeightSet(single_file, (single_file,)))
        indexed: _Choice | None = None
        if weight_format.index_file in folder.names:
            indexed = _read_index(folder, weight_format, weight_format.index_file)
            yield indexed
        # Shards without an index, or beside one that is of another set.
        sets = shard_sets(folder.names, single_file)
        whole = [each for each in sets if is_complete(each, folder.names)]
        if len(whole) > 1:
            raise SeveralWeightFiles(folder.path, tuple(each.label for each in whole))
        for each in whole or sets:
            if indexed is None or set(each.files) != set(indexed.set.files):
                yield _Choice(weight_format, WeightSet(each.label, _part_names(folder, each.label)))


def _open_set(folder: SourceFolder, choice: _Choice) -> WeightFiles:
    _require(folder, choice.set.files)
    return WeightFiles(choice.format, folder, choice.set.files, choice.places)


def _open_named(folder: SourceFolder, path: Path) -> WeightFiles:
    name = _plain_name(folder, path)
    if is_piece(name):
        raise ShardedCheckpoint(path)
    if is_of_training(name):
        raise TrainingState(path)
    return _open_set(folder, _choice_of(folder, name))


def _choice_of(folder: SourceFolder, name: str) -> _Choice:
    """What the file of this name stands for: the set of an index or a shard, any other file itself."""
    index = _INDEX_NAME.fullmatch(name)
    single_file = name if index is None else index["single"]
    suffix = Path(single_file).suffix
    if suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise NotWeights(folder.path / name)
    form, reader = ("safetensors", read_safetensors) if suffix == ".safetensors" else ("torch", read_torch)
    weight_format = WeightFormat(form, single_file, reader)
    if index is not None:
        return _read_index(folder, weight_format, name)
    if parse_shard(name) is not None:
        for other in sorted(folder.names):
            match = _INDEX_NAME.fullmatch(other)
            if match is not None and Path(match["single"]).suffix == suffix:
                indexed = _read_index(folder, weight_format, other)
                if name in indexed.set.files:
                    return indexed
    return _Choice(weight_format, WeightSet(name, _part_names(folder, name)))


def _read_index(folder: SourceFolder, weight_format: WeightFormat, name: str) -> _Choice:
    path = folder.path / name
    content = parse_json_object(path, read_file(folder, name, _MAX_INDEX_BYTES))
    weight_map: Any = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InvalidFile(path, Detail("no_weight_map"))
    places = {tensor: plain_file_name(path, file) for tensor, file in weight_map.items()}
    return _Choice(weight_format, WeightSet(name, tuple(sorted(set(places.values())))), places)


def _notes(folder: SourceFolder, chosen: WeightSet, gaps: Mapping[str, SourceError]) -> tuple[Note, ...]:
    """What to know of the choice: complete forms that were left out, incomplete ones that came before it."""
    passed = [Note("weights_passed", {"chosen": chosen.label, "other": label}) for label in gaps]
    sets = [each.label for each in complete_sets(folder.names) if not set(each.files) & set(chosen.files)]
    singles = [name for name in other_files(folder.names) if not name.endswith(".bin")]
    others = [label for label in (*sets, *singles) if label not in (*gaps, *chosen.files)]
    choice = [Note("weight_choice", {"chosen": chosen.label, "others": ", ".join(others)})] if others else []
    return (*passed, *choice)


def _is_weight_file(folder: SourceFolder, name: str) -> bool:
    """Whether a file under an unusual name is to be read: a `.bin` may be any program's."""
    if not name.endswith(".bin"):
        return True
    source = folder.open(name)
    try:
        start = source.read_at(0, min(32, source.size_bytes))
        return has_torch_start(start) or start.startswith(LFS_POINTER_START)
    finally:
        source.close()


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


def shard_set(folder: SourceFolder, name: str) -> tuple[str, ...]:
    """All files of the set that a shard belongs to; any other file is a set of its own.

    Raises the folder's `missing_shard`, or `InvalidFile` for a part number that can't be.
    """
    names = _part_names(folder, name)
    _require(folder, names)
    return names


def _part_names(folder: SourceFolder, name: str) -> tuple[str, ...]:
    shard = parse_shard(name)
    if shard is not None and not shard.is_possible:
        raise InvalidFile(folder.path / name, Detail("part_number"))
    return (name,) if shard is None else shard.set_names


def _require(folder: SourceFolder, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in folder.names:
            raise folder.missing_shard(name)
