"""Fetch one file, whatever happens in between: the bytes that are there are never fetched twice.

`download` is a generator; closing it, or killing the process, is how a download is paused, and calling it
again is how it goes on, a day later or from another mirror. Knows no catalog, no queue and no screen.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Literal

from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.failover import Failover
from engine.models.fetch_errors import (
    ChecksumMismatch,
    DownloadNameTaken,
    DownloadNotWritable,
    HubAnswerInvalid,
)
from engine.models.part_file import PartFile, discard_part
from engine.models.reply import AttemptFailed, Patience
from engine.models.transfer import FileHash, Transfer
from engine.models.transport import Transport

__all__ = ["DownloadProgress", "Downloaded", "discard_part", "download", "read_start"]

N_CONNECTIONS = 4
_TICK_S = 0.1
_PROGRESS_S = 0.25
_COMMIT_S = 1.0
_RATE_WINDOW_S = 8.0
_READ_BYTES = 4 << 20
_MAX_FILE_BYTES = 1 << 42


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a file is. phase: "check" compares what an earlier run left, "download" fetches.

    bytes_per_s: over the last seconds; left_s: None while that is not known. waiting_s: until a source may
    be asked again, 0.0 while bytes are expected. host: that source, else where the last bytes came from.
    """

    phase: Literal["check", "download"]
    name: str
    done_bytes: int
    total_bytes: int
    bytes_per_s: float = 0.0
    left_s: float | None = None
    host: str = ""
    waiting_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The finished file. sha256: of its bytes, hexadecimal. hosts: where they came from in this run."""

    path: Path
    size_bytes: int
    sha256: str
    hosts: tuple[str, ...]


def download(
    file: RemoteFile,
    destination: Path,
    endpoints: Endpoints,
    *,
    n_connections: int = N_CONNECTIONS,
    patience: Patience | None = None,
    reached: set[str] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[DownloadProgress | Downloaded, None, None]:
    """Fetch `file` to `destination`: `DownloadProgress` values, then one `Downloaded`.

    When `is_cancelled` returns true, or the generator is closed, it just ends; what came so far stays beside
    `destination` for the next call (`discard_part` removes it). A finished `destination` with the right
    bytes is taken as it is. reached: hosts that the same job's files came from, which are added to. Raises a
    `FetchError`.
    """
    patience = patience or Patience()
    reached = set() if reached is None else reached
    with ExitStack() as opened:
        transport = opened.enter_context(Transport(endpoints, patience, n_connections))
        failover = Failover(file.name, endpoints.locations(file), patience, reached)
        if file.size_bytes is None or not file.has_hash:
            identified = _identify(file, failover, transport, _Cancelled(is_cancelled))
            if identified is None:
                return
            file = identified
        if os.path.lexists(destination):
            yield from _check_existing(file, destination, is_cancelled)
            return
        part = PartFile(destination, file.name, file.size_bytes or 0, _identity(file))
        opened.callback(part.close)
        yield from _Download(file, part, failover, transport, n_connections, is_cancelled).run()


def read_start(
    file: RemoteFile, endpoints: Endpoints, n_bytes: int, patience: Patience | None = None
) -> bytes:
    """The first bytes of a file, at most `n_bytes`, from the first source that gives them.

    Raises a `FetchError`.
    """
    patience = patience or Patience()
    failover = Failover(file.name, endpoints.locations(file), patience)
    with Transport(endpoints, patience) as transport:
        while (source := failover.pick(Event())) is not None:
            started_s = time.monotonic()
            try:
                with transport.open_range(source.url, file, 0, n_bytes) as reply:
                    start = b""
                    for chunk in reply.chunks():
                        start += chunk[:n_bytes]
                        if len(start) >= n_bytes:  # where the server knows no ranges, all of it would come
                            break
                    return start[:n_bytes]
            except AttemptFailed as failure:
                failover.failed(source, failure, started_s)
    return b""  # only when stopped


def _identify(
    file: RemoteFile, failover: Failover, transport: Transport, cancelled: _Cancelled
) -> RemoteFile | None:
    """The same file with its size and hash, as the first source gives them; None when cancelled."""
    while True:
        source = failover.pick(cancelled)
        if source is None:
            return None
        started_s = time.monotonic()
        try:
            with transport.open_range(source.url, file, 0, 1) as reply:
                size_bytes, found_hash, version = reply.total_bytes, reply.content_hash, reply.version
        except AttemptFailed as failure:
            failover.failed(source, failure, started_s)
            continue
        if size_bytes is None or not 0 <= size_bytes < _MAX_FILE_BYTES:
            raise HubAnswerInvalid(file.name, source.host, f"the size {size_bytes}")
        is_hex = all(letter in "0123456789abcdef" for letter in found_hash)
        return replace(
            file,
            size_bytes=size_bytes,
            sha256=file.sha256 or (found_hash if is_hex and len(found_hash) == 64 else None),
            git_sha1=file.git_sha1 or (found_hash if is_hex and len(found_hash) == 40 else None),
            version=version or None,
        )


class _Cancelled:
    """A `Stop` that asks."""

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        self.is_set = is_cancelled

    def wait(self, timeout: float) -> None:
        time.sleep(min(timeout, _TICK_S))


def _identity(file: RemoteFile) -> str:
    """What makes two files the same, wherever they come from; without a hash only the same address does.

    Where not even a version is known, nothing does: what is there may be of another one.
    """
    if file.sha256 is not None:
        return f"sha256:{file.sha256.lower()}"
    if file.git_sha1 is not None:
        return f"git:{file.git_sha1.lower()}"
    version = file.version or f"unknown {os.urandom(8).hex()}"
    return f"{file.address or file.repo}@{file.revision}/{file.name} {version}"


def _check_existing(
    file: RemoteFile, path: Path, is_cancelled: Callable[[], bool]
) -> Iterator[DownloadProgress | Downloaded]:
    """Take a file that is there already, if it is the one; it is never replaced."""
    hashed = FileHash(file, file.size_bytes or 0)
    total_bytes = done_bytes = 0
    try:
        with open(path, "rb") as existing:
            total_bytes = os.fstat(existing.fileno()).st_size
            while total_bytes == file.size_bytes and (data := existing.read(_READ_BYTES)):
                if is_cancelled():
                    return
                hashed.update(data)
                done_bytes += len(data)
                yield DownloadProgress("check", file.name, done_bytes, total_bytes)
    except OSError as error:
        raise DownloadNotWritable(file.name, path, error.strerror or str(error)) from error
    if total_bytes != file.size_bytes or hashed.mismatch() is not None:
        raise DownloadNameTaken(file.name, path)
    yield Downloaded(path, total_bytes, hashed.sha256, ())


@dataclass
class _Download:
    """One call of `download`, from the point where the part file is ours."""

    file: RemoteFile
    part: PartFile
    failover: Failover
    transport: Transport
    n_connections: int
    is_cancelled: Callable[[], bool]

    def run(self) -> Iterator[DownloadProgress | Downloaded]:
        """Up to two passes: wrong bytes are fetched once more, from other sources where there are any."""
        self.part.check_space()
        for attempt in range(2):
            transfer = Transfer(self.file, self.part, self.failover, self.transport, self.n_connections)
            yield from self._pass(transfer)
            if not transfer.is_complete:
                return
            mismatch = transfer.hash.mismatch()
            if mismatch is None:
                self.part.publish()
                path, size_bytes = self.part.destination, self.part.size_bytes
                yield Downloaded(path, size_bytes, transfer.hash.sha256, tuple(transfer.hosts))
                return
            self.part.restart()
            self.failover.distrust(set(transfer.hosts))
            if attempt:
                self.part.discard()
                raise ChecksumMismatch(self.file.name, self.part.destination, *mismatch)

    def _pass(self, transfer: Transfer) -> Iterator[DownloadProgress]:
        total_bytes = self.part.size_bytes
        try:
            for good_bytes in transfer.restore():
                if self.is_cancelled():
                    return
                yield DownloadProgress("check", self.file.name, good_bytes, total_bytes)
            transfer.start()
            yield from self._watch(transfer)
        finally:
            transfer.stop()
            self.part.commit()

    def _watch(self, transfer: Transfer) -> Iterator[DownloadProgress]:
        rate = Rate(transfer.done_bytes)
        shown_s = committed_s = time.monotonic()
        yield self._progress(transfer, rate)
        while not transfer.is_complete:
            transfer.wait(_TICK_S)
            transfer.check()
            if self.is_cancelled():
                return
            now_s = time.monotonic()
            if now_s - committed_s >= _COMMIT_S:
                self.part.commit()
                committed_s = now_s
            if now_s - shown_s >= _PROGRESS_S:
                rate.add(transfer.done_bytes)
                shown_s = now_s
                yield self._progress(transfer, rate)
        rate.add(transfer.done_bytes)
        yield self._progress(transfer, rate)

    def _progress(self, transfer: Transfer, rate: Rate) -> DownloadProgress:
        done_bytes, total_bytes = transfer.done_bytes, self.part.size_bytes
        waiting_s = self.failover.waiting_s()
        return DownloadProgress(
            phase="download",
            name=self.file.name,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
            bytes_per_s=rate.bytes_per_s,
            left_s=rate.left_s(total_bytes - done_bytes),
            host=self.failover.next_host() if waiting_s > 0 else transfer.host,
            waiting_s=waiting_s,
        )


class Rate:
    """Bytes a second over the last eight seconds."""

    def __init__(self, done_bytes: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), done_bytes)])

    def add(self, done_bytes: int) -> None:
        """So much is done by now."""
        now_s = self._clock()
        self._seen.append((now_s, done_bytes))
        while len(self._seen) > 2 and now_s - self._seen[0][0] > _RATE_WINDOW_S:
            self._seen.popleft()

    @property
    def bytes_per_s(self) -> float:
        (first_s, first_bytes), (last_s, last_bytes) = self._seen[0], self._seen[-1]
        return max(0, last_bytes - first_bytes) / (last_s - first_s) if last_s > first_s else 0.0

    def left_s(self, missing_bytes: int) -> float | None:
        """How long the rest takes at this rate; None while nothing moves."""
        return missing_bytes / self.bytes_per_s if self.bytes_per_s > 0 else None
