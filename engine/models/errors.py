"""Everything the model manager can refuse at on this machine, one class per thing a person can act on.

What fetching can fail at is in `engine.models.fetch_errors`.

LibraryError
├── CatalogInvalid
├── EntryInvalid
├── ModelNotUsable
├── KeyFileNeeded
├── LibraryInUse
└── LibraryFileError          the file at `path`
    ├── RecordsNotSaved
    ├── ModelInUse
    ├── ModelChanged
    ├── PartsMissing
    ├── ModelNotReadable
    ├── ModelNotAdded
    ├── ModelNotRemoved
    └── ModelPartlyRemoved
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError


@dataclass(eq=False)
class LibraryError(EngineError):
    """Base of all errors of the model manager that have nothing to do with fetching."""


@dataclass(eq=False)
class CatalogInvalid(LibraryError):
    """The catalog's value at `location` is not what it should be."""

    location: str
    expected: str


@dataclass(eq=False)
class EntryInvalid(LibraryError):
    """`source` is neither `owner/name/file` on the hub, nor an https address, nor a path on this disk."""

    source: str


@dataclass(eq=False)
class ModelNotUsable(LibraryError):
    """The model `name` is published in a form that no program but its own can read."""

    name: str


@dataclass(eq=False)
class KeyFileNeeded(LibraryError):
    """The model `name` is encrypted; `key` is the file that decrypts it."""

    name: str
    key: str


@dataclass(eq=False)
class LibraryInUse(LibraryError):
    """Another process has held the records of the library for too long; `folder` is the data folder."""

    folder: Path


@dataclass(eq=False)
class LibraryFileError(LibraryError):
    """Something is wrong with the file at `path`."""

    path: Path


@dataclass(eq=False)
class RecordsNotSaved(LibraryFileError):
    """What is known of the models could not be written; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ModelInUse(LibraryFileError):
    """Another process is adding, verifying or removing this model."""


@dataclass(eq=False)
class ModelChanged(LibraryFileError):
    """The file is not what it was: both are SHA-256, hexadecimal."""

    expected_sha256: str
    found_sha256: str


@dataclass(eq=False)
class PartsMissing(LibraryFileError):
    """Of the `n_parts` files of a split model, those with the numbers `missing` are not there.

    first_missing: the name of the first of them.
    """

    n_parts: int
    missing: tuple[int, ...]
    first_missing: str


@dataclass(eq=False)
class ModelNotReadable(LibraryFileError):
    """The file can't be read; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ModelNotAdded(LibraryFileError):
    """The file can't be put into the library at `path`; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ModelNotRemoved(LibraryFileError):
    """The file can't be removed; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ModelPartlyRemoved(LibraryFileError):
    """Of `n_parts` files the last `n_trashed` are in the trash; the one at `path` can't be put there."""

    n_parts: int
    n_trashed: int
