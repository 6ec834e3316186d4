"""What can be wrong with an offline kit, or keep one from being made.

KitError                      the kit at `path`
├── KitNeedsBundle
├── KitFolderTaken
├── KitThere
├── KitTooLarge
├── KitFileTooLarge
├── KitNotWritten
├── KitUnfinished
├── KitDamaged
├── KitModelDamaged
├── KitTooNew
└── KitWithoutModel
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.errors import AppError


@dataclass(eq=False)
class KitError(AppError):
    """The offline kit in the folder `path` can't be made, or not be used."""

    path: Path


@dataclass(eq=False)
class KitNeedsBundle(KitError):
    """This copy of the program is a package of some Python, which can't be taken along."""


@dataclass(eq=False)
class KitFolderTaken(KitError):
    """There is something else in the folder: `example`."""

    example: str


@dataclass(eq=False)
class KitThere(KitError):
    """The folder holds a finished kit."""


@dataclass(eq=False)
class KitTooLarge(KitError):
    """The disk has no room for it."""

    needed_bytes: int
    free_bytes: int


@dataclass(eq=False)
class KitFileTooLarge(KitError):
    """The disk's file system (`kind`, such as FAT32) takes no file as large as the model's `name`."""

    name: str
    size_bytes: int
    limit_bytes: int
    kind: str


@dataclass(eq=False)
class KitNotWritten(KitError):
    """The system refused to write, or wrote something else; `reason` is its own."""

    reason: str


@dataclass(eq=False)
class KitUnfinished(KitError):
    """Making the kit was interrupted."""


@dataclass(eq=False)
class KitDamaged(KitError):
    """The kit's list of contents can't be read; `detail` says where."""

    detail: str


@dataclass(eq=False)
class KitModelDamaged(KitError):
    """The model's file `path` is not the one that was put into the kit."""

    expected_sha256: str
    found_sha256: str


@dataclass(eq=False)
class KitTooNew(KitError):
    """A newer version of the program, `version`, made the kit."""

    version: str


@dataclass(eq=False)
class KitWithoutModel(KitError):
    """The kit has the program alone, with its built-in model."""
