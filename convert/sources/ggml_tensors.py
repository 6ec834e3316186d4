"""Tensors of ggml's files of 2023: quantized rows over a byte source, and matrices split over several files.

Meta's own files are split the same way. Knows blocks and directories, no models but for which matrices
LLaMA's parts cut into columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import DamagedFile, Detail, InvalidFile, MissingTensor, UnknownGgmlBlocks
from convert.sources.byte_source import ByteSource
from convert.sources.ggml_blocks import (
    FLOAT_TYPES,
    Block32,
    BlockLayout,
    Bytes,
    Era,
    ScaleTooLarge,
    block_layouts,
    gather_blocks,
    is_plausible,
)
from convert.sources.ggml_file import GgmlEntry, GgmlFile
from convert.sources.tensors import (
    PackedTensor,
    StoredRead,
    StoredTensor,
    Tensor,
    contiguous_strides,
    stored_reads,
)

# Of each type, this much is looked at to tell the layout of its blocks.
_N_SAMPLED_TENSORS = 4
_N_SAMPLED_ROWS = 16
_SPLIT_COLUMNS = re.compile(r"tok_embeddings\.weight|layers\.\d+\.(attention\.wo|feed_forward\.w2)\.weight")


@dataclass(frozen=True)
class BlockTensor:
    """A quantized matrix, a `PackedTensor`: `offset` in bytes; rows are whole blocks of `layout`.

    has_grouped_rows: each row holds its scales before its nibbles, as in early March 2023 (`Block32` only).
    """

    name: str
    shape: tuple[int, int]
    source: ByteSource
    offset: int
    layout: BlockLayout
    has_grouped_rows: bool = False

    @property
    def dtype(self) -> str:
        """What `read_rows` computes; nothing is stored as such."""
        return "f32"

    @property
    def packed_type(self) -> str:
        return self.layout.type_name

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        return self.shape[1] // self.layout.block_weights * self.layout.block_bytes

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """The weights as the program of that time computed them from these bytes, damaged scales included."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.layout.dequantize(self._blocks(start, stop)).reshape(stop - start, self.shape[1])

    def read_packed_rows(self, start: int, stop: int) -> bytes:
        """Repacked blocks; raises `DamagedFile` for a scale that no model has."""
        try:
            return self.layout.repack(self._blocks(start, stop)).tobytes()
        except ScaleTooLarge as error:
            detail = Detail("scale", {"name": self.name, "start": start, "stop": stop})
            raise DamagedFile(self.source.path, detail) from error

    def read_stored(self, start: int, stop: int) -> Bytes:
        """The file's own bytes, `(stop - start, row_bytes)`."""
        size = (stop - start) * self.row_bytes
        data = self.source.read_at(self.offset + start * self.row_bytes, size)
        return np.frombuffer(data, np.uint8).reshape(stop - start, self.row_bytes)

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """See `convert.sources.tensors.stored_reads`."""
        size = (stop - start) * self.row_bytes
        yield StoredRead(self.source, self.offset + start * self.row_bytes, size)

    def _blocks(self, start: int, stop: int) -> Bytes:
        rows = self.read_stored(start, stop)
        if self.has_grouped_rows and isinstance(self.layout, Block32):
            return gather_blocks(rows, self.layout)
        return rows.reshape(-1, self.layout.block_bytes)


class _Part(Protocol):
    """Some of a tensor's rows or columns."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class JoinedTensor:
    """A matrix of which each file holds some columns (`axis` 1) or some rows (`axis` 0), in order."""

    parts: Sequence[Tensor]
    axis: int

    @property
    def name(self) -> str:
        return self.parts[0].name

    @property
    def dtype(self) -> str:
        return self.parts[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        n_joined = sum(part.shape[self.axis] for part in self.parts)
        n_kept = self.parts[0].shape[1 - self.axis]
        return (n_joined, n_kept) if self.axis == 0 else (n_kept, n_joined)

    def read_rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows put together from all parts that hold some of them."""
        if self.axis == 1:
            return np.concatenate([part.read_rows(start, stop) for part in self.parts], axis=1)
        pieces = [self.parts[index].read_rows(*rows) for index, *rows in _row_pieces(self.parts, start, stop)]
        return np.concatenate(pieces) if pieces else np.zeros((0, *self.shape[1:]), np.float32)

    def stored_reads(self, start: int, stop: int) -> Iterator[StoredRead]:
        """See `convert.sources.tensors.stored_reads`."""
        if self.axis == 1:
            for part in self.parts:
                yield from stored_reads(part, start, stop)
        else:
            for index, *rows in _row_pieces(self.parts, start, stop):
                yield from stored_reads(self.parts[index], *rows)


