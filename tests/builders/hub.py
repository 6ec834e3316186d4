"""A hub on loopback that speaks the real protocol, and misbehaves as told.

Two servers, as there: the hub at 127.0.0.1 answers `/api/models…` and `/<owner>/<name>/resolve/<revision>/…`;
files in Git LFS are redirected, with `X-Linked-*` headers, to a second server under another host name and
port, whose ETag is no hash of the content (Xet's, of which nothing else is spoken here); other files to a
relative address on the hub itself. What is missing is refused with 401, as if it were private. ModelScope's
paths (`/models/…`) are served as well. Every request is kept in `seen`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

_PIECE_BYTES = 256 << 10
_RESOLVE = re.compile(r"(?:/models)?/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
_RESOLVED = re.compile(r"/api/resolve-cache/models/(?P<repo>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering well; everything that is not set happens as usual.

    status, headers: answered at once, without the file. stop_after: bytes of the body after which the
    connection is cut. bytes_per_s: no faster. flip_at: this byte of the file is wrong. no_ranges: the whole
    file, whatever was asked. etag, size: told instead of the true ones; an empty etag is not told at all.
    last_modified: told by the server that has the file. is_page: the page of a network that wants a login.
    no_length: the body comes in chunks, of which nobody says how many. no_content_range: a part does not say
    which it is. is_gzipped: what is sent whole is compressed, whatever was asked. whole_as_part: all of
    the file, called a part.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stop_after: int | None = None
    bytes_per_s: float | None = None
    flip_at: int | None = None
    no_ranges: bool = False
    etag: str | None = None
    size: int | None = None
    last_modified: str | None = None
    is_page: bool = False
    no_length: bool = False
    no_content_range: bool = False
    is_gzipped: bool = False
    whole_as_part: bool = False


@dataclass(frozen=True)
class Seen:
    """One request. server: "hub" or "lfs"; name: the file's, "" for the interface."""

    server: str
    method: str
    path: str
    name: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, in memory or on disk; the hash is SHA-256 in LFS, Git's SHA-1 outside."""

    repo: str
    name: str
    data: bytes | Path
    is_lfs: bool
    hash: str
    size_bytes: int

    @property
    def xet_hash(self) -> str:
        """What Xet storage tells as ETag: as long as a SHA-256, and another hash."""
        return hashlib.sha256(f"xet {self.hash}".encode()).hexdigest()

    def read(self, start: int, size: int, stream: BinaryIO | None) -> bytes:
        if isinstance(self.data, bytes):
            return self.data[start : start + size]
        assert stream is not None
        stream.seek(start)
        return stream.read(size)


