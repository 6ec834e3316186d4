"""What an answer over HTTP means: where its bytes belong, which version they are of, and whose hash it tells.

Knows answers only; who asks, and whether again, is decided in `engine.models.transport` and
`engine.models.failover`.
"""

from __future__ import annotations

import re
import socket
import time
import zlib
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

_PIECE_BYTES = 1 << 20
# What compresses an answer, by its name in HTTP; zlib finds out which it is.
_COMPRESSIONS = ("gzip", "x-gzip", "deflate")
_ANY_COMPRESSION = zlib.MAX_WBITS | 32
# No weights and no settings begin so; a chat template may begin with another bracket.
_PAGE_STARTS = (b"<!doctype", b"<html")

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

    is_vague: it does not say how much it is, or which part, so that only the file's hash can tell what came.
    version: what tells the bytes there from others, a strong ETag or a date, or ""; never a hash, even where
    it looks like one (Xet storage tells its own, of 64 hexadecimal digits). content_hash: what a hub says of
    the content, SHA-256 or Git's SHA-1 in hexadecimal, or "".
    """

    def __init__(
        self,
        response: httpx.Response,
        linked: Mapping[str, str],
        patience: Patience,
        *,
        is_hubs_own: bool,
        asked: tuple[int, int | None] = (0, None),
    ) -> None:
        """linked: headers of the redirects before it. is_hubs_own: whether a hub answers, not its storage.

        asked: for which part, from its first byte to after its last.
        """
        self._response = response
        self._patience = patience
        self.status = response.status_code
        etag = response.headers.get("etag", "").strip()
        is_strong = bool(etag) and not etag.startswith("W/")
        self.version = _plain_etag(etag) if is_strong else response.headers.get("last-modified", "")
        self.content_hash = _plain_etag(linked.get("x-linked-etag", "")).lower()
        if not self.content_hash and is_hubs_own:
            self.content_hash = _plain_etag(etag).lower()
        self._is_compressed = _compression(response) in _COMPRESSIONS
        self._most_bytes: int | None = None
        if self.status == 206 and "content-range" not in response.headers:
            self._most_bytes = _unnamed_bytes(response, asked)
            self.start, self.total_bytes, self.is_vague = asked[0], None, True
        else:
            self.start, self.total_bytes = _extent(response)
            self.is_vague = self.status == 200 and self.total_bytes is None
        linked_size = linked.get("x-linked-size", "")
        self.linked_bytes = int(linked_size) if linked_size.isdigit() else self.total_bytes
        if self.total_bytes is None:
            self.total_bytes = self.linked_bytes

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes as they come.

        Raises `AttemptFailed` when they stop, end early or trickle, and where a vague answer is seen to be
        something else.
        """
        pieces = _decompressed(self._raw_chunks()) if self._is_compressed else self._raw_chunks()
        if not self.is_vague:
            yield from pieces
            return
        n_bytes = 0
        for piece in pieces:
            if not n_bytes and piece.lstrip()[:16].lower().startswith(_PAGE_STARTS):
                raise AttemptFailed("broken", "a page instead of the file")
            n_bytes += len(piece)
            if self._most_bytes is not None and n_bytes > self._most_bytes:
                raise AttemptFailed("broken", f"more than the {self._most_bytes} bytes that were asked for")
            yield piece

    def _raw_chunks(self) -> Iterator[bytes]:
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
        allowed = ("identity", *_COMPRESSIONS) if status == 200 else ("identity",)
        if _compression(response) not in allowed:  # of a part, nobody can tell where it belongs
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
    # The login page of a network, for example; mirrors answer so as well, and a hash tells the difference.
    if reply.is_vague and file.size_bytes is not None and not file.has_hash:
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
    is_compressed = _compression(response) in _COMPRESSIONS
    return 0, None if is_compressed else _length(response)


def _unnamed_bytes(response: httpx.Response, asked: tuple[int, int | None]) -> int:
    """How much a part may have that does not say which it is: as much as was asked for, not more or less."""
    start, stop = asked
    length = _length(response)
    if stop is None or (length is not None and length != stop - start):
        raise AttemptFailed("broken", "a partial answer that does not say which part")
    return stop - start


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdigit() else None


def _compression(response: httpx.Response) -> str:
    return str(response.headers.get("content-encoding", "")).strip().lower() or "identity"


def _decompressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """In pieces of bounded size, however far it was compressed."""
    decompressor = zlib.decompressobj(_ANY_COMPRESSION)
    try:
        for chunk in chunks:
            piece = decompressor.decompress(chunk, _PIECE_BYTES)
            while piece:
                yield piece
                piece = decompressor.decompress(decompressor.unconsumed_tail, _PIECE_BYTES)
    except zlib.error as error:
        raise AttemptFailed("broken", f"compressed badly ({error})") from error
    if not decompressor.eof:
        raise AttemptFailed("broken", "the compressed answer ended early")


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
