"""The header of a GGUF file: built, and read back by code that shares nothing with the building.

The tensors' data is not this module's business: it is streamed behind the header by `convert.pipeline`.

GGUF version 3 (little-endian; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):

| field        | content                                                                              |
|--------------|--------------------------------------------------------------------------------------|
| magic        | "GGUF"                                                                               |
| version      | u32 = 3                                                                              |
| n_tensors    | u64                                                                                  |
| n_keys       | u64                                                                                  |
| keys         | string key, u32 type, value; a string is u64 length and UTF-8                         |
| tensor infos | string name, u32 n_dims, u64 dims (fastest first), u32 type, u64 offset from the data |
| padding      | zeros up to a multiple of 32; then the data, each tensor padded likewise              |
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from convert.arch.base import MetadataValue

ALIGNMENT = 32
QUANTIZATION_VERSION = 2

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as the header describes it: row-major shape, ggml type number, offset into the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


class HeaderError(ValueError):
    """The bytes are not the header of a GGUF file."""


def pad(size_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def build_header(
    architecture: str, metadata: Mapping[str, MetadataValue], tensors: Sequence[TensorInfo]
) -> bytes:
    """Everything before the data, padding included.

    metadata: all keys but `general.architecture`, in file order; int becomes u32 (i32 in arrays), float f32,
    empty strings and lists are left out. tensors: in file order.
    """
    keys = {"general.architecture": architecture, **metadata}
    values = {key: value for key, value in keys.items() if value not in ("", [], ())}
    # The gguf library's writer packs and checks an array item by item: half a second for BLOOM's vocabulary.
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(values))]
    for key, value in values.items():
        parts += (_packed_string(key), _packed_value(value))
    for info in tensors:
        n_dims = len(info.shape)
        parts.append(_packed_string(info.name))
        parts.append(struct.pack(f"<I{n_dims}QIQ", n_dims, *reversed(info.shape), info.type, info.offset))
    header = b"".join(parts)
    return header + bytes(pad(len(header)) - len(header))


def _packed_value(value: MetadataValue) -> bytes:
    """The value's type, then the value."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _packed_string(value)
    if isinstance(value, Sequence):
        return struct.pack("<I", _ARRAY) + _packed_array(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    return struct.pack("<If", _F32, value)


def _packed_array(values: Sequence[str] | Sequence[int] | Sequence[float]) -> bytes:
    """Type of the items, which is the first one's, their number, and the items."""
    if isinstance(values[0], str):
        texts = cast("Sequence[str]", values)
        return struct.pack("<IQ", _STRING, len(texts)) + b"".join(map(_packed_string, texts))
    kind, code = (_I32, "i") if isinstance(values[0], int) else (_F32, "f")
    return struct.pack(f"<IQ{len(values)}{code}", kind, len(values), *values)


def _packed_string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8, "little") + data


def parse_tensor_infos(header: bytes) -> tuple[TensorInfo, ...]:
    """The tensors that a whole header lists; raises `HeaderError` for anything else, trailing bytes too."""
    try:
        return _HeaderParser(header).parse()
    except (struct.error, OverflowError, UnicodeDecodeError, KeyError) as error:
        raise HeaderError(f"unreadable header: {error}") from error


class _HeaderParser:
    """A cursor over a header; every read beyond its end is a `struct.error`."""

    def __init__(self, header: bytes) -> None:
        self._header = header
        self._offset = 0

    def parse(self) -> tuple[TensorInfo, ...]:
        magic = self._take(4)
        version, n_tensors, n_keys = self._unpack("<IQQ")
        if magic != b"GGUF" or version != 3:
            raise HeaderError(f"magic {magic!r}, version {version}")
        for _ in range(n_keys):
            self._string()
            (kind,) = self._unpack("<I")
            self._skip_value(kind)
        tensors = tuple(self._tensor_info() for _ in range(n_tensors))
        if pad(self._offset) != len(self._header):
            raise HeaderError(f"{len(self._header)} bytes, of which {self._offset} are used")
        return tensors

    def _tensor_info(self) -> TensorInfo:
        name = self._string().decode()
        (n_dims,) = self._unpack("<I")
        if n_dims > 4:
            raise HeaderError(f"{name} has {n_dims} dimensions")
        dims = self._unpack(f"<{n_dims}Q")
        kind, offset = self._unpack("<IQ")
        return TensorInfo(name, tuple(reversed(dims)), kind, offset)

    def _skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            item_kind, n_items = self._unpack("<IQ")
            if item_kind == _STRING:
                self._skip_strings(n_items)
            else:
                self._take(n_items * _SCALAR_BYTES[item_kind])
        else:
            self._take(_SCALAR_BYTES[kind])

    def _skip_strings(self, n_items: int) -> None:
        """A vocabulary has a quarter of a million of them: no more than must be is done for each."""
        header, offset, length_at = self._header, self._offset, struct.Struct("<Q").unpack_from
        for _ in range(n_items):
            offset += 8 + length_at(header, offset)[0]
        if offset > len(header):
            raise struct.error(f"ends at {len(header)}")
        self._offset = offset

    def _string(self) -> bytes:
        (length,) = self._unpack("<Q")
        return self._take(length)

    def _take(self, size: int) -> bytes:
        taken = self._header[self._offset : self._offset + size]
        if len(taken) != size:
            raise struct.error(f"ends at {len(self._header)}")
        self._offset += size
        return taken

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))
