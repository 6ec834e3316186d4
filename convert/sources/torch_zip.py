"""PyTorch checkpoints (`torch.save` since version 1.6): a ZIP of uncompressed members.

| member            |                                                             |
|-------------------|-------------------------------------------------------------|
| `<p>/data.pkl`    | pickle: names, shapes, strides, storage keys                |
| `<p>/data/<key>`  | one raw storage, little-endian                              |
| `<p>/byteorder`   | `little` or `big` (newer versions)                          |

Source: PyTorch's serialization notes; the ZIP directory is read with the standard library.
"""

from __future__ import annotations

import math
import struct
import zipfile
from itertools import pairwise
from typing import Any

from convert.errors import DamagedFile, NoTensors, NotTorchZip, TruncatedFile
from convert.sources.byte_source import ByteSource, SourceStream
from convert.sources.pickle_values import MAX_PICKLE_BYTES, TensorRecord, read_pickle
from convert.sources.tensors import MAX_NAME_LENGTH, STORAGE_DTYPES, StoredTensor, contiguous_strides

# 46 bytes and a name an entry: enough for 30,000 members, little enough to be parsed in a moment.
_MAX_DIRECTORY_BYTES = 2 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_WRAPPER_KEYS = ("state_dict", "model", "module")


def read_torch_zip(source: ByteSource) -> dict[str, StoredTensor]:
    """Tensors of a torch checkpoint by name; reads the directory, the pickle and the member headers only.

    Raises `NotTorchZip`, `NoTensors`, `TruncatedFile`, `DamagedFile`, `ForbiddenPickle`.
    """
    members = _members(source)
    pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise NoTensors(source.path)
    prefix = pickles[0].removesuffix("data.pkl")
    byte_order = members.get(f"{prefix}byteorder")
    if byte_order is not None and _read_member(source, byte_order, 16).strip() != b"little":
        raise DamagedFile(source.path, "big-endian storages")
    value = read_pickle(source.path, _read_member(source, members[pickles[0]], MAX_PICKLE_BYTES))
    offsets: dict[str, int] = {}
    used = [members[pickles[0]]]
    tensors: dict[str, StoredTensor] = {}
    for name, record in _state_dict(source, value).items():
        member = members.get(f"{prefix}data/{record.storage.key}")
        if member is None:
            raise DamagedFile(source.path, f"tensor {name!r} has no storage")
        if member.filename not in offsets:
            offsets[member.filename] = _data_offset(source, member)
            used.append(member)
        tensors[name] = _tensor(source, name, record, member, offsets[member.filename])
    _check_overlaps(source, used)
    return tensors


def _members(source: ByteSource) -> dict[str, zipfile.ZipInfo]:
    if source.read_at(0, min(2, source.size_bytes)) != b"PK":
        raise NotTorchZip(source.path)
    stream = SourceStream(source, _MAX_DIRECTORY_BYTES)
    try:
        # The directory stands at the end: a download cut short has none.
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DamagedFile(source.path, f"its ZIP directory is missing or broken ({error})") from error
    except (OSError, ValueError, NotImplementedError, struct.error) as error:
        raise DamagedFile(source.path, f"its ZIP directory is broken ({error})") from error
    members = {info.filename: info for info in infos}
    if len(members) != len(infos):
        raise DamagedFile(source.path, "two ZIP members share a name")
    return members


def _data_offset(source: ByteSource, member: zipfile.ZipInfo) -> int:
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise DamagedFile(source.path, f"ZIP member {member.filename!r} is compressed")
    if member.header_offset < 0:
        raise DamagedFile(source.path, f"the place of ZIP member {member.filename!r}")
    header = source.read_at(member.header_offset, _LOCAL_HEADER.size)
    signature, n_name, n_extra = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise DamagedFile(source.path, f"ZIP member {member.filename!r} has no header")
    offset: int = member.header_offset + _LOCAL_HEADER.size + n_name + n_extra
    if offset + member.file_size > source.size_bytes:
        raise TruncatedFile(source.path, offset + member.file_size, source.size_bytes)
    return offset


def _check_overlaps(source: ByteSource, members: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes would multiply the file; headers are passed over, their length varies."""
    in_order = sorted(members, key=lambda member: member.header_offset)
    for member, following in pairwise(in_order):
        if member.header_offset + _LOCAL_HEADER.size + member.file_size > following.header_offset:
            raise DamagedFile(source.path, f"ZIP member {following.filename!r} overlaps another")


def _read_member(source: ByteSource, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if member.file_size > max_bytes:
        raise DamagedFile(source.path, f"ZIP member {member.filename!r} of {member.file_size} bytes")
    return source.read_at(_data_offset(source, member), member.file_size)


def _state_dict(source: ByteSource, value: Any) -> dict[str, TensorRecord]:
    """The tensors of a state dict, also where a trainer wrapped it; other entries are left out."""
    if isinstance(value, dict):
        for key in _WRAPPER_KEYS:
            if isinstance(value.get(key), dict):
                value = value[key]
                break
        found = {
            name: item
            for name, item in value.items()
            if isinstance(name, str) and isinstance(item, TensorRecord)
        }
        longest = max(map(len, found), default=0)
        if longest > MAX_NAME_LENGTH:
            raise DamagedFile(source.path, f"a tensor name of {longest} characters")
        if found:
            return found
    raise NoTensors(source.path)


def _tensor(
    source: ByteSource, name: str, record: TensorRecord, member: zipfile.ZipInfo, data_offset: int
) -> StoredTensor:
    storage = record.storage
    item_bytes = STORAGE_DTYPES[storage.dtype].itemsize
    if storage.n_elements * item_bytes > member.file_size:
        raise DamagedFile(source.path, f"the storage of tensor {name!r} is too short")
    shape, strides = record.shape or (1,), record.strides or (1,)
    n_elements = math.prod(shape)
    last = record.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True) if n)
    # More elements than stored would be one value repeated without end.
    if n_elements and (last >= storage.n_elements or n_elements > storage.n_elements):
        raise DamagedFile(source.path, f"tensor {name!r} reaches past its storage")
    # The stride of an axis of length 1 says nothing; torch leaves any number there.
    plain = contiguous_strides(shape)
    strides = tuple(p if n == 1 else s for n, s, p in zip(shape, strides, plain, strict=True))
    offset = data_offset + record.offset * item_bytes
    return StoredTensor(name, shape, storage.dtype, source, offset, strides)
