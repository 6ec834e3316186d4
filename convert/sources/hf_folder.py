"""The weight files of a Hugging Face folder: which there are, whether they are complete, and their tensors.

Knows file names and indexes only; config.json and the tokenizer are read elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from convert.errors import DamagedFile, MissingShard, MissingTensor, NotACheckpoint
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.json_object import read_json_object
from convert.sources.safetensors import read_safetensors
from convert.sources.tensors import StoredTensor
from convert.sources.torch_zip import read_torch_zip

_Reader = Callable[[ByteSource], dict[str, StoredTensor]]
_SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")


@dataclass(frozen=True)
class WeightFormat:
    """One way to store weights: the name of a single file, and who reads it. Shards carry the same suffix."""

    name: str
    single_file: str
    reader: _Reader

    @property
    def index_file(self) -> str:
        return f"{self.single_file}.index.json"


# In order of preference where a folder holds several forms of the same model.
WEIGHT_FORMATS = (
    WeightFormat("safetensors", "model.safetensors", read_safetensors),
    WeightFormat("torch", "pytorch_model.bin", read_torch_zip),
)


class WeightFiles:
    """The opened weight files of one checkpoint; close it when its tensors are no longer read."""

    def __init__(self, weight_format: WeightFormat, paths: tuple[Path, ...]) -> None:
        self.format = weight_format
        self.paths = paths
        self.size_bytes = 0
        self._tensors: dict[str, StoredTensor] = {}
        with ExitStack() as opened:
            for path in paths:
                source = opened.enter_context(FileSource(path))
                self.size_bytes += source.size_bytes
                for name, tensor in weight_format.reader(source).items():
                    if name in self._tensors:
                        raise DamagedFile(path, f"tensor {name!r} stands in two shards")
                    self._tensors[name] = tensor
            self._opened = opened.pop_all()

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


def open_weights(folder: Path, only_file: Path | None = None) -> WeightFiles:
    """Open the weights in `folder`; of several forms the first in `WEIGHT_FORMATS`, or `only_file`'s own.

    A shard given as `only_file` stands for its whole set. Raises `NotACheckpoint`, `MissingShard`,
    `MissingTensor`, and what the readers raise.
    """
    if only_file is not None:
        return _open_file(only_file)
    for weight_format in WEIGHT_FORMATS:
        index = folder / weight_format.index_file
        if index.is_file():
            return _open_index(weight_format, index)
        single = folder / weight_format.single_file
        if single.is_file():
            return WeightFiles(weight_format, (single,))
        stem = single.stem
        shards = sorted(folder.glob(f"{stem}-[0-9]*-of-[0-9]*{single.suffix}"))
        if shards:
            return WeightFiles(weight_format, _shard_set(shards[0]))
    raise NotACheckpoint(folder, _first_names(folder))


def _open_file(path: Path) -> WeightFiles:
    for weight_format in WEIGHT_FORMATS:
        if path.suffix == Path(weight_format.single_file).suffix:
            index = path.parent / weight_format.index_file
            if _SHARD_NAME.fullmatch(path.name) and index.is_file():
                return _open_index(weight_format, index)
            return WeightFiles(weight_format, _shard_set(path))
    raise NotACheckpoint(path, ())


def _open_index(weight_format: WeightFormat, index: Path) -> WeightFiles:
    weight_map: Any = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DamagedFile(index, "no weight_map")
    shards = sorted({_plain_name(index, shard) for shard in weight_map.values()})
    for shard in shards:
        if not (index.parent / shard).is_file():
            raise MissingShard(index.parent, shard)
    weights = WeightFiles(weight_format, tuple(index.parent / shard for shard in shards))
    missing = next((name for name in weight_map if name not in weights.tensors), None)
    if missing is not None:
        weights.close()
        raise MissingTensor(index.parent / weight_map[missing], missing)
    return weights


def _plain_name(index: Path, shard: Any) -> str:
    # An index is data from elsewhere: it may not lead out of its folder.
    if not isinstance(shard, str) or shard in ("", ".", "..") or re.search(r"[/\\:\0]", shard):
        raise DamagedFile(index, f"the shard name {shard!r}")
    return shard


def _shard_set(path: Path) -> tuple[Path, ...]:
    match = _SHARD_NAME.fullmatch(path.name)
    if match is None:
        return (path,)
    n_shards = int(match["count"])
    names = [f"{match['stem']}-{i:05d}-of-{match['count']}{match['suffix']}" for i in range(1, n_shards + 1)]
    for name in names:
        if not path.with_name(name).is_file():
            raise MissingShard(path.parent, name)
    return tuple(path.with_name(name) for name in names)


def _first_names(folder: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in folder.iterdir())
    return (*names[:6], "…") if len(names) > 6 else tuple(names)
