"""PyTorch checkpoints (`torch.save` since version 1.6): a ZIP of uncompressed members.

| member            |                                                             |
|-------------------|-------------------------------------------------------------|
| `<p>/data.pkl`    | pickle: names, shapes, strides, storage keys                |
| `<p>/data/<key>`  | one raw storage, little-endian                              |
| `<p>/byteorder`   | `little` or `big` (newer versions)                          |

The directory has the CRC-32 of every member, which PyTorch itself never compares; here it is, where a member
is read whole. 0 says nothing: it is written after `torch.serialization.set_crc32_options(False)`.

Source: PyTorch's serialization notes; the ZIP directory is read with the standard library.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple

from convert.errors import DamagedFile, NoTensors, NotTorchZip, TruncatedFile
from convert.sources.byte_source import ByteSource, SourceStream
from convert.sources.pickle_values import MAX_PICKLE_BYTES, TensorRecord, read_pickle
from convert.sources.storage_check import StorageCheck
from convert.sources.tensors import MAX_NAME_LENGTH, STORAGE_DTYPES, StoredTensor, contiguous_strides

# 46 bytes and a name an entry: enough for 30,000 members, little enough to be parsed in a moment.
_MAX_DIRECTORY_BYTES = 2 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_WRAPPER_KEYS = ("state_dict", "model", "module")


class _Storage(NamedTuple):
    """Where a storage lies in the file; check: of what is read of it, None where it has no CRC."""

    offset: int
    size_bytes: int
    check: StorageCheck | None


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
    records = _state_dict(source, value)
    n_views = Counter(record.storage.key for record in records.values())
    storages: dict[str, _Storage] = {}
    used = [members[pickles[0]]]
    tensors: dict[str, StoredTensor] = {}
    for name, record in records.items():
        key = record.storage.key
        member = members.get(f"{prefix}data/{key}")
        if member is None:
            raise DamagedFile(source.path, f"tensor {name!r} has no storage")
        if key not in storages:
            storages[key] = _storage(source, member, is_shared=n_views[key] > 1)
            used.append(member)
        tensors[name] = _tensor(source, name, record, storages[key])
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
    data = source.read_at(_data_offset(source, member), member.file_size)
    if member.CRC and zlib.crc32(data) != member.CRC:
        raise DamagedFile(source.path, f"the CRC-32 of ZIP member {member.filename!r}")
    return data


def _storage(source: ByteSource, member: zipfile.ZipInfo, *, is_shared: bool) -> _Storage:
    offset = _data_offset(source, member)
    check = StorageCheck(source.path, offset, member.file_size, member.CRC, is_shared=is_shared)
    return _Storage(offset, member.file_size, check if member.CRC else None)


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


def _tensor(source: ByteSource, name: str, record: TensorRecord, stored: _Storage) -> StoredTensor:
    storage = record.storage
    item_bytes = STORAGE_DTYPES[storage.dtype].itemsize
    if storage.n_elements * item_bytes > stored.size_bytes:
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
    offset = stored.offset + record.offset * item_bytes
    return StoredTensor(name, shape, storage.dtype, source, offset, strides, stored.check)
