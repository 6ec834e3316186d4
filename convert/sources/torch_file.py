"""The state dict in a file of `torch.save`, in either of its containers, also where a trainer wrapped it.

Knows no names of models: what a training program puts before them is `convert.sources.module_names`'.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from convert.errors import (
    DamagedFile,
    Detail,
    InvalidFile,
    NoTensors,
    NotTorchFile,
    TarTorchFile,
    UnsupportedDtype,
)
from convert.sources.byte_source import ByteSource
from convert.sources.pickle_records import TensorRecord, UnreadableTensor
from convert.sources.storage_check import StorageCheck, StoredBlock
from convert.sources.tensors import MAX_NAME_LENGTH, STORAGE_DTYPES, StoredTensor, contiguous_strides
from convert.sources.torch_old import OldTorchFile, is_old_torch
from convert.sources.torch_zip import ZIP_START, TorchZip

# Where training programs put the model's part, those that hold the trained weights first.
_WRAPPER_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
)
_MAX_WRAPPERS = 4
_Saved = TensorRecord | UnreadableTensor
# "ustar" of a tar archive, which torch wrote until February 2017.
_TAR_MARK, _TAR_MARK_OFFSET = b"ustar", 257


def read_torch(source: ByteSource) -> dict[str, StoredTensor]:
    """Tensors of the model in a torch file by name; reads what describes them, no weights.

    Raises `NotTorchFile`, `TarTorchFile`, `BigEndianFile`, `NoTensors`, `UnsupportedDtype`, `InvalidFile`,
    `TruncatedFile`, `DamagedFile`, `ForbiddenPickle`.
    """
    saved = _open(source)
    records = _state_dict(source, saved.value)
    n_views = Counter(record.storage.key for record in records.values())
    blocks = saved.locate(n_views)
    checks = {
        key: StorageCheck(source.path, block.offset, block.size_bytes, block.crc, is_shared=n_views[key] > 1)
        for key, block in blocks.items()
        if block.crc is not None
    }
    tensors: dict[str, StoredTensor] = {}
    for name, record in records.items():
        key = record.storage.key
        if key not in blocks:
            raise InvalidFile(source.path, Detail("no_storage", {"name": name}))
        tensors[name] = _tensor(source, name, record, blocks[key], checks.get(key))
    return tensors


def has_torch_start(start: bytes) -> bool:
    """Whether a file that begins with these bytes, at least 32 unless it is shorter, may be one."""
    return start.startswith(ZIP_START) or is_old_torch(start)


def _open(source: ByteSource) -> TorchZip | OldTorchFile:
    if source.size_bytes == 0:
        raise DamagedFile(source.path, Detail("empty"))
    start = source.read_at(0, min(_TAR_MARK_OFFSET + len(_TAR_MARK), source.size_bytes))
    if start.startswith(ZIP_START):
        return TorchZip(source)
    if is_old_torch(start):
        return OldTorchFile(source)
    if start[_TAR_MARK_OFFSET:] == _TAR_MARK:
        raise TarTorchFile(source.path)
    raise NotTorchFile(source.path)


def _state_dict(source: ByteSource, value: Any) -> dict[str, TensorRecord]:
    """The tensors of a state dict, also where a trainer wrapped it; other entries are left out."""
    found = _find_tensors(value, _MAX_WRAPPERS, set())
    longest = max(map(len, found), default=0)
    if longest > MAX_NAME_LENGTH:
        raise InvalidFile(source.path, Detail("long_name", {"n": longest}))
    if not found:
        raise NoTensors(source.path)
    records: dict[str, TensorRecord] = {}
    for name, item in found.items():
        if isinstance(item, UnreadableTensor):
            raise UnsupportedDtype(source.path, name, item.kind)
        records[name] = item
    return records


def _find_tensors(value: Any, n_wrappers: int, seen: set[int]) -> dict[str, _Saved]:
    """Those under a known name in the dictionary `value`, else its own, else those of its one entry with any.

    seen: dictionaries looked at already, which a pickle can put into each other.
    """
    if not isinstance(value, dict) or id(value) in seen:
        return {}
    seen.add(id(value))
    for key in _WRAPPER_KEYS if n_wrappers else ():
        found = _find_tensors(value.get(key), n_wrappers - 1, seen)
        if found:
            return found
    own = _tensors_in(value)
    if own or not n_wrappers:
        return own
    # Each once: a pickle may name a large one without end.
    inner = {id(item): item for item in value.values() if isinstance(item, dict)}
    others = [tensors for tensors in map(_tensors_in, inner.values()) if tensors]
    return others[0] if len(others) == 1 else {}


def _tensors_in(value: Any) -> dict[str, _Saved]:
    if not isinstance(value, dict):
        return {}
    return {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, _Saved)}


def _tensor(
    source: ByteSource, name: str, record: TensorRecord, block: StoredBlock, check: StorageCheck | None
) -> StoredTensor:
    storage = record.storage
    if record.dtype not in STORAGE_DTYPES or storage.dtype not in STORAGE_DTYPES:
        raise UnsupportedDtype(source.path, name, record.dtype)
    item_bytes, stored_item_bytes = (
        STORAGE_DTYPES[dtype].itemsize for dtype in (record.dtype, storage.dtype)
    )
    if storage.n_elements * stored_item_bytes > block.size_bytes:
        raise InvalidFile(source.path, Detail("short_storage", {"name": name}))
    n_stored = (storage.n_elements - storage.start) * stored_item_bytes // item_bytes
    shape, strides = record.shape or (1,), record.strides or (1,)
    n_elements = math.prod(shape)
    last = record.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True) if n)
    # More elements than stored would be one value repeated without end.
    if n_elements and (last >= n_stored or n_elements > n_stored):
        raise InvalidFile(source.path, Detail("past_storage", {"name": name}))
    # The stride of an axis of length 1 says nothing; torch leaves any number there.
    plain = contiguous_strides(shape)
    strides = tuple(p if n == 1 else s for n, s, p in zip(shape, strides, plain, strict=True))
    offset = block.offset + storage.start * stored_item_bytes + record.offset * item_bytes
    return StoredTensor(name, shape, record.dtype, source, offset, strides, check)
