"""XOR-encrypted files (`.enc`) and their key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.errors.base import SourceError


@dataclass(eq=False)
class NotEncrypted(SourceError):
    """A plain file, or a folder without `.enc` files, where encrypted ones are expected."""


@dataclass(eq=False)
class KeyNeeded(SourceError):
    """An encrypted file, or a folder of them, where plain ones are expected and no key was given."""


@dataclass(eq=False)
class EncryptedNameMismatch(SourceError):
    """The hash in the file's name is not the one in its first bytes; both are SHA-256, hexadecimal."""

    name_hash: str
    header_hash: str


@dataclass(eq=False)
class DuplicateEncryptedFile(SourceError):
    """Two encrypted files in the folder `path` have the same plain name, with different hashes."""

    name: str


@dataclass(eq=False)
class MissingEncryptedShard(SourceError):
    """The encrypted set in the folder `path` lacks a part; `shard` is its plain name."""

    shard: str


@dataclass(eq=False)
class PartialDownload(SourceError):
    """The encrypted file is shorter than the published one, of which `published_bytes` is a lower bound."""

    published_bytes: int
    found_bytes: int


@dataclass(eq=False)
class WrongKey(SourceError):
    """What `key` makes of the file at `path` has another hash (SHA-256, hexadecimal), and begins wrong."""

    key: Path
    expected_hash: str
    found_hash: str


@dataclass(eq=False)
class DamagedEncryptedFile(SourceError):
    """The hash is wrong, but the start decrypts well: damaged, cut short, or a key that only begins alike."""

    key: Path
    expected_hash: str
    found_hash: str


@dataclass(eq=False)
class KeyDoesNotFit(SourceError):
    """A large file decrypted with `key` does not begin as its kind does; its hash was not computed."""

    key: Path


@dataclass(eq=False)
class EncryptedEndMissing(SourceError):
    """A large file decrypted with `key` begins well, but its end is not there; its hash was not computed."""

    key: Path


@dataclass(eq=False)
class UnusableKey(SourceError):
    """The file at `path` can't be the key of encrypted files."""


@dataclass(eq=False)
class KeyIsEncrypted(UnusableKey):
    """The key is itself an encrypted file: source and key are mixed up."""


@dataclass(eq=False)
class TruncatedKey(UnusableKey):
    """The key is shorter than the known one (bytes) and lacks its end."""

    expected_bytes: int
    found_bytes: int


@dataclass(eq=False)
class Llama2Key(UnusableKey):
    """The key is a weight file of Llama 2; the first LLaMA's is needed."""


@dataclass(eq=False)
class KeyHashMismatch(UnusableKey):
    """The key has another MD5 (hexadecimal) than the known one."""

    expected_md5: str
    found_md5: str
