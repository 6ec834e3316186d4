"""Everything the front ends can refuse by themselves, one class per thing a person can act on.

Errors carry fields, not sentences: `app.i18n` turns them into zh-CN or en by class name and fields.

AppError
├── DataFolderError           the data folder can't be made or written to
│   ├── DataFolderNotWritable
│   └── PortableNotWritable   it lies beside a portable program
├── DemoMissing
├── OutputNotWritable
├── ModelNotFound
├── ModelNotListed
├── ModelIsFolder
├── ModelFileUnclear
├── ModelFolderUnclear
├── EntryKnown
├── ModelHere
├── NotForGguf
├── OnlyForGguf
├── TypeNotOffered
├── FolderNotReadable
├── NameClaimed
├── TemplateFileNotReadable
├── TemplateFileNotText
├── WorkUnderWay
├── PortInUse
├── ServerEnded
├── PageLost
├── KitError                  an offline kit, see `app.kit.errors`
└── SaveError                 a conversation can't be written to `path`
    ├── SaveExists
    ├── SaveFormatUnknown
    └── SaveFailed
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(eq=False)
class AppError(Exception):
    """Base of the front ends' own errors; its dataclass fields are what a message may use."""

    def __str__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class DataFolderError(AppError):
    """The data folder can't be made or written to; `reason` is the system's."""

    path: Path
    reason: str


@dataclass(eq=False)
class DataFolderNotWritable(DataFolderError):
    """It is the system's place for data, or one that a person chose."""


@dataclass(eq=False)
class PortableNotWritable(DataFolderError):
    """It is the one beside a portable program."""


@dataclass(eq=False)
class DemoMissing(AppError):
    """This installation has no demo at `path`, or a damaged one."""

    path: str


@dataclass(eq=False)
class OutputNotWritable(AppError):
    """The answer can't be written to stdout; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ModelNotFound(AppError):
    """`name` is neither a file nor a model in `folder`; `known` are the names that would work."""

    name: str
    folder: Path
    known: tuple[str, ...]


@dataclass(eq=False)
class ModelNotListed(AppError):
    """There is something at `path`, which is none of the models of this disk that are kept track of."""

    path: Path


@dataclass(eq=False)
class EntryKnown(AppError):
    """The model `name` need not be added to the catalog: it is there, and called `id` in commands."""

    name: str
    id: str


@dataclass(eq=False)
class ModelHere(AppError):
    """The model `name` was got before: it is at `path`."""

    name: str
    path: Path


@dataclass(eq=False)
class NotForGguf(AppError):
    """`option` (without its dashes) is for what is converted, and `name` is a GGUF, taken as it is."""

    name: str
    option: str


@dataclass(eq=False)
class OnlyForGguf(AppError):
    """`option` (without its dashes) is for GGUF files, and `name` must be converted."""

    name: str
    option: str


@dataclass(eq=False)
class TypeNotOffered(AppError):
    """The model `name` can't be had as `type_name`; `known` are the types that it can."""

    name: str
    type_name: str
    known: tuple[str, ...]


@dataclass(eq=False)
class ModelIsFolder(AppError):
    """`path` is a folder, perhaps a checkpoint that was not converted yet."""

    path: Path


@dataclass(eq=False)
class ModelFileUnclear(AppError):
    """The repository `repo` holds several models, or no file of the name asked for; `known` are the files."""

    repo: str
    known: tuple[str, ...]


@dataclass(eq=False)
class ModelFolderUnclear(AppError):
    """The models of the repository `repo` are in its folders, and none of `known` was asked for."""

    repo: str
    known: tuple[str, ...]


@dataclass(eq=False)
class FolderNotReadable(AppError):
    """The folder at `path` can't be looked through; `reason` is the system's."""

    path: Path
    reason: str


@dataclass(eq=False)
class TemplateFileNotReadable(AppError):
    """The chat template at `path` can't be read; `reason` is the system's."""

    path: Path
    reason: str


@dataclass(eq=False)
class TemplateFileNotText(AppError):
    """The file at `path` is no chat template: it is empty, far too long, or no text."""

    path: Path


@dataclass(eq=False)
class WorkUnderWay(AppError):
    """Another process gets or imports `name` at this moment, or is going to."""

    name: str


@dataclass(eq=False)
class PortInUse(AppError):
    """The browser view can't be served at `port` of this machine; `reason` is the system's."""

    port: int
    reason: str


@dataclass(eq=False)
class ServerEnded(AppError):
    """What serves the window's page ended though nobody stopped it."""


@dataclass(eq=False)
class PageLost(AppError):
    """The web view's process died again and again."""


@dataclass(eq=False)
class SaveError(AppError):
    """A conversation can't be written to `path`."""

    path: Path


@dataclass(eq=False)
class SaveExists(SaveError):
    """Something is there already; saving never replaces it."""


@dataclass(eq=False)
class SaveFormatUnknown(SaveError):
    """The suffix names no known format; `known` are the ones there are."""

    known: tuple[str, ...]


@dataclass(eq=False)
class SaveFailed(SaveError):
    """The system refused to write; `reason` is its own."""

    reason: str


@dataclass(eq=False)
class NameClaimed(AppError):
    """Unfinished work, `title`, is going to put its result at `path`, and would lose what it has done."""

    title: str
    path: Path
