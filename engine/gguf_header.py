"""Reads the front of a GGUF file, trusting none of it: metadata, tensor table, vocabulary fingerprint.

Only what precedes the tensor data is read, and long arrays (a token list) are walked and hashed but never
kept, so that a few hundred kilobytes of memory and well under a second are enough for any file, hostile
ones included. What the metadata means for a model is not known here (`engine.model_shape`).

Layout, little-endian (github.com/ggml-org/ggml/blob/master/docs/gguf.md):

| field        | type                                                      |
|--------------|-----------------------------------------------------------|
| magic        | 4 bytes `GGUF`                                            |
| version      | u32, 2 or 3                                               |
| n_tensors    | u64                                                       |
| n_metadata   | u64                                                       |
| metadata     | n x (key string, u32 type, value)                         |
| tensor table | n x (name string, u32 n_dims, u64 dims, u32 type, u64 at) |
| padding      | to `general.alignment`                                    |
| tensor data  | each tensor at its `at`, counted from here                |

A string is u64 length and bytes; an array is u32 element type, u64 length and elements.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.errors import (
    BigEndianGguf,
    DamagedHeader,
    ModelFileEmpty,
    ModelFileMissing,
    TruncatedModel,
    UnsupportedGgufVersion,
)
from engine.foreign_files import PROBE_BYTES, foreign_file

Value = int | float | bool | str | tuple[int | float | bool, ...]

_VERSIONS = (2, 3)
_MAX_METADATA = 16_384
_MAX_TENSORS = 65_536
_MAX_KEY_BYTES = 4_096
_MAX_STRING_BYTES = 4 << 20
_MAX_LISTED_STRING_BYTES = 64 << 10
_MAX_LISTED_STRINGS = 3_000_000
_MAX_ARRAY_BYTES = 256 << 20
_MAX_KEPT_ELEMENTS = 4_096
_MAX_NAME_BYTES = 63  # GGML_MAX_NAME less the terminating zero
_MAX_DIMENSIONS = 4
_MAX_ELEMENTS = 1 << 48
_MAX_ALIGNMENT = 1 << 20
_CHUNK_BYTES = 256 << 10

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]

# ggml type: (elements, bytes) of a block; ggml.h and ggml-common.h.
TENSOR_BLOCKS: Mapping[int, tuple[int, int]] = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110)},
    **{22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8)},
    **{29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36)},
    **{41: (128, 18), 42: (64, 18)},
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table; `shape` has the fastest dimension first, `offset` counts from the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The checked front of a GGUF file.

    `metadata` has scalars, strings and short arrays of numbers; `array_lengths` has the length of every
    array. `vocabulary` is a fingerprint of the token list (hexadecimal), "" where there is none.
    """

    path: Path
    version: int
    size_bytes: int
    metadata: Mapping[str, Value]
    array_lengths: Mapping[str, int]
    tensors: tuple[TensorInfo, ...]
    vocabulary: str

    @property
    def architecture(self) -> str:
        """`general.architecture`, "" where it is missing."""
        return self.text("general.architecture") or ""

    @property
    def tensor_bytes(self) -> int:
        """Size of all tensors."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    def text(self, key: str) -> str | None:
        """The string at `key`, None where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the front of the GGUF file at `path`.

    Raises ModelFileMissing, ModelFileEmpty, what `foreign_file` makes of other files, BigEndianGguf,
    UnsupportedGgufVersion, DamagedHeader, and TruncatedModel when the file ends before its header or its last
    tensor does.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _HeaderReader(path, _Cursor(path, file)).read()
    except OSError as error:
        raise ModelFileMissing(path, error.strerror or str(error)) from error