@dataclass(frozen=True)
class JoinedPackedTensor(JoinedTensor):
    """As `JoinedTensor`, of `PackedTensor`s of one type."""

    parts: Sequence[PackedTensor]

    @property
    def packed_type(self) -> str:
        return self.parts[0].packed_type

    def read_packed_rows(self, start: int, stop: int) -> bytes:
        """Blocks put together from all parts; a part's columns are whole blocks."""
        if self.axis == 0 or start == stop:
            pieces = _row_pieces(self.parts, start, stop)
            return b"".join(self.parts[index].read_packed_rows(*rows) for index, *rows in pieces)
        columns = [
            np.frombuffer(part.read_packed_rows(start, stop), np.uint8).reshape(stop - start, -1)
            for part in self.parts
        ]
        return np.concatenate(columns, axis=1).tobytes()


def _row_pieces(parts: Sequence[_Part], start: int, stop: int) -> list[tuple[int, int, int]]:
    """Which rows of which part make rows `start` to `stop`: (part, its start, its stop)."""
    pieces: list[tuple[int, int, int]] = []
    first = 0
    for index, part in enumerate(parts):
        n_rows = part.shape[0]
        low, high = max(start - first, 0), min(stop - first, n_rows)
        if low < high:
            pieces.append((index, low, high))
        first += n_rows
    return pieces


def file_tensors(file: GgmlFile) -> dict[str, Tensor]:
    """The tensors of one file by their names in it; raises `UnknownGgmlBlocks`."""
    layouts = block_layouts(file.form.era)
    grouped = _grouped_types(file, layouts)
    tensors: dict[str, Tensor] = {}
    for entry in file.entries.values():
        if entry.type in FLOAT_TYPES:
            dtype, strides = FLOAT_TYPES[entry.type], contiguous_strides(entry.shape)
            tensors[entry.name] = StoredTensor(
                entry.name, entry.shape, dtype, file.source, entry.offset, strides
            )
        else:
            has_grouped_rows = entry.type in grouped
            tensors[entry.name] = _block_tensor(file, entry, layouts[entry.type], has_grouped_rows)
    return tensors


def join_parts(paths: Sequence[Path], parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The whole model's tensors out of those of each file, whose `paths` are for errors.

    Raises `MissingTensor` or `InvalidFile`.
    """
    if len(parts) == 1:
        return dict(parts[0])
    for path, part in zip(paths[1:], parts[1:], strict=True):
        for name, tensor in parts[0].items():
            if name not in part:
                raise MissingTensor(path, name)
            if _kind(part[name]) != _kind(tensor):
                raise InvalidFile(path, Detail("other_tensor", {"name": name}))
    return {name: _join(name, [part[name] for part in parts]) for name in parts[0]}


def _join(name: str, pieces: Sequence[Tensor]) -> Tensor:
    if len(pieces[0].shape) == 1:
        return pieces[0]
    axis = 1 if _SPLIT_COLUMNS.fullmatch(name) else 0
    packed = [piece for piece in pieces if isinstance(piece, BlockTensor)]
    return JoinedPackedTensor(packed, axis) if packed else JoinedTensor(pieces, axis)


def _kind(tensor: Tensor) -> tuple[tuple[int, ...], str]:
    return tensor.shape, tensor.packed_type if isinstance(tensor, BlockTensor) else tensor.dtype


def _block_tensor(
    file: GgmlFile, entry: GgmlEntry, layout: BlockLayout, has_grouped_rows: bool
) -> BlockTensor:
    n_rows, width = entry.shape
    return BlockTensor(entry.name, (n_rows, width), file.source, entry.offset, layout, has_grouped_rows)


def _grouped_types(file: GgmlFile, layouts: Mapping[int, BlockLayout]) -> set[int]:
    """The types whose rows hold all scales before all nibbles, by what the scales then look like."""
    grouped: set[int] = set()
    if file.form.era is not Era.OLD:
        return grouped
    for number, layout in layouts.items():
        entries = [entry for entry in file.entries.values() if entry.type == number]
        # The five-bit types and q8_0 came after the rows had changed.
        if (
            entries
            and isinstance(layout, Block32)
            and layout.bits == 4
            and _is_grouped(file, entries, layout)
        ):
            grouped.add(number)
    return grouped


def _is_grouped(file: GgmlFile, entries: Sequence[GgmlEntry], layout: Block32) -> bool:
    samples: list[Bytes] = []
    gathered: list[Bytes] = []
    for entry in entries[:_N_SAMPLED_TENSORS]:
        # From the middle: an embedding's first rows are of tokens that no text has.
        start = entry.shape[0] // 2
        stop = min(start + _N_SAMPLED_ROWS, entry.shape[0])
        rows = _block_tensor(file, entry, layout, False).read_stored(start, stop)
        samples.append(rows.reshape(-1, layout.block_bytes))
        gathered.append(gather_blocks(rows, layout))
    if is_plausible(np.concatenate(samples), layout):
        return False
    if is_plausible(np.concatenate(gathered), layout):
        return True
    raise UnknownGgmlBlocks(file.source.path, entries[0].name, layout.type_name)
