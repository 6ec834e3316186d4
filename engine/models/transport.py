"""Ranges of files over HTTP: redirects, the token's rule, and what every answer means.

The one module that speaks HTTP. It makes single attempts; who asks again, and where, is decided in
`engine.models.failover`, and which proxy is taken in `engine.models.proxies`.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from weakref import WeakSet

import httpx

from engine.models.endpoints import Endpoints, RemoteFile, origin
from engine.models.proxies import ProxiedTransport, ProxySettingInvalid

FailureKind = Literal[
    "unreachable", "broken", "busy", "refused", "missing", "contradicts", "rangeless", "unusable"
]

_MAX_REDIRECTS = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_EXPIRED = (401, 403, 404, 410)
_UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_USER_AGENT = "chatbelle"


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
            raise AttemptFailed("broken", _reason(error)) from error

    def abort(self) -> None:
        """End a read that waits in another thread."""
        stream = self._response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if isinstance(connection, socket.socket):
            _end(connection)


class Transport:
    """HTTP connections for any number of threads; close it after use."""

    def __init__(self, endpoints: Endpoints, patience: Patience, n_connections: int = 8) -> None:
        self._endpoints = endpoints
        self._patience = patience
        self._resolved: dict[str, tuple[str, Mapping[str, str]]] = {}
        self._connections: WeakSet[socket.socket] = WeakSet()
        self._is_ended = False
        self._lock = Lock()
        timeout = httpx.Timeout(patience.stall_s, connect=patience.connect_s)
        limits = httpx.Limits(max_connections=n_connections + 4, max_keepalive_connections=n_connections)
        proxied = ProxiedTransport(limits)
        # What httpx would take from the environment are its proxies.
        self._client = httpx.Client(transport=proxied, timeout=timeout, trust_env=False)

    @contextmanager
    def open_range(self, url: str, file: RemoteFile, start: int, stop: int | None) -> Iterator[Reply]:
        """Bytes `start` to `stop` of a file at one address, checked to be that file's as far as headers tell.

        Where the server knows no ranges the reply begins at 0. Raises `AttemptFailed`.
        """
        wanted = f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
        response, linked = self._request(url, {"Range": wanted})
        try:
            _check_status(response)
            is_hubs_own = file.address is None and origin(str(response.url)) == origin(url)
            reply = Reply(response, linked, self._patience, is_hubs_own=is_hubs_own)
            if reply.start not in (0, start):
                raise AttemptFailed("broken", f"bytes from {reply.start} instead of {start}")
            _check_identity(reply, file)
            yield reply
        except AttemptFailed:
            self._forget(url)
            raise
        finally:
            response.close()

    def get(self, url: str, max_bytes: int) -> tuple[bytes, Mapping[str, str]]:
        """A whole small answer and its headers; raises `AttemptFailed`."""
        response, _ = self._request(url, {})
        try:
            _check_status(response)
            data = bytearray()
            for chunk in Reply(response, {}, self._patience, is_hubs_own=False).chunks():
                data += chunk
                if len(data) > max_bytes:
                    raise AttemptFailed("contradicts", f"more than {max_bytes} bytes")
            return bytes(data), response.headers
        finally:
            response.close()

    def abort(self) -> None:
        """End what waits in other threads, for an answer too; nothing can be asked any more."""
        with self._lock:
            self._is_ended = True
            connections = list(self._connections)
        for connection in connections:
            _end(connection)

    def close(self) -> None:
        """Close all connections, those in use as well; harmless when repeated."""
        self.abort()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, url: str, headers: dict[str, str]) -> tuple[httpx.Response, Mapping[str, str]]:
        """The last answer of a chain of redirects, and the headers of those before it."""
        with self._lock:
            target, linked = self._resolved.get(url, (url, {}))
        if target != url:
            try:
                response = self._send(target, headers)
            except AttemptFailed as failure:
                self._forget(url)
                if failure.kind != "unreachable":
                    raise
            else:
                status = response.status_code
                if status < 500 and status not in (*_EXPIRED, *_REDIRECTS):
                    return response, linked
                response.close()
                self._forget(url)
        return self._follow(url, headers)

    def _forget(self, url: str) -> None:
        """Let the hub say anew where it is: a signed address lives for an hour, a storage may go away."""
        with self._lock:
            self._resolved.pop(url, None)

    def _follow(self, url: str, headers: dict[str, str]) -> tuple[httpx.Response, Mapping[str, str]]:
        linked: dict[str, str] = {}
        at = url
        for _ in range(_MAX_REDIRECTS):
            response = self._send(at, headers)
            if response.status_code not in _REDIRECTS:
                if response.status_code in (200, 206):
                    with self._lock:
                        self._resolved[url] = at, linked
                elif at != url and response.status_code in _EXPIRED:
                    response.close()  # the hub knows the file; its storage has a bad moment, or slow clocks
                    raise AttemptFailed("broken", f"HTTP {response.status_code} after a redirect")
                return response, linked
            linked = {**response.headers, **linked}
            at = self._next(at, response)
        raise AttemptFailed("broken", "too many redirects")

    def _next(self, at: str, response: httpx.Response) -> str:
        target = response.headers.get("location", "")
        response.close()
        try:
            following = str(httpx.URL(at).join(target))
        except httpx.InvalidURL as error:
            raise AttemptFailed("broken", "a redirect to nowhere") from error
        schemes = urlsplit(at).scheme, urlsplit(following).scheme
        if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
            raise AttemptFailed("broken", f"a redirect from {schemes[0]} to {schemes[1]}")
        return following

    def _send(self, url: str, headers: dict[str, str]) -> httpx.Response:
        sent = {"Accept-Encoding": "identity", "User-Agent": _USER_AGENT, **headers}
        try:
            token = self._endpoints.token_for(url)
            if token is not None:
                sent["Authorization"] = f"Bearer {token}"
            if self._is_ended:
                raise AttemptFailed("broken", "closed")
            extensions = {"trace": self._note_connection}
            request = self._client.build_request("GET", url, headers=sent, extensions=extensions)
            return self._client.send(request, stream=True)
        except ProxySettingInvalid as error:
            raise AttemptFailed("unusable", error.setting) from error
        except _UNREACHABLE as error:
            raise AttemptFailed("unreachable", _reason(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise AttemptFailed("broken", _reason(error)) from error
        except RuntimeError as error:
            if not self._client.is_closed:
                raise
            raise AttemptFailed("broken", "closed") from error

    def _note_connection(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx as a request goes on: https://www.encode.io/httpcore/extensions/"""
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return
        connection = info["return_value"].get_extra_info("socket")
        if isinstance(connection, socket.socket):
            with self._lock:
                self._connections.add(connection)
                is_ended = self._is_ended
            if is_ended:
                _end(connection)


def _end(connection: socket.socket) -> None:
    """Let whoever reads from it read its end."""
    try:
        # Not the method of an encrypted one, which would change it under the reader's hands.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        if response.headers.get("content-encoding", "identity") != "identity":
            raise AttemptFailed("broken", "compressed, against what was asked")
        return
    reason = f"HTTP {status}"
    if status in (401, 403):
        raise AttemptFailed("refused", reason)
    if status in (404, 410):
        raise AttemptFailed("missing", reason)
    if status == 416:
        raise AttemptFailed("contradicts", f"{reason}: the file there is shorter")
    if status == 429:
        raise AttemptFailed("busy", reason, _retry_after_s(response.headers.get("retry-after", "")))
    raise AttemptFailed("broken", reason)


def _check_identity(reply: Reply, file: RemoteFile) -> None:
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


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
