"""The CRC-32 that a container gives for a stored block, compared with what is read of it, in any order.

Chunks of a tensor are read by several threads, and often not one after the other; their CRCs are put together
as if they had been. Nothing is read for the check's sake: a block that is never read whole is not checked,
and bytes count as first read: once a block was read whole, wrong ones in a second read go unnoticed.

Source: Adler's method of combining CRCs (zlib's `crc32_combine`): n more bytes multiply the CRC of those
before them by x^8n, in polynomials over GF(2) modulo CRC-32's own, with the bits reversed.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from convert.errors import DamagedTensor

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
_X_TO_8 = 1 << 23
# A matrix that is walked in tiny steps (see `StoredTensor`) would cost more to check than to read.
_MAX_PIECES = 4096


class StoredBlock(NamedTuple):
    """Where a container keeps a block; crc: the CRC-32 that it gives for it, None where it gives none."""

    offset: int
    size_bytes: int
    crc: int | None


class _Piece(NamedTuple):
    """Bytes `start` to `end` of the source were read, and have this CRC."""

    start: int
    end: int
    crc: int


class StorageCheck:
    """One block of `size_bytes` at `offset` of the file at `path`, whose CRC-32 should be `crc`."""

    def __init__(self, path: Path, offset: int, size_bytes: int, crc: int, *, is_shared: bool) -> None:
        """is_shared: several tensors lie in it."""
        self._path = path
        self._start = offset
        self._end = offset + size_bytes
        self._crc = crc
        self._is_shared = is_shared
        self._pieces: list[_Piece] | None = []
        """What was read, in order; neighbours are joined. None: given up."""
        self._lock = threading.Lock()

    def add(self, tensor: str, offset: int, data: bytes) -> None:
        """Take note of what was read of `tensor`; raises `DamagedTensor` once all is read, and is wrong."""
        end = offset + len(data)
        with self._lock:
            gaps = self._gaps(offset, end)
        view = memoryview(data)
        for start, stop in gaps:
            part = view[start - offset : stop - offset]
            piece = _Piece(start, stop, zlib.crc32(part))  # outside of the lock: this is the work
            with self._lock:
                is_new = self._gaps(start, stop) == [(start, stop)]
                if is_new:
                    self._insert(tensor, piece)
            if not is_new:  # another thread has read some of it meanwhile
                self.add(tensor, start, bytes(part))

    def _gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of this range was not read yet."""
        gaps: list[tuple[int, int]] = []
        if self._pieces is None:
            return gaps
        start, end = max(start, self._start), min(end, self._end)
        first = max(0, bisect_left(self._pieces, (start,)) - 1)
        for index in range(first, len(self._pieces)):
            piece = self._pieces[index]
            if piece.start >= end:
                break
            if start < piece.start:
                gaps.append((start, piece.start))
            start = max(start, piece.end)
        return [*gaps, (start, end)] if start < end else gaps

    def _insert(self, tensor: str, piece: _Piece) -> None:
        pieces = self._pieces
        if pieces is None:
            return
        at = bisect_left(pieces, piece)
        if at < len(pieces) and pieces[at].start == piece.end:
            piece = _joined(piece, pieces.pop(at))
        if at > 0 and pieces[at - 1].end == piece.start:
            at -= 1
            piece = _joined(pieces.pop(at), piece)
        pieces.insert(at, piece)
        if (piece.start, piece.end) == (self._start, self._end) and piece.crc != self._crc:
            self._pieces = []  # another attempt may read what is right
            raise DamagedTensor(self._path, tensor, self._is_shared)
        if len(pieces) > _MAX_PIECES:
            self._pieces = None


def _joined(first: _Piece, second: _Piece) -> _Piece:
    crc = _product(_x_to_8n(second.end - second.start), first.crc) ^ second.crc
    return _Piece(first.start, second.end, crc)


@lru_cache(maxsize=1024)
def _x_to_8n(n: int) -> int:
    power, square = _ONE, _X_TO_8
    while n:
        if n & 1:
            power = _product(square, power)
        square = _product(square, square)
        n >>= 1
    return power


def _product(a: int, b: int) -> int:
    """The product of two polynomials; the highest bit is the coefficient of x^0."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
