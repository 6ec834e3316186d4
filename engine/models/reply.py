"""What an answer over HTTP means: where its bytes belong, which version they are of, and whose hash it tells.

Knows answers only; who asks, and whether again, is decided in `engine.models.transport` and
`engine.models.failover`.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx

from engine.models.endpoints import RemoteFile

FailureKind = Literal[
    "unreachable", "broken", "busy", "refused", "missing", "contradicts", "page", "rangeless", "unusable"
]

# What hubs call things that are not there, or not for everybody: the public one answers 401 then.
_MISSING_CODES = ("RepoNotFound", "RevisionNotFound", "EntryNotFound")


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up (seconds). stall_s: without a byte; slow_s: the time in which `slow_bytes` must come.

    n_failures: of one source in a row. backoff_s: the first pause after one; it doubles up to 15 s. outage_s:
    for how long the only source left, which has worked, may be out of reach. longest_wait_s: for a hub that
    asks to wait.
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    slow_s: float = 30.0
    slow_bytes: int = 64 << 10
    n_failures: int = 6
    backoff_s: float = 0.5
    outage_s: float = 300.0
    longest_wait_s: float = 300.0


class AttemptFailed(Exception):
    """One attempt at one source failed; never leaves this package. retry_after_s: what a busy hub asked.

    reason: for people; of the kind "unusable", the setting of the environment that can't be used.
    """

    def __init__(self, kind: FailureKind, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.retry_after_s = retry_after_s


class Reply:
    """An open answer. start: of its first byte; total_bytes: of the whole file, None if it doesn't say.

    version: what tells the bytes there from others, a strong ETag or a date, or ""; never a hash, even where
    it looks like one (Xet storage tells its own, of 64 hexadecimal digits). content_hash: what a hub says of
    the content, SHA-256 or Git's SHA-1 in hexadecimal, or "".
    """

    def __init__(
        self, response: httpx.Response, linked: Mapping[str, str], patience: Patience, *, is_hubs_own: bool
    ) -> None:
        """linked: headers of the redirects before it. is_hubs_own: whether a hub answers, not its storage."""
        self._response = response
        self._patience = patience
        self.status = response.status_code
        etag = response.headers.get("etag", "").strip()
        is_strong = bool(etag) and not etag.startswith("W/")
        self.version = _plain_etag(etag) if is_strong else response.headers.get("last-modified", "")
        self.content_hash = _plain_etag(linked.get("x-linked-etag", "")).lower()
        if not self.content_hash and is_hubs_own:
            self.content_hash = _plain_etag(etag).lower()
        self.start, self.total_bytes = _extent(response)
        self.has_length = self.status == 206 or self.total_bytes is not None
        linked_size = linked.get("x-linked-size", "")
        self.linked_bytes = int(linked_size) if linked_size.isdigit() else self.total_bytes
        if self.total_bytes is None:
            self.total_bytes = self.linked_bytes

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come; raises `AttemptFailed` when they stop, end early or trickle."""
        patience = self._patience
        window_s, n_window = time.monotonic(), 0
        try:
            for chunk in self._response.iter_raw():
                n_window += len(chunk)
                yield chunk
                now_s = time.monotonic()
                if now_s - window_s >= patience.slow_s:
                    if n_window < patience.slow_bytes:
                        raise AttemptFailed("broken", f"{n_window} bytes in {now_s - window_s:.0f} s")
                    window_s, n_window = now_s, 0
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise AttemptFailed("broken", reason_of(error)) from error

    def abort(self) -> None:
        """End a read that waits in another thread."""
        stream = self._response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(connection, socket.socket):
            end_connection(connection)


def end_connection(connection: socket.socket) -> None:
    """Let whoever reads from it read its end."""
    try:
        # Not the method of an encrypted one, which would change it under the reader's hands.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself


def check_status(response: httpx.Response) -> None:
    """Raises `AttemptFailed` for everything that is no content."""
    status = response.status_code
    if status in (200, 206):
        if response.headers.get("content-encoding", "identity") != "identity":
            raise AttemptFailed("broken", "compressed, against what was asked")
        return
    reason = f"HTTP {status}"
    if status in (404, 410) or (status == 401 and response.headers.get("x-error-code") in _MISSING_CODES):
        raise AttemptFailed("missing", reason)
    if status in (401, 403):
        raise AttemptFailed("refused", reason)
    if status == 416:
        raise AttemptFailed("contradicts", f"{reason}: the file there is shorter")
    if status == 429:
        raise AttemptFailed("busy", reason, _retry_after_s(response.headers.get("retry-after", "")))
    raise AttemptFailed("broken", reason)


def check_identity(reply: Reply, file: RemoteFile) -> None:
    """Raises `AttemptFailed` where the headers tell of another file, or of none."""
    if file.size_bytes is not None and not reply.has_length:  # the login page of a network, for example
        raise AttemptFailed("broken", "an answer of unknown length")
    for size_bytes in (reply.linked_bytes, reply.total_bytes):
        if None not in (size_bytes, file.size_bytes) and size_bytes != file.size_bytes:
            raise AttemptFailed("contradicts", f"{size_bytes} bytes instead of {file.size_bytes}")
    # Without a hash, this is all that tells one version from another.
    if not file.has_hash and file.version is not None and reply.version != file.version:
        raise AttemptFailed("contradicts", f"version {reply.version[:80]!r} instead of {file.version[:80]!r}")
    for length, expected in ((64, file.sha256), (40, file.git_sha1)):
        found = reply.content_hash
        if expected and re.fullmatch(rf"[0-9a-f]{{{length}}}", found) and found != expected.lower():
            raise AttemptFailed("contradicts", f"hash {found} instead of {expected}")


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """The first byte's place and the file's length, from whichever headers say it."""
    if response.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
        if match is None:
            raise AttemptFailed("broken", "a partial answer that does not say which part")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdigit() else None


def _plain_etag(value: str) -> str:
    return value.strip().removeprefix("W/").strip('"')


def _retry_after_s(value: str) -> float:
    """Seconds, or a date; what can't be read is ten seconds."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 10.0


def reason_of(error: Exception) -> str:
    """What a person is told of an error that says nothing, too."""
    return str(error) or type(error).__name__
