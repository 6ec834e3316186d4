"""Everything the history can refuse or fail at, one class per thing a person can act on.

Errors carry fields, not sentences: `app.i18n` turns them into zh-CN or en by class name and fields.

HistoryError
├── HistoryFileError            the history in the file `path` can't be used
│   ├── HistoryInUse
│   ├── HistoryTooNew
│   ├── HistoryDamaged
│   ├── HistoryNotWritable
│   ├── HistoryDiskFull
│   └── BackupFailed
├── HistoryClosed
├── ConversationMissing
├── MessageMissing
├── NotAQuestion
├── AnswerEnded
└── TransferError               export to, or import from, `path` failed; nothing was changed
    ├── ExportFailed
    ├── ImportUnreadable
    ├── ImportTooLarge
    ├── ImportUnknownFormat
    ├── ImportTooNew
    ├── ImportInvalid
    └── ImportEmpty
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(eq=False)
class HistoryError(Exception):
    """Base of all history errors; its dataclass fields are what a message may use."""

    def __str__(self) -> str:
        values = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__name__}({values})"


@dataclass(eq=False)
class HistoryFileError(HistoryError):
    """The history in the file (or folder) `path` can't be used."""

    path: Path


@dataclass(eq=False)
class HistoryInUse(HistoryFileError):
    """Another ChatBELLE has this data folder open; `pid` is its process where it could be read, else 0."""

    pid: int


@dataclass(eq=False)
class HistoryTooNew(HistoryFileError):
    """A newer ChatBELLE wrote this history; it was not touched."""

    found_version: int
    known_version: int


@dataclass(eq=False)
class HistoryDamaged(HistoryFileError):
    """The file contradicts itself; opening the history again sets it aside and restores a backup."""

    detail: str


@dataclass(eq=False)
class HistoryNotWritable(HistoryFileError):
    """The system refuses to read or write the file; `reason` is its own text."""

    reason: str


@dataclass(eq=False)
class HistoryDiskFull(HistoryFileError):
    """There is no room on the disk for what was to be kept."""


@dataclass(eq=False)
class BackupFailed(HistoryFileError):
    """No backup could be written to `path`; the history itself is unharmed."""

    reason: str


@dataclass(eq=False)
class HistoryClosed(HistoryError):
    """The history was closed before this was asked of it."""


@dataclass(eq=False)
class ConversationMissing(HistoryError):
    """There is no such conversation (any more)."""

    conversation_id: int


@dataclass(eq=False)
class MessageMissing(HistoryError):
    """There is no such message (any more)."""

    message_id: int


@dataclass(eq=False)
class NotAQuestion(HistoryError):
    """Only a question can be edited or answered; this message has the role `role`."""

    message_id: int
    role: str


@dataclass(eq=False)
class AnswerEnded(HistoryError):
    """Text was appended to an answer that has ended, or one that is not resumable was to be resumed."""

    message_id: int


@dataclass(eq=False)
class TransferError(HistoryError):
    """Export to, or import from, `path` failed; neither the history nor an older file was changed."""

    path: Path


@dataclass(eq=False)
class ExportFailed(TransferError):
    """The file can't be written; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ImportUnreadable(TransferError):
    """There is no readable file at `path`; `reason` is the system's."""

    reason: str


@dataclass(eq=False)
class ImportTooLarge(TransferError):
    """The file is longer than an import may be (bytes)."""

    size_bytes: int
    limit_bytes: int


@dataclass(eq=False)
class ImportUnknownFormat(TransferError):
    """The file is none of the formats that can be imported; `detail` says what was found."""

    detail: str


@dataclass(eq=False)
class ImportTooNew(TransferError):
    """A newer ChatBELLE exported this file."""

    found_version: int
    known_version: int


@dataclass(eq=False)
class ImportInvalid(TransferError):
    """The value at `location` is not what the format says."""

    location: str
    expected: str


@dataclass(eq=False)
class ImportEmpty(TransferError):
    """The file has no conversation in it."""
