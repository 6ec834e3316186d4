"""A folder of encrypted files, read as if it were the plain folder; nothing is written.

A hash needs a pass over the whole file, random access has none: small files are checked by their hash when
they are opened, large ones by their first and last bytes. `convert.decrypt` checks the hashes of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import (
    ConvertError,
    DamagedEncryptedFile,
    DuplicateEncryptedFile,
    EncryptedEndMissing,
    KeyDoesNotFit,
    MissingEncryptedShard,
    NotEncrypted,
    PartialDownload,
    SourceError,
    WrongKey,
)
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.folder import LocalFolder, SourceFolder
from convert.sources.xor import HEADER_BYTES, XorSource, parse_encrypted_name
from convert.sources.xor_key import open_key

# Up to here a file is hashed in well under a second.
_HASHED_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_START_BYTES = 64
_MAX_HEADER_BYTES = 1 << 32
_ZIP_END_BYTES = 22
_ZIP_SUFFIXES = (".bin", ".pt", ".pth")

# The least length of the encrypted file, by the plain file's hash: the hub shows three digits.
_PUBLISHED_BYTES: Mapping[str, int] = {
    # BELLE-LLaMA-7B-2M-enc
    "166879223b7504f1632d72b1577d57bceaa8fdeee1857c61119e575c50a4aae5": 9_975_000_000,
    "2319db050dc286cb22c6e08a51a4ec0d9377017a7182a20a12c39eb658f39c80": 3_495_000_000,
    "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347": 499_500,
    "99a4ef2a26cb38c7f684cb83ed9343f660c561dd5a02a97d1b34b47419324dc5": 618,
    # BELLE-LLaMA-13B-2M-enc
    "5abb160ecbd441c6a1fbe00a9eaa194ee0bd8cd75850c24f503336bd29f0dc45": 9_945_000_000,
    "46a0e748edff9f0f82aa5f3e721e80e0f342f3d03dc47d0ec6514ea78a585320": 9_895_000_000,
    "ec6e4d45dc4c51f2b9abff5ea9840f06f633e065cdf574b71e96366c26a01578": 6_175_000_000,
    # BELLE-LLaMA-7B-2M-gptq-enc
    "8576bae21290e9e75a60f38a6010709255656b19330a0df9a4bf50e1ee83fc51": 3_995_000_000,
    "44227e0ee3633967c555ed9ba7a89f340955545f6e32f7d5dfdc28603f6e27d2": 7_255_000_000,
}


class EncryptedFolder:
    """A `SourceFolder` over a folder with `.enc` files and their key, under the plain files' names.

    Plain files in the folder are there as well; where a name exists in both forms the encrypted file counts,
    because BELLE's own script leaves unverified plain ones behind.
    """

    def __init__(self, folder: Path | SourceFolder, key: Path) -> None:
        """folder: on this disk, or any other, which is closed with this one.

        Raises `SourceMissing`, what `encrypted_files` raises, and what `open_key` raises.
        """
        self._plain = LocalFolder(folder) if isinstance(folder, Path) else folder
        self._encrypted = encrypted_files(self._plain)
        self._key = open_key(key)

    @property
    def path(self) -> Path:
        return self._plain.path

    @property
    def key_path(self) -> Path:
        """The key file."""
        return self._key.path

    @property
    def names(self) -> frozenset[str]:
        plain = {name for name in self._plain.names if parse_encrypted_name(name) is None}
        return frozenset(plain | self._encrypted.keys())

    @property
    def encrypted_names(self) -> frozenset[str]:
        """The plain names of the files that are encrypted."""
        return frozenset(self._encrypted)

    def names_below(self, folder: str) -> frozenset[str]:
        """Those that are not encrypted: BELLE published no others."""
        return self._plain.names_below(folder)

    def open(self, name: str) -> ByteSource:
        """As `SourceFolder.open`; raises also what `open_encrypted` and `check_ends` raise."""
        if name not in self._encrypted:
            return self._plain.open(name)
        source = self.open_encrypted(name)
        try:
            check_ends(source)
        except BaseException:
            source.close()
            raise
        return source

    def open_encrypted(self, name: str) -> XorSource:
        """One of the `encrypted_names`, by `open_encrypted` only."""
        return open_encrypted(self._plain.open(self._encrypted[name]), self._key)

    def missing_shard(self, name: str) -> SourceError:
        return MissingEncryptedShard(self.path, name)

    def close(self) -> None:
        """Close the key and the folder."""
        self._key.close()
        self._plain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_folder(folder: Path | SourceFolder, key: Path | None = None) -> SourceFolder:
    """A folder, decrypted with the key file where one is given; close it after use."""
    if key is not None:
        return EncryptedFolder(folder, key)
    return LocalFolder(folder) if isinstance(folder, Path) else folder


def encrypted_files(folder: SourceFolder) -> dict[str, str]:
    """The names of a folder's `.enc` files by their plain names.

    Raises `NotEncrypted` when there are none, or `DuplicateEncryptedFile`.
    """
    found: dict[str, str] = {}
    for name in sorted(folder.names):
        parsed = parse_encrypted_name(name)
        if parsed is None:
            continue
        if parsed.plain_name in found:
            raise DuplicateEncryptedFile(folder.path, parsed.plain_name)
        found[parsed.plain_name] = name
    if not found:
        raise NotEncrypted(folder.path)
    return found


def open_encrypted(encrypted: Path | ByteSource, key: ByteSource) -> XorSource:
    """Open one encrypted file, or take over its opened source.

    Up to 64 MiB the hash is checked, of a larger one only the published length.

    Raises what `XorSource` raises, `PartialDownload`, `WrongKey` or `DamagedEncryptedFile`.
    """
    with ExitStack() as opened:
        plain = FileSource(encrypted) if isinstance(encrypted, Path) else encrypted
        opened.callback(plain.close)
        source = opened.enter_context(XorSource(plain, key))
        published_bytes = _PUBLISHED_BYTES.get(source.plain_hash, 0)
        if source.size_bytes + HEADER_BYTES < published_bytes:
            raise PartialDownload(source.path, published_bytes, source.size_bytes + HEADER_BYTES)
        if source.size_bytes <= _HASHED_BYTES:
            _check_hash(source)
        opened.pop_all()
    return source


def check_ends(source: XorSource) -> None:
    """Notice a wrong key or an incomplete file from the first and last bytes of a file over 64 MiB.

    Raises `KeyDoesNotFit` or `EncryptedEndMissing`.
    """
    if source.size_bytes <= _HASHED_BYTES:
        return
    start = _read_start(source)
    if _fits_start(source.plain_name, start) is False:
        raise KeyDoesNotFit(source.path, source.key_path)
    if start.startswith(b"PK") and not _fits_zip_end(source):
        raise EncryptedEndMissing(source.path, source.key_path)


def _check_hash(source: XorSource) -> None:
    digest = hashlib.sha256()
    for start in range(0, source.size_bytes, _BLOCK_BYTES):
        digest.update(source.read_at(start, min(_BLOCK_BYTES, source.size_bytes - start)))
    if digest.hexdigest() != source.plain_hash:
        raise hash_mismatch(source, digest.hexdigest())


def hash_mismatch(source: XorSource, found_hash: str) -> ConvertError:
    """What a wrong hash means: another key, or, where the start decrypts well, an incomplete file."""
    start_fits = _fits_start(source.plain_name, _read_start(source))
    kind = DamagedEncryptedFile if start_fits else WrongKey
    return kind(source.path, source.key_path, source.plain_hash, found_hash)


def _read_start(source: XorSource) -> bytes:
    return source.read_at(0, min(_START_BYTES, source.size_bytes))


def _fits_start(name: str, start: bytes) -> bool | None:
    """Whether a plain file of this name begins like this; None where its kind is not known."""
    if name.endswith(_ZIP_SUFFIXES):
        # The second is PyTorch's form of before version 1.6: its reader says what to do.
        return start.startswith((b"PK\x03\x04", b"\x80\x02\x8a\x0a"))
    if name.endswith(".safetensors"):
        return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < _MAX_HEADER_BYTES
    if name.endswith(".json"):
        return start.lstrip().startswith(b"{") and start.isascii()
    if name.endswith(".model"):
        # SentencePiece: a list of messages, each of which begins with a text.
        return start[:1] == b"\n" and start[2:3] == b"\n"
    return None


def _fits_zip_end(source: XorSource) -> bool:
    """PyTorch writes no comment after the end record of the ZIP directory."""
    end = source.read_at(source.size_bytes - _ZIP_END_BYTES, _ZIP_END_BYTES)
    return end.startswith(b"PK\x05\x06")
