"""The container of ggml's files of 2023: header, vocabulary and tensor directory of one file.

| field        | type                | present in                                                        |
|--------------|---------------------|-------------------------------------------------------------------|
| magic        | u32                 | all: "ggml", "ggmf" or "ggjt" as the hexadecimal number spells it |
| version      | u32                 | ggmf (1) and ggjt (1 to 3)                                        |
| n_vocab, n_embd, n_mult, n_head, n_layer | u32 each | all                                              |
| n_rot        | u32 n_embd / n_head | LLaMA; not in the BLOOM files of bloomz.cpp                       |
| file type    | u32                 | all                                                               |
| n_vocab times: length, text, score | u32, bytes, f32 | score: ggmf and ggjt                            |
| to the end of the file, tensors: n_dims, name length, type | u32 each | all                             |
| - dims       | u32 each            | all; fastest axis first                                           |
| - name       | bytes               | all                                                               |
| - padding    | zeros               | ggjt: up to a multiple of 32 from the start of the file           |
| - data       | rows                | all                                                               |

Knows no model: which names mean what is `convert.sources.ggml_legacy`'s. Reads the directory, never the data.
Source: llama.cpp's loaders of March to August 2023, NouamaneTazi/bloomz.cpp.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from convert.errors import (
    DamagedFile,
    Detail,
    InvalidFile,
    NoTensors,
    PrivateGgmlContainer,
    SourceError,
    TruncatedFile,
    UnknownGgmlModel,
    UnknownGgmlVersion,
    UnsupportedGgmlType,
)
from convert.sources.byte_source import ByteSource
from convert.sources.ggml_blocks import FLOAT_TYPES, REFUSED_TYPES, Era, block_layouts
from convert.sources.tensors import STORAGE_DTYPES

HEAD_BYTES = 8
"""How much of a file `is_legacy_ggml` looks at."""

_MAGICS = {0x67676D6C: "ggml", 0x67676D66: "ggmf", 0x67676A74: "ggjt"}
_VERSIONS = {"ggmf": (1,), "ggjt": (1, 2, 3)}
# The first ChatBELLE's belle-model.bin: a container that nobody described.
_PRIVATE_MAGIC = struct.pack("<II", 0x9D9A939A, 0xE67684DB)

_MAX_VOCAB = 1 << 19
_MAX_TOKEN_BYTES = 1 << 12
_MAX_VOCABULARY_BYTES = 32 << 20
_MAX_WIDTH = 1 << 17
_MAX_HEADS = 1 << 12
_MAX_LAYERS = 512
_MAX_FILE_TYPE = 18
_MAX_BLOOM_FILE_TYPE = 3
_MAX_TENSORS = 10_000
_MAX_NAME_BYTES = 256
_MAX_AXIS = (1 << 31) - 1
_ALIGNMENT = 32
_DIRECTORY_WINDOW_BYTES = 1 << 12
_VOCABULARY_WINDOW_BYTES = 1 << 18


@dataclass(frozen=True)
class GgmlForm:
    """Which of the containers a file is. version: 0 for "ggml", which has none."""

    magic: str
    version: int

    @property
    def label(self) -> str:
        """ "ggml", "ggmf v1", "ggjt v3"."""
        return f"{self.magic} v{self.version}" if self.version else self.magic

    @property
    def era(self) -> Era:
        """The layout of its quantized blocks."""
        if self.magic != "ggjt" or self.version == 1:
            return Era.OLD
        return Era.V2 if self.version == 2 else Era.V3

    @property
    def has_scores(self) -> bool:
        """Whether each token carries its SentencePiece score."""
        return self.magic != "ggml"

    @property
    def is_aligned(self) -> bool:
        """Whether tensors start at multiples of 32 bytes."""
        return self.magic == "ggjt"


@dataclass(frozen=True)
class GgmlHeader:
    """The hyper-parameters. n_rot: None in the short header of bloomz.cpp. file_type: llama.cpp's number."""

    n_vocab: int
    n_embd: int
    n_mult: int
    n_head: int
    n_layer: int
    n_rot: int | None
    file_type: int

    def is_consistent(self) -> bool:
        """Whether the numbers are possible, and fit each other as only the right reading's do."""
        bounds = (
            (self.n_vocab, _MAX_VOCAB),
            (self.n_embd, _MAX_WIDTH),
            (self.n_mult, _MAX_WIDTH),
            (self.n_head, _MAX_HEADS),
            (self.n_layer, _MAX_LAYERS),
        )
        if not all(1 <= value <= limit for value, limit in bounds) or self.n_embd % self.n_head:
            return False
        if self.n_rot is None:
            return self.file_type <= _MAX_BLOOM_FILE_TYPE
        return self.n_rot == self.n_embd // self.n_head and self.file_type <= _MAX_FILE_TYPE


