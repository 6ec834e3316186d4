"""A proxy on loopback that speaks HTTP, with CONNECT, and SOCKS 5, and keeps what it was asked for."""

from __future__ import annotations

import socket
import struct
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PIECE_BYTES = 1 << 16


class LocalProxy:
    """`address` is host and port. `seen`: "GET host:port", "CONNECT host:port" or "SOCKS host:port".

    Everything that is asked for leads to `target`, whatever its name; without one it is refused.
    """

    def __init__(self, target: str | None = None) -> None:
        self.seen: list[str] = []
        self.target = target
        self._server = _Server(self)
        self.address = "{}:{}".format(*self._server.server_address)

    def open(self) -> socket.socket | None:
        """A connection to where everything leads."""
        if self.target is None:
            return None
        parts = urlsplit(self.target)
        return socket.create_connection((parts.hostname, parts.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, proxy: LocalProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away in these tests."""


class _Handler(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        if self.rfile.peek(1)[:1] == b"\x05":
            self._answer_socks()
        else:
            self._answer_http()

    def _answer_http(self) -> None:
        """One request; asked to close, clients open another connection for the next."""
        method, url, version = self.rfile.readline().decode().split()
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            if not line.lower().startswith((b"connection:", b"proxy-")):
                lines.append(line)
        parts = urlsplit(url if "://" in url else f"//{url}")
        upstream = self._open(f"{method} {parts.netloc}")
        if upstream is None:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if method == "CONNECT":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            path = parts._replace(scheme="", netloc="").geturl()
            head = f"{method} {path} {version}\r\nConnection: close\r\n".encode()
            upstream.sendall(head + b"".join(lines) + b"\r\n")
        self._relay(upstream)

    def _answer_socks(self) -> None:
        """RFC 1928, without authentication."""
        _, n_methods = self.rfile.read(2)
        self.rfile.read(n_methods)
        self.wfile.write(b"\x05\x00")
        _, _, _, kind = self.rfile.read(4)
        if kind == 3:
            host = self.rfile.read(self.rfile.read(1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self.rfile.read(size))
        (port,) = struct.unpack(">H", self.rfile.read(2))
        upstream = self._open(f"SOCKS {host}:{port}")
        self.wfile.write(bytes([5, 0 if upstream else 1, 0, 1]) + b"\x00" * 6)
        if upstream is not None:
            self._relay(upstream)

    def _open(self, asked: str) -> socket.socket | None:
        self.server.proxy.seen.append(asked)
        return self.server.proxy.open()

    def _relay(self, upstream: socket.socket) -> None:
        with upstream:
            threading.Thread(target=_pump, args=(self.connection, upstream), daemon=True).start()
            _pump(upstream, self.connection)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(_PIECE_BYTES):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
