"""PyTorch files as versions before 1.6 wrote them, byte by byte, right ones and wrong ones.

The saved value is put together from the pieces of `builders.torch_zip`; `storage` is the old form's own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builders import torch_zip as tz

MAGIC = 0x1950A86A20F9469CFC6C
FALSE, TRUE = b"\x89", b"\x88"


def storage(dtype: str, key: str, n_elements: int, view: bytes = tz.NONE) -> bytes:
    kind = tz.name("torch", tz.STORAGE_NAMES[dtype])
    parts = (tz.text("storage"), kind, tz.text(key), tz.text("cpu"), tz.number(n_elements), view)
    return tz.tuple_of(*parts) + b"Q"


def list_of(items: Sequence[bytes]) -> bytes:
    return tz.EMPTY_LIST + tz.MARK + b"".join(items) + tz.APPENDS


def old_file(
    value: bytes,
    storages: Mapping[str, tuple[int, bytes]],
    *,
    magic: int = MAGIC,
    version: int = 1001,
    little_endian: bool = True,
) -> bytes:
    """A file whose pickle is `value` (without protocol and stop); of each storage its elements and bytes."""
    sizes = tz.dictionary({"short": tz.number(2), "int": tz.number(4), "long": tz.number(4)})
    system = {
        "protocol_version": tz.number(version),
        "little_endian": TRUE if little_endian else FALSE,
        "type_sizes": sizes,
    }
    pickles = (
        tz.number(magic),
        tz.number(version),
        tz.dictionary(system),
        value,
        list_of([tz.text(key) for key in storages]),
    )
    raw = [struct.pack("<q", n_elements) + data for n_elements, data in storages.values()]
    return b"".join([*map(tz.pickled, pickles), *raw])


def write_old_torch(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """A plain state dict."""
    tensors: dict[str, bytes] = {}
    storages: dict[str, tuple[int, bytes]] = {}
    for number, (name, array) in enumerate(arrays.items()):
        key = str(94_113_582_014_496 + 64 * number)  # an address
        strides = [stride // array.itemsize for stride in np.ascontiguousarray(array).strides]
        stored = storage(f"{array.dtype.kind}{8 * array.itemsize}", key, array.size)
        tensors[name] = tz.tensor(stored, 0, array.shape, strides)
        storages[key] = (array.size, array.tobytes())
    path.write_bytes(old_file(tz.dictionary(tensors, tz.ordered_dict()), storages))
