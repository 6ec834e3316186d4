"""Everything fetching from a hub can fail at, one class per thing a person can act on.

Errors carry fields, not sentences, as those of `engine.errors` do.

FetchError                `name` is the file, or the repository, that was asked for
├── Offline
├── NetworkForbidden
├── NetworkSettingInvalid
├── HubRefused
├── NotOnHub
├── HubTooBusy
├── SourceContradicts
├── PageInstead
├── SourcesFailed
├── RangesNotServed
├── HubAnswerInvalid
├── SearchRefused
├── AddressEmpty
├── AddressNotGguf
└── PartError             the file can't be written to `path`
    ├── ChecksumMismatch
    ├── DownloadDiskFull
    ├── DownloadNotWritable
    ├── DownloadNameTaken
    └── DownloadInUse
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError


@dataclass(eq=False)
class FetchError(EngineError):
    """Base: something could not be fetched; `name` is what."""

    name: str


@dataclass(eq=False)
class Offline(FetchError):
    """None of `hosts` could be reached at all; `reason` is the system's for the first of them."""

    reason: str
    hosts: tuple[str, ...]


@dataclass(eq=False)
class NetworkForbidden(FetchError):
    """`HF_HUB_OFFLINE` is set: nobody may be asked."""


@dataclass(eq=False)
class NetworkSettingInvalid(FetchError):
    """A variable of the environment is no address of a hub or proxy; `setting` is `NAME=value`."""

    setting: str


@dataclass(eq=False)
class HubRefused(FetchError):
    """The hub at `host` refuses access (401, 403): a token is needed, or a licence to accept."""

    host: str


@dataclass(eq=False)
class NotOnHub(FetchError):
    """No source has it, or shows it without a token; `host` is the first that said so."""

    host: str


@dataclass(eq=False)
class HubTooBusy(FetchError):
    """The hub at `host` asks to wait (429) for longer than it makes sense to, in seconds."""

    host: str
    wait_s: int


@dataclass(eq=False)
class SourceContradicts(FetchError):
    """What `host` has under this name is another file: `detail` is its size, hash or ETag."""

    host: str
    detail: str


@dataclass(eq=False)
class PageInstead(FetchError):
    """What came from `host` is no answer of a hub: the login page of this network, for example."""

    host: str


@dataclass(eq=False)
class SourcesFailed(FetchError):
    """Every source failed again and again; `host` and `reason` are the last failure's."""

    host: str
    reason: str


@dataclass(eq=False)
class RangesNotServed(FetchError):
    """`host` only sends the whole file, where parts of it are needed."""

    host: str


@dataclass(eq=False)
class HubAnswerInvalid(FetchError):
    """The hub's answer is not what its interface promises; `detail` names the place."""

    host: str
    detail: str


@dataclass(eq=False)
class SearchRefused(FetchError):
    """The hub at `host` answers no search (401, 403, 404); `name` is the query."""

    host: str


@dataclass(eq=False)
class AddressEmpty(FetchError):
    """There is nothing that `host` has at the address of `name`."""

    host: str


@dataclass(eq=False)
class AddressNotGguf(FetchError):
    """What `host` has at the address of `name` is no GGUF; `found` shows its first bytes."""

    host: str
    found: str


@dataclass(eq=False)
class PartError(FetchError):
    """The file can't be written to `path`."""

    path: Path


@dataclass(eq=False)
class ChecksumMismatch(PartError):
    """All bytes came, twice, and are not those of the file; both are SHA-256 or Git's SHA-1, hexadecimal."""

    expected_hash: str
    found_hash: str


@dataclass(eq=False)
class DownloadDiskFull(PartError):
    """The disk has less room than the rest of the file needs (bytes)."""

    needed_bytes: int
    free_bytes: int


@dataclass(eq=False)
class DownloadNotWritable(PartError):
    """The system refused to read or write; `reason` is its own."""

    reason: str


@dataclass(eq=False)
class DownloadNameTaken(PartError):
    """Another file is there, which is never replaced."""


@dataclass(eq=False)
class DownloadInUse(PartError):
    """Another process is fetching the same file."""