class _Cursor:
    """Reads forward through a file in chunks; every read is bounded and may find the file truncated."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.size_bytes = file.seek(0, 2)
        file.seek(0)
        self._file = file
        self._buffer = b""
        self._start = 0  # position in the file of the buffer's first byte
        self._at = 0  # position in the buffer

    @property
    def position(self) -> int:
        return self._start + self._at

    def take(self, n_bytes: int) -> bytes:
        self._need(n_bytes)
        taken = self._buffer[self._at : self._at + n_bytes]
        self._at += n_bytes
        return taken

    def peek(self, n_bytes: int) -> bytes:
        """The next `n_bytes`, or as many as there are."""
        n_bytes = min(n_bytes, self.size_bytes - self.position)
        self._need(n_bytes)
        return self._buffer[self._at : self._at + n_bytes]

    def number(self, layout: struct.Struct) -> int | float | bool:
        self._need(layout.size)
        (value,) = layout.unpack_from(self._buffer, self._at)
        self._at += layout.size
        number: int | float | bool = value
        return number

    def integer(self, layout: struct.Struct) -> int:
        return int(self.number(layout))

    def string(self, max_bytes: int, what: str) -> bytes:
        n_bytes = self.integer(_U64)
        if n_bytes > max_bytes:
            raise DamagedHeader(self.path, f"{what}: length {n_bytes}")
        return self.take(n_bytes)

    def skip(self, n_bytes: int) -> None:
        target = self.position + n_bytes
        self._check_end(target)
        self._file.seek(target)
        self._buffer, self._start, self._at = b"", target, 0

    def walk_strings(self, n_strings: int, what: str) -> bytes:
        """Step over `n_strings` strings and return the SHA-256 of their bytes as stored."""
        digest = hashlib.sha256()
        while n_strings:
            begin, end = self._at, len(self._buffer)
            at = begin
            while n_strings and at + 8 <= end:
                (n_bytes,) = _U64.unpack_from(self._buffer, at)
                if n_bytes > _MAX_LISTED_STRING_BYTES:
                    raise DamagedHeader(self.path, f"{what}: a string of length {n_bytes}")
                if at + 8 + n_bytes > end:
                    break
                at += 8 + n_bytes
                n_strings -= 1
            digest.update(self._buffer[begin:at])
            self._at = at
            if n_strings:
                self._need(end - at + 1)
        return digest.digest()

    def _need(self, n_bytes: int) -> None:
        rest = len(self._buffer) - self._at
        if rest >= n_bytes:
            return
        self._check_end(self.position + n_bytes)
        self._start += self._at
        missing = max(n_bytes - rest, _CHUNK_BYTES)
        pieces = [self._buffer[self._at :]]
        while missing > 0 and (piece := self._file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        self._buffer, self._at = b"".join(pieces), 0
        if len(self._buffer) < n_bytes:
            raise TruncatedModel(self.path, self._start + n_bytes, self._start + len(self._buffer))

    def _check_end(self, position: int) -> None:
        if position > self.size_bytes:
            raise TruncatedModel(self.path, position, self.size_bytes)


class _HeaderReader:
    """Reads one header; keeps what was read so far."""

    def __init__(self, path: Path, cursor: _Cursor) -> None:
        self._path = path
        self._cursor = cursor
        self._metadata: dict[str, Value] = {}
        self._array_lengths: dict[str, int] = {}
        self._n_listed_strings = 0
        self._token_digest = b""

    def read(self) -> GgufHeader:
        version = self._read_version()
        n_tensors = self._count(_MAX_TENSORS, "number of tensors")
        n_metadata = self._count(_MAX_METADATA, "number of metadata entries")
        for _ in range(n_metadata):
            self._read_entry()
        alignment = self._alignment()
        tensors = tuple(self._read_tensor(alignment) for _ in range(n_tensors))
        if len({tensor.name for tensor in tensors}) < len(tensors):
            raise DamagedHeader(self._path, "two tensors of one name")
        self._check_data(tensors, alignment)
        return GgufHeader(
            path=self._path,
            version=version,
            size_bytes=self._cursor.size_bytes,
            metadata=self._metadata,
            array_lengths=self._array_lengths,
            tensors=tensors,
            vocabulary=self._fingerprint(),
        )

    def _read_version(self) -> int:
        if not self._cursor.size_bytes:
            raise ModelFileEmpty(self._path)
        start = self._cursor.peek(PROBE_BYTES)
        if not start.startswith(b"GGUF"):
            raise foreign_file(self._path, start)
        self._cursor.take(4)
        version = self._cursor.integer(_U32)
        if int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS:
            raise BigEndianGguf(self._path)
        if version not in _VERSIONS:
            raise UnsupportedGgufVersion(self._path, version)
        return version

    def _count(self, maximum: int, what: str) -> int:
        count = self._cursor.integer(_U64)
        if count > maximum:
            raise DamagedHeader(self._path, f"{what}: {count}")
        return count

    def _text(self, data: bytes, what: str) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedHeader(self._path, f"{what}: not UTF-8") from None

    def _read_entry(self) -> None:
        key = self._text(self._cursor.string(_MAX_KEY_BYTES, "metadata key"), "metadata key")
        if not key or key in self._metadata or key in self._array_lengths:
            raise DamagedHeader(self._path, f"metadata key {key!r} is empty or there twice")
        value_type = self._cursor.integer(_U32)
        if value_type == _ARRAY:
            self._read_array(key)
        elif value_type == _STRING:
            self._metadata[key] = self._cursor.string(_MAX_STRING_BYTES, key).decode("utf-8", "replace")
        else:
            self._metadata[key] = self._cursor.number(self._scalar(value_type, key))

    def _scalar(self, value_type: int, key: str) -> struct.Struct:
        layout = _SCALARS.get(value_type)
        if layout is None:
            raise DamagedHeader(self._path, f"{key}: value type {value_type}")
        return layout

    def _read_array(self, key: str) -> None:
        element_type = self._cursor.integer(_U32)
        length = self._cursor.integer(_U64)
        self._array_lengths[key] = length
        if element_type == _STRING:
            self._walk_strings(key, length)
            return
        layout = self._scalar(element_type, key)
        if length * layout.size > _MAX_ARRAY_BYTES:
            raise DamagedHeader(self._path, f"{key}: array of length {length}")
        if length <= _MAX_KEPT_ELEMENTS:
            self._metadata[key] = tuple(self._cursor.number(layout) for _ in range(length))
        else:
            self._cursor.skip(length * layout.size)

    def _walk_strings(self, key: str, length: int) -> None:
        self._n_listed_strings += length
        if self._n_listed_strings > _MAX_LISTED_STRINGS:
            raise DamagedHeader(self._path, f"{key}: array of length {length}")
        digest = self._cursor.walk_strings(length, key)
        if key == "tokenizer.ggml.tokens":
            self._token_digest = digest

    def _alignment(self) -> int:
        alignment = self._metadata.get("general.alignment", 32)
        if (
            not isinstance(alignment, int)
            or not 1 <= alignment <= _MAX_ALIGNMENT
            or alignment & (alignment - 1)
        ):
            raise DamagedHeader(self._path, f"general.alignment: {alignment}")
        return alignment

    def _read_tensor(self, alignment: int) -> TensorInfo:
        name = self._text(self._cursor.string(_MAX_NAME_BYTES, "tensor name"), "tensor name")
        n_dims = self._cursor.integer(_U32)
        if not 1 <= n_dims <= _MAX_DIMENSIONS:
            raise DamagedHeader(self._path, f"{name}: {n_dims} dimensions")
        shape = tuple(self._cursor.integer(_U64) for _ in range(n_dims))
        tensor_type, offset = self._cursor.integer(_U32), self._cursor.integer(_U64)
        size_bytes = self._tensor_bytes(name, shape, tensor_type)
        if offset % alignment or offset > 1 << 62:
            raise DamagedHeader(self._path, f"{name}: offset {offset}")
        return TensorInfo(name, shape, tensor_type, offset, size_bytes)

    def _tensor_bytes(self, name: str, shape: tuple[int, ...], tensor_type: int) -> int:
        if tensor_type not in TENSOR_BLOCKS:
            raise DamagedHeader(self._path, f"{name}: tensor type {tensor_type}")
        n_block, block_bytes = TENSOR_BLOCKS[tensor_type]
        n_elements = math.prod(shape)
        if min(shape) < 1 or n_elements > _MAX_ELEMENTS or shape[0] % n_block:
            raise DamagedHeader(self._path, f"{name}: shape {list(shape)} of type {tensor_type}")
        return n_elements // n_block * block_bytes

    def _check_data(self, tensors: tuple[TensorInfo, ...], alignment: int) -> None:
        """The data must reach to the end of the tensor that lies last."""
        data_start = -(-self._cursor.position // alignment) * alignment
        end = max((data_start + tensor.offset + tensor.size_bytes for tensor in tensors), default=0)
        if end > self._cursor.size_bytes:
            raise TruncatedModel(self._path, end, self._cursor.size_bytes)

    def _fingerprint(self) -> str:
        """Hash of the token list and the names of its tokenizer."""
        if not self._token_digest:
            return ""
        names = [str(self._metadata.get(f"tokenizer.ggml.{name}", "")) for name in ("model", "pre")]
        return hashlib.sha256("\0".join(names).encode() + b"\0" + self._token_digest).hexdigest()[:32]
