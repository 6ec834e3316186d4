"""The safetensors container.

| field        | type            |                                                               |
|--------------|-----------------|---------------------------------------------------------------|
| header size  | u64             | bytes of the header that follows                              |
| header       | JSON object     | `{name: {"dtype", "shape", "data_offsets": [begin, end]}, …}` |
| data         | the rest        | offsets count from here                                       |

Source: the format description of the safetensors project.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

from convert.errors import DamagedFile, Detail, InvalidFile, TruncatedFile, UnsupportedDtype
from convert.sources.byte_source import ByteSource
from convert.sources.json_object import parse_json_object
from convert.sources.tensors import MAX_NAME_LENGTH, STORAGE_DTYPES, StoredTensor, contiguous_strides

# A 7B file needs some 50 kB; JSON takes many times its length in memory.
MAX_HEADER_BYTES = 4 << 20
_MAX_TENSORS = 100_000
_MAX_AXES = 8
_MAX_AXIS = 1 << 40

_DTYPES = {
    "F64": "f64",
    "F32": "f32",
    "F16": "f16",
    "BF16": "bf16",
    "I64": "i64",
    "I32": "i32",
    "I16": "i16",
    "I8": "i8",
    "U64": "u64",
    "U32": "u32",
    "U16": "u16",
    "U8": "u8",
    "BOOL": "bool",
    "F8_E4M3": "f8_e4m3",
    "F8_E5M2": "f8_e5m2",
    "F8_E8M0": "f8_e8m0",
}


def read_safetensors(source: ByteSource) -> dict[str, StoredTensor]:
    """Tensors of a safetensors file by name, in file order; only the header is read.

    Raises `TruncatedFile`, `DamagedFile`, `InvalidFile`, `UnsupportedDtype`.
    """
    (header_bytes,) = struct.unpack("<Q", source.read_at(0, 8))
    if header_bytes > MAX_HEADER_BYTES:
        # What is no safetensors file begins with any number.
        kind = InvalidFile if 8 + header_bytes <= source.size_bytes else DamagedFile
        raise kind(source.path, Detail("header_bytes", {"n": header_bytes}))
    header = parse_json_object(source.path, source.read_at(8, header_bytes))
    header.pop("__metadata__", None)
    if len(header) > _MAX_TENSORS:
        raise InvalidFile(source.path, Detail("many_tensors", {"n": len(header)}))
    data_start = 8 + header_bytes
    tensors = {name: _tensor(source, data_start, name, entry) for name, entry in header.items()}
    _check_places(source, list(tensors.values()))
    return tensors


def _tensor(source: ByteSource, data_start: int, name: str, entry: Any) -> StoredTensor:
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidFile(source.path, Detail("long_name", {"n": len(name)}))
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidFile(source.path, Detail("header_entry", {"name": name})) from error
    if not isinstance(dtype, str):
        raise InvalidFile(source.path, Detail("header_entry", {"name": name}))
    if dtype not in _DTYPES:
        raise UnsupportedDtype(source.path, name, dtype[:40])
    # bool is an int in Python, and JSON numbers may be floats.
    if not isinstance(shape, list) or any(
        type(number) is not int or not 0 <= number <= _MAX_AXIS for number in numbers
    ):
        raise InvalidFile(source.path, Detail("header_numbers", {"name": name}))
    item_bytes = STORAGE_DTYPES[_DTYPES[dtype]].itemsize
    if len(shape) > _MAX_AXES:
        raise InvalidFile(source.path, Detail("many_axes", {"name": name, "n": len(shape)}))
    if end - begin != math.prod(shape) * item_bytes:
        values = {"name": name, "shape": str(shape), "n": end - begin}
        raise InvalidFile(source.path, Detail("tensor_bytes", values))
    # A scalar is kept as one row of one element.
    axes = tuple(shape) or (1,)
    return StoredTensor(name, axes, _DTYPES[dtype], source, data_start + begin, contiguous_strides(axes))


def _check_places(source: ByteSource, tensors: list[StoredTensor]) -> None:
    """Every byte is there, and belongs to one tensor: a header of copies would multiply the file."""
    end = max(map(_end, tensors), default=0)
    if end > source.size_bytes:
        raise TruncatedFile(source.path, end, source.size_bytes)
    filled = sorted((tensor for tensor in tensors if 0 not in tensor.shape), key=lambda tensor: tensor.offset)
    for tensor, following in pairwise(filled):
        if following.offset < _end(tensor):
            raise InvalidFile(source.path, Detail("tensor_overlap", {"name": following.name}))


def _end(tensor: StoredTensor) -> int:
    return tensor.offset + math.prod(tensor.shape) * STORAGE_DTYPES[tensor.dtype].itemsize
