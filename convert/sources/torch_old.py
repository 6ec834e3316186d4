"""PyTorch files of versions before 1.6, and of later ones on request: five pickles, then storages.

| part              |                                                                                     |
|-------------------|-------------------------------------------------------------------------------------|
| pickle            | the number 0x1950a86a20f9469cfc6c                                                   |
| pickle            | the number 1001, the version of this form                                           |
| pickle            | `{"protocol_version", "little_endian", "type_sizes"}`                               |
| pickle            | the saved value: names, shapes, strides, storage keys                               |
| pickle            | a list of the storage keys                                                          |
| for each key      | i64 number of elements, then the raw storage, of the type its pickle names          |

Nothing here has a checksum. Source: PyTorch's `torch.serialization`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import Any

from convert.errors import BigEndianFile, DamagedFile, Detail, InvalidFile, TruncatedFile
from convert.sources.byte_source import ByteSource
from convert.sources.pickle_values import MAX_PICKLE_BYTES, Pickled, read_pickle
from convert.sources.storage_check import StoredBlock
from convert.sources.tensors import STORAGE_DTYPES

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
# Of types that only have to be passed over.
_OTHER_ITEM_BYTES = {"complex64": 8, "complex128": 16, "qint8": 1, "quint8": 1, "qint32": 4}
_N_ELEMENTS = struct.Struct("<q")


def is_old_torch(start: bytes) -> bool:
    """Whether a file that begins with these bytes, at least 32 unless it is shorter, is in this form."""
    # Pickles of later protocols have a frame before it.
    return start[:1] == b"\x80" and _MAGIC.to_bytes(10, "little") + b"." in start[:32]


class OldTorchFile:
    """One such file: the value that was saved, and where its storages lie.

    Reads the pickles, and of each storage its length.
    """

    def __init__(self, source: ByteSource) -> None:
        """Raises `BigEndianFile`, `InvalidFile`, `TruncatedFile`, `DamagedFile`, `ForbiddenPickle`."""
        head = io.BytesIO(source.read_at(0, min(source.size_bytes, MAX_PICKLE_BYTES)))
        try:
            magic, version, system, saved, keys = (read_pickle(source.path, head) for _ in range(5))
        except DamagedFile as error:
            if source.size_bytes <= MAX_PICKLE_BYTES or head.read(1):
                raise
            raise InvalidFile(source.path, Detail("pickle_bytes", {"n": MAX_PICKLE_BYTES})) from error
        if (magic.value, version.value) != (_MAGIC, _VERSION) or not isinstance(system.value, dict):
            raise DamagedFile(source.path, Detail("old_torch_version"))
        if system.value.get("little_endian") is False:
            raise BigEndianFile(source.path)
        self.value: Any = saved.value
        self._storages = _storages(source, saved, keys.value, head.tell())

    def locate(self, keys: Iterable[str]) -> dict[str, StoredBlock]:
        """Where these storages lie, those that the file has."""
        return {key: self._storages[key] for key in keys if key in self._storages}


def _storages(source: ByteSource, saved: Pickled, keys: Any, offset: int) -> dict[str, StoredBlock]:
    if not isinstance(keys, list):
        raise DamagedFile(source.path, Detail("storage_list"))
    storages: dict[str, StoredBlock] = {}
    for key in keys:
        record = saved.storages.get(key) if isinstance(key, str) else None
        if record is None or key in storages:
            raise DamagedFile(source.path, Detail("storage_list"))
        (n_elements,) = _N_ELEMENTS.unpack(source.read_at(offset, _N_ELEMENTS.size))
        if n_elements != record.n_elements:
            raise DamagedFile(source.path, Detail("storage_elements", {"key": key[:40], "n": n_elements}))
        size_bytes = n_elements * _item_bytes(record.dtype)
        offset += _N_ELEMENTS.size
        if offset + size_bytes > source.size_bytes:
            raise TruncatedFile(source.path, offset + size_bytes, source.size_bytes)
        storages[key] = StoredBlock(offset, size_bytes, None)
        offset += size_bytes
    return storages


def _item_bytes(dtype: str) -> int:
    return STORAGE_DTYPES[dtype].itemsize if dtype in STORAGE_DTYPES else _OTHER_ITEM_BYTES[dtype]
