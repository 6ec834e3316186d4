"""PyTorch files (`torch.save` since version 1.6): a ZIP of uncompressed members.

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

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from convert.errors import BigEndianFile, DamagedFile, Detail, InvalidFile, NoTensors, TruncatedFile
from convert.sources.byte_source import ByteSource, SourceStream
from convert.sources.pickle_values import MAX_PICKLE_BYTES, read_pickle
from convert.sources.storage_check import StoredBlock

# 46 bytes and a name an entry: enough for 30,000 members, little enough to be parsed in a moment.
_MAX_DIRECTORY_BYTES = 2 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")
ZIP_START = b"PK"


class TorchZip:
    """One such file: the value that was saved, and where its storages lie.

    Reads the directory and the pickle, and of a storage the header before it.
    """

    def __init__(self, source: ByteSource) -> None:
        """Raises `NoTensors`, `BigEndianFile`, and what reading members and the pickle raises."""
        self._source = source
        self._members = _members(source)
        pickles = [name for name in self._members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise NoTensors(source.path)
        self._pickle = self._members[pickles[0]]
        self._prefix = pickles[0].removesuffix("data.pkl")
        byte_order = self._members.get(f"{self._prefix}byteorder")
        if byte_order is not None and _read_member(source, byte_order, 16).strip() != b"little":
            raise BigEndianFile(source.path)
        data = _read_member(source, self._pickle, MAX_PICKLE_BYTES)
        self.value: Any = read_pickle(source.path, io.BytesIO(data)).value

    def locate(self, keys: Iterable[str]) -> dict[str, StoredBlock]:
        """Where these storages lie, those that the file has; raises `InvalidFile`, `TruncatedFile`."""
        found = {key: self._members.get(f"{self._prefix}data/{key}") for key in keys}
        members = {key: member for key, member in found.items() if member is not None}
        storages = {
            key: StoredBlock(_data_offset(self._source, member), member.file_size, member.CRC or None)
            for key, member in members.items()
        }
        _check_overlaps(self._source, [self._pickle, *members.values()])
        return storages


def _members(source: ByteSource) -> dict[str, zipfile.ZipInfo]:
    stream = SourceStream(source, _MAX_DIRECTORY_BYTES)
    try:
        # The directory stands at the end: a download cut short has none.
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DamagedFile(source.path, Detail("zip_directory")) from error
    except (OSError, ValueError, NotImplementedError, struct.error) as error:
        raise DamagedFile(source.path, Detail("zip_directory")) from error
    members = {info.filename: info for info in infos}
    if len(members) != len(infos):
        raise InvalidFile(source.path, Detail("zip_names"))
    return members


def _data_offset(source: ByteSource, member: zipfile.ZipInfo) -> int:
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise InvalidFile(source.path, Detail("zip_compressed", {"name": member.filename}))
    if member.header_offset < 0:
        raise DamagedFile(source.path, Detail("zip_place", {"name": member.filename}))
    header = source.read_at(member.header_offset, _LOCAL_HEADER.size)
    signature, n_name, n_extra = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise DamagedFile(source.path, Detail("zip_place", {"name": member.filename}))
    offset: int = member.header_offset + _LOCAL_HEADER.size + n_name + n_extra
    if offset + member.file_size > source.size_bytes:
        raise TruncatedFile(source.path, offset + member.file_size, source.size_bytes)
    return offset


def _check_overlaps(source: ByteSource, members: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes would multiply the file; headers are passed over, their length varies."""
    in_order = sorted(members, key=lambda member: member.header_offset)
    for member, following in pairwise(in_order):
        if member.header_offset + _LOCAL_HEADER.size + member.file_size > following.header_offset:
            raise InvalidFile(source.path, Detail("zip_overlap", {"name": following.filename}))


def _read_member(source: ByteSource, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if member.file_size > max_bytes:
        values: dict[str, str | int] = {"name": member.filename, "n": member.file_size}
        raise InvalidFile(source.path, Detail("zip_member_bytes", values))
    data = source.read_at(_data_offset(source, member), member.file_size)
    if member.CRC and zlib.crc32(data) != member.CRC:
        raise DamagedFile(source.path, Detail("zip_crc", {"name": member.filename}))
    return data
