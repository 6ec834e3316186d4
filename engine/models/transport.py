"""Ranges of files over HTTP: connections, redirects, and the token's rule.

The one module that asks. It makes single attempts; who asks again, and where, is decided in
`engine.models.failover`, what an answer means in `engine.models.reply`, and which proxy is taken in
`engine.models.proxies`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from weakref import WeakSet

import httpx

from engine.models.endpoints import Endpoints, RemoteFile, origin
from engine.models.proxies import ProxiedTransport, ProxySettingInvalid
from engine.models.reply import (
    AttemptFailed,
    Patience,
    Reply,
    check_identity,
    check_status,
    end_connection,
    reason_of,
)

_MAX_REDIRECTS = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_EXPIRED = (401, 403, 404, 410)
_UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_USER_AGENT = "chatbelle"


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
            check_status(response)
            is_hubs_own = file.address is None and origin(str(response.url)) == origin(url)
            known_stops = [each for each in (stop, file.size_bytes) if each is not None]
            asked = start, min(known_stops, default=None)
            reply = Reply(response, linked, self._patience, is_hubs_own=is_hubs_own, asked=asked)
            if reply.start not in (0, start):
                raise AttemptFailed("broken", f"bytes from {reply.start} instead of {start}")
            check_identity(reply, file)
            yield reply
        except AttemptFailed:
            self._forget(url)
            raise
        finally:
            response.close()

    def get(self, url: str, max_bytes: int) -> bytes:
        """A whole small answer; raises `AttemptFailed`."""
        response, _ = self._request(url, {})
        try:
            check_status(response)
            data = bytearray()
            for chunk in Reply(response, {}, self._patience, is_hubs_own=False).chunks():
                data += chunk
                if len(data) > max_bytes:
                    raise AttemptFailed("page", f"more than {max_bytes} bytes")
            return bytes(data)
        finally:
            response.close()

    def abort(self) -> None:
        """End what waits in other threads, for an answer too; nothing can be asked any more."""
        with self._lock:
            self._is_ended = True
            connections = list(self._connections)
        for connection in connections:
            end_connection(connection)

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
                    raise AttemptFailed("broken", f"HTTP {response.status_code}")
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
            raise AttemptFailed("unreachable", reason_of(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise AttemptFailed("broken", reason_of(error)) from error
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
                end_connection(connection)
