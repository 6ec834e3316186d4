"""PyTorch checkpoints written byte by byte, right ones and wrong ones, without PyTorch, pickle or zipfile.

A pickle is built from the pieces below (protocol 2, as `torch.save` writes it) and put into a ZIP file whose
every field can be falsified.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STORAGE_NAMES = {
    "f64": "DoubleStorage",
    "f32": "FloatStorage",
    "f16": "HalfStorage",
    "bf16": "BFloat16Storage",
    "i64": "LongStorage",
    "i32": "IntStorage",
    "i16": "ShortStorage",
    "i8": "CharStorage",
    "u8": "ByteStorage",
    "bool": "BoolStorage",
}
EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE, MARK, NONE, STOP = b"}", b"]", b")", b"(", b"N", b"."
REDUCE, BUILD, SETITEM, SETITEMS, APPENDS, TUPLE, TUPLE2 = b"R", b"b", b"s", b"u", b"e", b"t", b"\x86"
PROTOCOL = b"\x80\x02"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def tuple_of(*items: bytes) -> bytes:
    return MARK + b"".join(items) + TUPLE


def numbers(values: Sequence[int]) -> bytes:
    return tuple_of(*map(number, values)) if values else EMPTY_TUPLE


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + REDUCE


def ordered_dict() -> bytes:
    return name("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE


def dictionary(items: Mapping[str, bytes], start: bytes = EMPTY_DICT) -> bytes:
    return start + MARK + b"".join(text(key) + value for key, value in items.items()) + SETITEMS


def storage(dtype: str, key: str, n_elements: int) -> bytes:
    parts = (text("storage"), name("torch", STORAGE_NAMES[dtype]), text(key), text("cpu"), number(n_elements))
    return tuple_of(*parts) + b"Q"


def tensor(stored: bytes, offset: int, shape: Sequence[int], strides: Sequence[int]) -> bytes:
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    no_gradient = b"\x89"
    return call(
        rebuild, stored, number(offset), numbers(shape), numbers(strides), no_gradient, ordered_dict()
    )


def parameter(wrapped: bytes) -> bytes:
    return call(name("torch._utils", "_rebuild_parameter"), wrapped, b"\x88", ordered_dict())


def pickled(value: bytes) -> bytes:
    return PROTOCOL + value + STOP


@dataclass(frozen=True)
class Member:
    """One ZIP member; the fields after `data` replace what its headers would truly say."""

    name: str
    data: bytes
    method: int = 0
    size: int | None = None
    stored_size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    crc: int | None = None


def zip_bytes(members: Sequence[Member], *, align: int = 64) -> bytes:
    """Local headers padded so that data is aligned, as torch does; directory and end record follow."""
    out = bytearray()
    directory = bytearray()
    for member in members:
        file_name = member.name.encode()
        data = _deflate(member.data) if member.method == 8 else member.data
        size = len(member.data) if member.size is None else member.size
        stored_size = len(data) if member.stored_size is None else member.stored_size
        offset = len(out) if member.offset is None else member.offset
        padding = bytes(-(len(out) + 30 + len(file_name)) % align)
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        sizes = (crc, stored_size, size, len(file_name))
        out += struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 0, 0, member.method, 0, 0, *sizes, len(padding))
        out += file_name + padding + data
        fixed = (b"PK\x01\x02", 0, 0, 0, member.method, 0, 0, *sizes, len(member.extra), 0, 0, 0, 0, offset)
        directory += struct.pack("<4sHHHHHHIIIHHHHHII", *fixed) + file_name + member.extra
    end = (b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(out), 0)
    return bytes(out + directory) + struct.pack("<4sHHHHIIH", *end)


def checkpoint_members(value: bytes, storages: Mapping[str, bytes], prefix: str = "archive/") -> list[Member]:
    """The members of a checkpoint whose pickle is `value` (without protocol and stop)."""
    members = [Member(f"{prefix}data.pkl", pickled(value))]
    members += [Member(f"{prefix}data/{key}", data) for key, data in storages.items()]
    return [*members, Member(f"{prefix}version", b"3\n")]


def checkpoint(value: bytes, storages: Mapping[str, bytes] | None = None) -> bytes:
    return zip_bytes(checkpoint_members(value, storages or {}))


def write_torch_zip(path: Path, arrays: Mapping[str, NDArray[np.generic]], *, bf16: bool = False) -> None:
    """A plain state dict; with `bf16` float32 arrays, which must be exact in it, are stored as bfloat16."""
    tensors: dict[str, bytes] = {}
    storages: dict[str, bytes] = {}
    for key, (tensor_name, array) in enumerate(arrays.items()):
        dtype = f"{array.dtype.kind}{8 * array.itemsize}"
        data = array.tobytes()
        if bf16:
            dtype, data = "bf16", (array.view(np.uint32) >> 16).astype("<u2").tobytes()
        strides = [stride // array.itemsize for stride in np.ascontiguousarray(array).strides]
        tensors[tensor_name] = tensor(storage(dtype, str(key), array.size), 0, array.shape, strides)
        storages[str(key)] = data
    path.write_bytes(checkpoint(dictionary(tensors, ordered_dict()), storages))


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