@dataclass(frozen=True)
class GgmlEntry:
    """A tensor of the directory: row-major `shape`, ggml's `type` number, `offset` in the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class GgmlFile:
    """What one file says about itself. scores: None where the form has none."""

    source: ByteSource
    form: GgmlForm
    header: GgmlHeader
    tokens: list[bytes]
    scores: array[float] | None
    entries: Mapping[str, GgmlEntry]


def is_legacy_ggml(head: bytes) -> bool:
    """Whether a file with these first `HEAD_BYTES` bytes is `read_ggml_file`'s to read or to refuse."""
    if len(head) < 4:
        return False
    return struct.unpack_from("<I", head)[0] in _MAGICS or head[:8] == _PRIVATE_MAGIC


def read_ggml_file(source: ByteSource) -> GgmlFile:
    """Header, vocabulary and directory of the file.

    Where the form allows both, the long header (LLaMA) and the short one (bloomz.cpp) are tried: only the
    right one leads to a consistent vocabulary and directory. Raises `PrivateGgmlContainer`,
    `UnknownGgmlVersion`, `UnknownGgmlModel`, `UnsupportedGgmlType`, `TruncatedFile`, `DamagedFile`,
    `InvalidFile` or `NoTensors`.
    """
    form, start = _read_form(source)
    failure: SourceError = UnknownGgmlModel(source.path, form.label)
    for has_n_rot in (True, False) if form.magic == "ggml" else (True,):
        cursor = _Cursor(source, start)
        header = _read_header(cursor, has_n_rot=has_n_rot)
        if not header.is_consistent():
            continue
        try:
            tokens, scores = _read_tokens(cursor, form, header.n_vocab)
            entries = _read_directory(cursor, form)
        except (TruncatedFile, DamagedFile, InvalidFile) as error:
            failure = error
            continue
        return GgmlFile(source, form, header, tokens, scores, entries)
    raise failure


def _read_form(source: ByteSource) -> tuple[GgmlForm, int]:
    """The form, and where its header begins."""
    head = source.read_at(0, HEAD_BYTES)
    if head == _PRIVATE_MAGIC:
        raise PrivateGgmlContainer(source.path)
    number, version = struct.unpack("<II", head)
    magic = _MAGICS.get(number)
    if magic is None:
        raise UnknownGgmlModel(source.path, f"0x{number:08x}")
    if magic == "ggml":
        return GgmlForm(magic, 0), 4
    if version not in _VERSIONS[magic]:
        raise UnknownGgmlVersion(source.path, magic, version)
    return GgmlForm(magic, version), 8


class _Cursor:
    """A position in a source, read through a small window."""

    def __init__(self, source: ByteSource, position: int) -> None:
        self.source = source
        self.position = position
        self.window_bytes = _DIRECTORY_WINDOW_BYTES
        self._window = b""
        self._window_start = position

    @property
    def n_left(self) -> int:
        return self.source.size_bytes - self.position

    def take(self, size: int) -> bytes:
        """The next `size` bytes, a small bounded number; raises `TruncatedFile`."""
        start = self.position - self._window_start
        if not 0 <= start <= start + size <= len(self._window):
            if size > self.n_left:
                raise TruncatedFile(self.source.path, self.position + size, self.source.size_bytes)
            n_read = max(size, min(self.window_bytes, self.n_left))
            self._window = self.source.read_at(self.position, n_read)
            self._window_start = self.position
            start = 0
        self.position += size
        return self._window[start : start + size]

    def take_numbers(self, count: int) -> tuple[int, ...]:
        """The next `count` u32."""
        return struct.unpack(f"<{count}I", self.take(4 * count))


