"""The opened weight files of one model, as one set of tensors.

Which files belong together is decided elsewhere (`convert.sources.hf_folder`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import Detail, InvalidFile, LfsPointer, UngatheredWeights, UnmergedAdapter
from convert.notes import Note
from convert.sources.byte_source import ByteSource
from convert.sources.folder import LFS_POINTER_START, SourceFolder
from convert.sources.module_names import is_of_adapter, plain_name
from convert.sources.tensors import StoredTensor

_Reader = Callable[[ByteSource], dict[str, StoredTensor]]
_NOWHERE: Mapping[str, str] = {}


@dataclass(frozen=True)
class WeightFormat:
    """One way to store weights: the name of a single file, and who reads it. Shards carry the same suffix."""

    name: str
    single_file: str
    reader: _Reader

    @property
    def index_file(self) -> str:
        return f"{self.single_file}.index.json"


class WeightFiles:
    """The opened weight files of one checkpoint; close it when its tensors are no longer read.

    notes: what was chosen where there was a choice. Tensors have their names in the files.
    """

    def __init__(
        self,
        weight_format: WeightFormat,
        folder: SourceFolder,
        names: tuple[str, ...],
        places: Mapping[str, str] = _NOWHERE,
    ) -> None:
        """places: the files of tensors, by which it is decided where one stands in two files."""
        self.format = weight_format
        self.size_bytes = 0
        self.notes: tuple[Note, ...] = ()
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
                    if name in self._tensors and name not in places:
                        raise InvalidFile(source.path, Detail("tensor_in_two_files", {"name": name}))
                    if name not in self._tensors or places[name] == file_name:
                        self._tensors[name] = tensor
            self._opened = opened.pop_all()
        self.paths = tuple(paths)

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """All tensors by their name in the checkpoint."""
        return self._tensors

    def unwrap(self) -> None:
        """Give the tensors the names that they have in the model; see `convert.sources.module_names`.

        Raises `UngatheredWeights`, `UnmergedAdapter`, `InvalidFile`.
        """
        plain: dict[str, StoredTensor] = {}
        for name, tensor in self._tensors.items():
            # Norms may be whole: ZeRO leaves small tensors where they are.
            if tensor.shape == (0,) and name.endswith(".weight"):
                raise UngatheredWeights(tensor.source.path, name)
            if is_of_adapter(name):
                raise UnmergedAdapter(tensor.source.path, name)
            if plain.setdefault(plain_name(name), tensor) is not tensor:
                raise InvalidFile(tensor.source.path, Detail("tensor_names", {"name": name}))
        self._tensors = plain

    def close(self) -> None:
        """Close the files; harmless when repeated."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_lfs_pointer(source: ByteSource) -> bool:
    n_start = len(LFS_POINTER_START)
    return source.size_bytes > n_start and source.read_at(0, n_start) == LFS_POINTER_START
