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

from convert.errors import DamagedFile, TruncatedFile
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

    Raises `TruncatedFile`, `DamagedFile`.
    """
    (header_bytes,) = struct.unpack("<Q", source.read_at(0, 8))
    if header_bytes > MAX_HEADER_BYTES:
        raise DamagedFile(source.path, f"header size {header_bytes}")
    header = parse_json_object(source.path, source.read_at(8, header_bytes))
    header.pop("__metadata__", None)
    if len(header) > _MAX_TENSORS:
        raise DamagedFile(source.path, f"{len(header)} tensors")
    data_start = 8 + header_bytes
    tensors = {name: _tensor(source, data_start, name, entry) for name, entry in header.items()}
    _check_overlaps(source, list(tensors.values()))
    return tensors


def _tensor(source: ByteSource, data_start: int, name: str, entry: Any) -> StoredTensor:
    if len(name) > MAX_NAME_LENGTH:
        raise DamagedFile(source.path, f"a tensor name of {len(name)} characters")
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
    except (TypeError, KeyError, ValueError) as error:
        raise DamagedFile(source.path, f"header entry of tensor {name!r}") from error
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise DamagedFile(source.path, f"tensor {name!r} has the unknown type {str(dtype)[:40]!r}")
    # bool is an int in Python, and JSON numbers may be floats.
    if not isinstance(shape, list) or any(
        type(number) is not int or not 0 <= number <= _MAX_AXIS for number in numbers
    ):
        raise DamagedFile(source.path, f"header numbers of tensor {name!r}")
    item_bytes = STORAGE_DTYPES[_DTYPES[dtype]].itemsize
    if len(shape) > _MAX_AXES:
        raise DamagedFile(source.path, f"tensor {name!r} of {len(shape)} axes")
    if end - begin != math.prod(shape) * item_bytes:
        raise DamagedFile(source.path, f"tensor {name!r} of shape {shape} in {end - begin} bytes")
    if data_start + end > source.size_bytes:
        raise TruncatedFile(source.path, data_start + end, source.size_bytes)
    # A scalar is kept as one row of one element.
    axes = tuple(shape) or (1,)
    return StoredTensor(name, axes, _DTYPES[dtype], source, data_start + begin, contiguous_strides(axes))


def _check_overlaps(source: ByteSource, tensors: list[StoredTensor]) -> None:
    """The format has each byte belong to one tensor; a header of copies would multiply the file."""
    filled = sorted((tensor for tensor in tensors if 0 not in tensor.shape), key=lambda tensor: tensor.offset)
    for tensor, following in pairwise(filled):
        size_bytes = math.prod(tensor.shape) * STORAGE_DTYPES[tensor.dtype].itemsize
        if following.offset < tensor.offset + size_bytes:
            raise DamagedFile(source.path, f"tensor {following.name!r} overlaps another")