def _read_header(cursor: _Cursor, *, has_n_rot: bool) -> GgmlHeader:
    n_vocab, n_embd, n_mult, n_head, n_layer = cursor.take_numbers(5)
    n_rot = cursor.take_numbers(1)[0] if has_n_rot else None
    return GgmlHeader(n_vocab, n_embd, n_mult, n_head, n_layer, n_rot, cursor.take_numbers(1)[0])


def _read_tokens(cursor: _Cursor, form: GgmlForm, n_vocab: int) -> tuple[list[bytes], array[float] | None]:
    score_bytes = 4 if form.has_scores else 0
    least_bytes = n_vocab * (4 + score_bytes)
    if least_bytes > cursor.n_left:
        path, size_bytes = cursor.source.path, cursor.source.size_bytes
        raise TruncatedFile(path, cursor.position + least_bytes, size_bytes)
    cursor.window_bytes = _VOCABULARY_WINDOW_BYTES
    end = cursor.position + _MAX_VOCABULARY_BYTES
    tokens: list[bytes] = []
    scores = array("f")
    for token in range(n_vocab):
        length = int.from_bytes(cursor.take(4), "little")
        if length > _MAX_TOKEN_BYTES or cursor.position > end:
            raise DamagedFile(cursor.source.path, Detail("token_length", {"token": token, "n": length}))
        record = cursor.take(length + score_bytes)
        tokens.append(record[:length])
        if score_bytes:
            scores.append(struct.unpack_from("<f", record, length)[0])
    cursor.window_bytes = _DIRECTORY_WINDOW_BYTES
    return tokens, scores if score_bytes else None


def _read_directory(cursor: _Cursor, form: GgmlForm) -> dict[str, GgmlEntry]:
    path = cursor.source.path
    entries: dict[str, GgmlEntry] = {}
    while cursor.n_left:
        entry = _read_entry(cursor, form)
        if entry.name in entries or len(entries) == _MAX_TENSORS:
            raise InvalidFile(path, Detail("tensor_twice", {"name": entry.name}))
        if entry.size_bytes > cursor.source.size_bytes - entry.offset:
            expected_bytes = entry.offset + entry.size_bytes
            raise TruncatedFile(path, expected_bytes, cursor.source.size_bytes)
        entries[entry.name] = entry
        cursor.position = entry.offset + entry.size_bytes
    if not entries:
        raise NoTensors(path)
    return entries


def _read_entry(cursor: _Cursor, form: GgmlForm) -> GgmlEntry:
    place = cursor.position
    n_dims, name_bytes, type_ = cursor.take_numbers(3)
    if n_dims not in (1, 2) or not 1 <= name_bytes <= _MAX_NAME_BYTES:
        raise DamagedFile(cursor.source.path, Detail("tensor_header", {"place": place}))
    dims = cursor.take_numbers(n_dims)
    name = cursor.take(name_bytes)
    text = name.decode("latin-1")
    if not all(1 <= size <= _MAX_AXIS for size in dims) or not (text.isascii() and text.isprintable()):
        raise DamagedFile(cursor.source.path, Detail("tensor_header", {"place": place}))
    if form.is_aligned:
        cursor.take(-cursor.position % _ALIGNMENT)
    shape = tuple(reversed(dims))
    return GgmlEntry(text, shape, type_, cursor.position, _size_bytes(cursor, form, text, shape, type_))


def _size_bytes(cursor: _Cursor, form: GgmlForm, name: str, shape: tuple[int, ...], type_: int) -> int:
    path = cursor.source.path
    if type_ in FLOAT_TYPES:
        return prod(shape) * STORAGE_DTYPES[FLOAT_TYPES[type_]].itemsize
    if type_ in REFUSED_TYPES:
        raise UnsupportedGgmlType(path, name, REFUSED_TYPES[type_])
    layout = block_layouts(form.era).get(type_)
    if layout is None:
        detail = Detail("tensor_type", {"name": name, "type": type_, "form": form.label})
        raise DamagedFile(path, detail)
    n_blocks, rest = divmod(shape[-1], layout.block_weights)
    if rest or len(shape) != 2:
        detail = Detail("tensor_rows", {"name": name, "shape": str(shape), "type": layout.type_name})
        raise DamagedFile(path, detail)
    return shape[0] * n_blocks * layout.block_bytes
