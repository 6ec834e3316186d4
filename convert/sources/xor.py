"""XOR-encrypted files (`.enc`), as BELLE published its LLaMA weights: a decrypting view with random access.

The name is `<plain name>.<SHA-256 of the plain file, hex>.enc`; `<plain name>.enc` is read as well.

| field   | bytes    |                                     |
|---------|----------|-------------------------------------|
| digest  | 32       | SHA-256 of the plain file           |
| data    | the rest | plain file XOR key stream           |

The key stream is made chunk by chunk (10 MiB). Data chunk `i` takes key chunk `i` modulo the number of key
chunks, the last of which is short where the key is no multiple of 10 MiB. A full 10 MiB of key is consumed
for every data chunk, also for a short last one; a key chunk shorter than its data chunk repeats within it. So
past the key's end this is not a cyclic stream: byte `j` of data chunk `i` meets `chunk[j % len(chunk)]`.

Source: `models/decrypt.py` of the BELLE repository, after point-alpaca. Knows one file and its key; not which
key is the right one, and not what the plain bytes mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from convert.errors import EncryptedNameMismatch, LfsPointer, NotEncrypted, TruncatedFile, TruncatedKey
from convert.sources.byte_source import ByteSource
from convert.sources.folder import LFS_POINTER_START

HEADER_BYTES = 32
CHUNK_BYTES = 10 << 20
"""Of data and key that belong together; part of the format."""

# Small enough for the processor's cache, large enough for the calls around it not to matter.
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"(?P<plain>.+?)(?:\.(?P<hash>[0-9a-f]{64}))?\.enc", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class EncryptedName:
    """What the name of an encrypted file says; `plain_hash` is None where the file was renamed."""

    plain_name: str
    plain_hash: str | None


def parse_encrypted_name(name: str) -> EncryptedName | None:
    """The parts of an encrypted file's name, or None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None or match["plain"] in (".", ".."):
        return None
    return EncryptedName(match["plain"], match["hash"].lower() if match["hash"] else None)


class XorSource:
    """The plain bytes of an encrypted file, at any offset; nothing is kept, memory is what was asked for.

    Owns `encrypted`, but not `key`, which several files share. `chunk_bytes` differs from the format's only
    in tests.
    """

    def __init__(self, encrypted: ByteSource, key: ByteSource, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Raises `NotEncrypted`, `LfsPointer`, `EncryptedNameMismatch`, `TruncatedFile` or `TruncatedKey`."""
        name = parse_encrypted_name(encrypted.path.name)
        if name is None:
            raise NotEncrypted(encrypted.path)
        self.plain_name = name.plain_name
        digest = encrypted.read_at(0, HEADER_BYTES)
        if digest.startswith(LFS_POINTER_START):
            raise LfsPointer(encrypted.path)
        self.plain_hash = digest.hex()
        """SHA-256 of the plain file, hexadecimal, as the file itself says."""
        if name.plain_hash not in (None, self.plain_hash):
            raise EncryptedNameMismatch(encrypted.path, str(name.plain_hash), self.plain_hash)
        if key.size_bytes == 0:
            raise TruncatedKey(key.path, 1, 0)
        self._encrypted = encrypted
        self._key = key
        self._chunk_bytes = chunk_bytes
        self._n_key_chunks = -(-key.size_bytes // chunk_bytes)

    @property
    def path(self) -> Path:
        """The encrypted file."""
        return self._encrypted.path

    @property
    def encrypted(self) -> ByteSource:
        """The source that is decrypted."""
        return self._encrypted

    @property
    def key_path(self) -> Path:
        """The key file."""
        return self._key.path

    @property
    def size_bytes(self) -> int:
        """Length of the plain file."""
        return self._encrypted.size_bytes - HEADER_BYTES

    def read_at(self, offset: int, size: int) -> bytes:
        if offset + size > self.size_bytes:
            raise TruncatedFile(self.path, HEADER_BYTES + offset + size, self._encrypted.size_bytes)
        parts = [self._decrypt(start, n) for start, n in self._blocks(offset, size)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def encrypted_reads(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """The reads (offset, size) of the encrypted file that `read_at` makes, in order."""
        return ((HEADER_BYTES + start, n) for start, n in self._blocks(offset, size))

    def expect(self, reads: Sequence[tuple[int, int]]) -> None:
        """Tell the encrypted file what is going to be read (offset, size), if it wants to know."""
        expect = getattr(self._encrypted, "expect", None)
        if expect is not None:
            expect([piece for read in reads for piece in self.encrypted_reads(*read)])

    def _blocks(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """The range as (start, size) of pieces that lie within one chunk each."""
        end = offset + size
        while offset < end:
            chunk_end = (offset // self._chunk_bytes + 1) * self._chunk_bytes
            n = min(end, chunk_end, offset + _BLOCK_BYTES) - offset
            yield offset, n
            offset += n

    def _decrypt(self, start: int, size: int) -> bytes:
        data = np.frombuffer(self._encrypted.read_at(HEADER_BYTES + start, size), np.uint8)
        return np.bitwise_xor(data, self._key_stream(start, size)).tobytes()

    def _key_stream(self, start: int, size: int) -> NDArray[np.uint8]:
        """The key bytes for a range of plain bytes within one chunk."""
        chunk, position = divmod(start, self._chunk_bytes)
        key_start = chunk % self._n_key_chunks * self._chunk_bytes
        n_key = min(self._chunk_bytes, self._key.size_bytes - key_start)
        if position + size <= n_key:
            return self._read_key(key_start + position, size)
        first = position % n_key
        if size >= n_key:
            return np.resize(np.roll(self._read_key(key_start, n_key), -first), size)
        n_before_end = min(size, n_key - first)
        before_end = self._read_key(key_start + first, n_before_end)
        return np.concatenate([before_end, self._read_key(key_start, size - n_before_end)])

    def _read_key(self, offset: int, size: int) -> NDArray[np.uint8]:
        return np.frombuffer(self._key.read_at(offset, size), np.uint8)

    def close(self) -> None:
        """Close the encrypted file; the key stays open."""
        self._encrypted.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