class LocalHub:
    """`url` is the hub's address. `fault` decides for each request what goes wrong, None is nothing."""

    def __init__(self, host: str = "127.0.0.1", lfs_host: str = "localhost") -> None:
        self.seen: list[Seen] = []
        self.files: dict[tuple[str, str], HubFile] = {}
        self.fault: Callable[[Seen], Fault | None] = lambda seen: None
        self.commit = hashlib.sha1(b"commit").hexdigest()
        self._servers = [_Server(self, "hub"), _Server(self, "lfs")]
        self.url = f"http://{host}:{self._servers[0].server_port}"
        self.lfs_url = f"http://{lfs_host}:{self._servers[1].server_port}"

    def add(self, repo: str, name: str, data: bytes | Path, *, lfs: bool | None = None) -> HubFile:
        """Publish a file; `lfs` by default for what is larger than 1 KiB or binary by name."""
        size_bytes = len(data) if isinstance(data, bytes) else data.stat().st_size
        is_lfs = lfs if lfs is not None else not name.endswith((".json", ".md", ".txt"))
        digest = hashlib.sha256() if is_lfs else hashlib.sha1(b"blob %d\0" % size_bytes)
        if isinstance(data, bytes):
            digest.update(data)
        else:
            with data.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
        file = HubFile(repo, name, data, is_lfs, digest.hexdigest(), size_bytes)
        self.files[repo, name] = file
        return file

    def add_folder(self, repo: str, folder: Path) -> None:
        """Publish all files of a folder."""
        for path in sorted(folder.iterdir()):
            if path.is_file():
                self.add(repo, path.name, path)

    def file_requests(self, server: str | None = None) -> list[Seen]:
        return [seen for seen in self.seen if seen.name and server in (None, seen.server)]

    def settle(self) -> None:
        """Wait until nothing of clients that are gone is answered any more."""
        for server in self._servers:
            server.settle()

    def close_storage(self) -> None:
        """Only the hub is left."""
        self._close([self._servers.pop()])

    def close(self) -> None:
        self._close(self._servers)

    def reopen(self) -> None:
        """Come back at the same addresses."""
        self._servers = [_Server(self, server.role, server.server_port) for server in self._servers]

    def _close(self, servers: Sequence[_Server]) -> None:
        for server in servers:
            server.shutdown()
            server.server_close()
        for server in servers:
            server.cut_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: LocalHub, role: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub = hub
        self.role = role
        self.connections: set[Any] = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def settle(self) -> None:
        """What was sent before is accepted before this, and over once no connection is left."""
        last = HTTPConnection(*self.server_address[:2])
        last.request("HEAD", "/")
        last.getresponse().close()
        last.close()
        while self.connections:
            time.sleep(0.01)

    def cut_all(self) -> None:
        """End the connections that are still open, as a machine that goes away does."""
        for connection in list(self.connections):
            try:
                connection.shutdown(2)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True
    _is_gzipped = False  # of the interface's answers

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        hub = self.server.hub
        file = self._find_file(path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        seen = Seen(self.server.role, self.command, path, file.name if file else "", headers)
        hub.seen.append(seen)
        fault = hub.fault(seen) or Fault()
        if fault.is_page:
            self._reply_with_page()
        elif fault.status is not None:
            self._reply(fault.status, b"", fault.headers)
        elif file is not None and file.is_lfs and self.server.role == "hub":
            self._redirect(file, fault)
        elif file is not None and _RESOLVE.fullmatch(path) and not path.startswith("/models/"):
            self._redirect_within(file)
        elif file is not None:
            self._send_file(file, fault)
        elif path.startswith("/api/models"):
            self._is_gzipped = fault.is_gzipped
            self._interface(path, parse_qs(parts.query))
        else:
            self._refuse(_RESOLVE.fullmatch(path))

    def _find_file(self, path: str) -> HubFile | None:
        files = self.server.hub.files
        if self.server.role == "lfs":
            wanted = path.rpartition("/")[2]
            return next((file for file in files.values() if file.hash == wanted), None)
        match = _RESOLVE.fullmatch(path) or _RESOLVED.fullmatch(path)
        if match is None or not self._has_revision(path, match["revision"]):
            return None
        return files.get((match["repo"], match["name"]))

    def _has_revision(self, path: str, revision: str) -> bool:
        branch = "master" if path.startswith("/models/") else "main"
        return revision in (branch, self.server.hub.commit)

    def _refuse(self, match: re.Match[str] | None) -> None:
        """A repository that nobody may see is refused alike."""
        if match is None:
            self._reply(404, b"", {})
        elif not any(repo == match["repo"] for repo, _ in self.server.hub.files):
            self._reply(401, b"", {"X-Error-Code": "RepoNotFound"})
        else:
            has_revision = self._has_revision(match.string, match["revision"])
            self._reply(404, b"", {"X-Error-Code": "EntryNotFound" if has_revision else "RevisionNotFound"})

    def _redirect_within(self, file: HubFile) -> None:
        commit = self.server.hub.commit
        place = quote(f"/api/resolve-cache/models/{file.repo}/{commit}/{file.name}")
        self._reply(307, b"", {"Location": f"{place}?etag=%22{file.hash}%22", "X-Repo-Commit": commit})

    def _redirect(self, file: HubFile, fault: Fault) -> None:
        hub = self.server.hub
        token_url = f"{hub.url}/api/models/{file.repo}/xet-read-token/{hub.commit}"
        self._reply(
            302,
            b"",
            {
                "Location": f"{hub.lfs_url}/lfs/{file.hash}?X-Signature=1",
                "X-Repo-Commit": hub.commit,
                "X-Linked-Size": str(fault.size if fault.size is not None else file.size_bytes),
                "X-Linked-ETag": f'"{fault.etag or file.hash}"',
                "X-Xet-Hash": file.xet_hash,
                "Link": f'<{token_url}>; rel="xet-auth"',
                "Accept-Ranges": "bytes",
            },
        )

    def _send_file(self, file: HubFile, fault: Fault) -> None:
        start, stop, status = 0, file.size_bytes, 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        total = fault.size if fault.size is not None else file.size_bytes
        if match and not fault.no_ranges:
            start = int(match[1])
            stop = min(stop, int(match[2]) + 1) if match[2] else stop
            status = 206
            if start >= file.size_bytes:
                self._reply(416, b"", {"Content-Range": f"bytes */{total}"})
                return
        if fault.whole_as_part:
            start, stop = 0, file.size_bytes
        self.send_response(status)
        etag = f'"{file.xet_hash if file.is_lfs else file.hash}"'
        if fault.etag is not None:
            etag = fault.etag if fault.etag.startswith("W/") else fault.etag and f'"{fault.etag}"'
        for name, value in (("ETag", etag), ("Last-Modified", fault.last_modified)):
            if value:
                self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Repo-Commit", self.server.hub.commit)
        if status == 206 and not fault.no_content_range:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{total}")
        if status == 200 and fault.is_gzipped:
            self._send_gzipped(file)
            return
        if fault.no_length:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(stop - start if status == 206 else total))
        self.end_headers()
        if self.command == "GET":
            self._send_body(file, start, stop, fault)

    def _send_gzipped(self, file: HubFile) -> None:
        stream = file.data.open("rb") if isinstance(file.data, Path) else None
        data = gzip.compress(file.read(0, file.size_bytes, stream))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_body(self, file: HubFile, start: int, stop: int, fault: Fault) -> None:
        stream = file.data.open("rb") if isinstance(file.data, Path) else None
        piece_bytes = _PIECE_BYTES if fault.bytes_per_s is None else max(1, int(fault.bytes_per_s / 20))
        sent = 0
        try:
            if stream is not None and fault == Fault():
                self.wfile.flush()
                self.connection.sendfile(stream, start, stop - start)
                return
            while start < stop:
                piece = bytearray(file.read(start, min(piece_bytes, stop - start), stream))
                if fault.flip_at is not None and start <= fault.flip_at < start + len(piece):
                    piece[fault.flip_at - start] ^= 1
                if fault.stop_after is not None and sent + len(piece) > fault.stop_after:
                    self._write(piece[: fault.stop_after - sent], fault)
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                self._write(piece, fault)
                sent += len(piece)
                start += len(piece)
                if fault.bytes_per_s is not None:
                    time.sleep(len(piece) / fault.bytes_per_s)
            if fault.no_length:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        finally:
            if stream is not None:
                stream.close()

    def _write(self, piece: bytes | bytearray, fault: Fault) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.no_length and piece else piece)

    def _interface(self, path: str, query: Mapping[str, list[str]]) -> None:
        hub = self.server.hub
        repos = sorted({repo for repo, _ in hub.files})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        if match is None:
            words = query.get("search", [""])[0].lower()
            found = [self._summary(repo) for repo in repos if words in repo.lower()]
            self._json(found[: int(query.get("limit", ["100"])[0])])
        elif match[1] in repos and match[2] in (None, "main", hub.commit):
            siblings = self._siblings(match[1], has_blobs=query.get("blobs") == ["true"])
            self._json(self._summary(match[1]) | {"siblings": siblings})
        elif match[1] in repos:
            self._reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            self._reply(401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _summary(self, repo: str) -> dict[str, Any]:
        return {
            "_id": "1",
            "id": repo,
            "modelId": repo,
            "sha": self.server.hub.commit,
            "downloads": 12,
            "likes": 3,
            "tags": ["bloom", "zh"],
            "gated": False,
            "private": False,
            "cardData": {"license": "apache-2.0"},
        }

    def _siblings(self, repo: str, *, has_blobs: bool) -> list[dict[str, Any]]:
        found = []
        for (owner, name), file in sorted(self.server.hub.files.items()):
            if owner != repo:
                continue
            entry: dict[str, Any] = {"rfilename": name}
            if has_blobs:
                blob = file.hash if not file.is_lfs else hashlib.sha1(file.hash.encode()).hexdigest()
                entry |= {"size": file.size_bytes, "blobId": blob}
            if has_blobs and file.is_lfs:
                entry["lfs"] = {"sha256": file.hash, "size": file.size_bytes, "pointerSize": 134}
            found.append(entry)
        return found

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        headers = {"Content-Type": "application/json"}
        if self._is_gzipped:
            body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
        self._reply(200, body, headers)

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _reply_with_page(self) -> None:
        """As a captive portal answers whatever is asked: of no length that is told."""
        page = b"<html>Welcome</html>"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(page), page))
