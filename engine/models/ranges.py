"""Remote files read by position, with what will be wanted next on its way already.

A reader who knows its reads announces them (`ReadAhead.expect`): they are fetched in that order over several
connections, neighbours in one request, into a window of bounded size. Small reads that nobody announced are
kept in blocks, as directories and headers are read piece by piece. Nothing is written to disk.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event, Lock
from types import TracebackType
from typing import Self

from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.failover import Failover, Source
from engine.models.reply import AttemptFailed, Patience, Reply
from engine.models.transport import Transport

WINDOW_BYTES = 48 << 20
"""What may lie in memory before it is wanted."""

_REQUEST_BYTES = 8 << 20
# So much between two reads is fetched with them: less than what a request of its own costs.
_GAP_BYTES = 16 << 10
_N_CONNECTIONS = 6
_MAX_HELD = 256
_SMALL_BYTES = 64 << 10
_N_SMALL_BLOCKS = 128
_STOP_S = 2.0
_LOOK_S = 0.2


class ReadStopped(Exception):
    """The reader was closed while somebody waited for bytes."""


class RangeReader:
    """Reads of one remote file of known size, asked again and elsewhere until they succeed."""

    def __init__(
        self,
        file: RemoteFile,
        endpoints: Endpoints,
        transport: Transport,
        patience: Patience,
        reached: set[str],
    ) -> None:
        """reached: see `Failover`."""
        self.file = file
        self.fetched_bytes = 0
        self._failover = Failover(file.name, endpoints.locations(file), patience, reached)
        self._transport = transport
        self._stop = Event()
        self._replies: set[Reply] = set()
        self._n_reads = 0
        self._lock = Lock()

    @property
    def is_read(self) -> bool:
        """Whether somebody waits for bytes of it."""
        return self._n_reads > 0

    def waiting(self) -> tuple[str, float]:
        """The host that is asked next, and how many seconds until then."""
        return self._failover.next_host(), self._failover.waiting_s()

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`; raises a `FetchError`, or `ReadStopped` after `stop`."""
        data = bytearray()
        with self._lock:
            self._n_reads += 1
        try:
            while len(data) < size:
                source = self._failover.pick(self._stop)
                if source is None:
                    raise ReadStopped
                self._attempt(source, offset, size, data)
        finally:
            with self._lock:
                self._n_reads -= 1
        return bytes(data)

    def stop(self) -> None:
        """End every read, also those that wait for bytes."""
        self._stop.set()
        with self._lock:
            for reply in self._replies:
                reply.abort()

    def _attempt(self, source: Source, offset: int, size: int, data: bytearray) -> None:
        """Append to `data` what comes; it goes on after bytes that an earlier attempt got."""
        started_s = time.monotonic()
        n_before, is_vague = len(data), False
        start, stop = offset + n_before, offset + size
        try:
            with self._transport.open_range(source.url, self.file, start, stop) as reply:
                if reply.status == 200 and offset > 0:  # each read would cost all that is before it
                    raise AttemptFailed("rangeless", "the whole file instead of a range")
                is_vague = reply.is_vague
                with self._lock:
                    self._replies.add(reply)
                try:
                    self._receive(reply, source, start, size, data)
                finally:
                    with self._lock:
                        self._replies.discard(reply)
            if len(data) < size:
                raise AttemptFailed("broken", f"{len(data)} bytes of {size}")
            self._failover.succeeded(source)
        except AttemptFailed as failure:
            if is_vague:  # only its whole length tells that it was what was asked for
                del data[n_before:]
            if not self._stop.is_set():
                self._failover.failed(source, failure, started_s)

    def _receive(self, reply: Reply, source: Source, start: int, size: int, data: bytearray) -> None:
        n_skipped = start - reply.start
        for chunk in reply.chunks():
            piece = chunk[n_skipped:] if n_skipped else chunk
            n_skipped -= len(chunk) - len(piece)
            piece = piece[: size - len(data)]
            data += piece
            self.fetched_bytes += len(piece)
            if piece and not reply.is_vague:
                self._failover.succeeded(source)
            if self._stop.is_set() or (len(data) == size and reply.status == 200):
                return


@dataclass(frozen=True, slots=True)
class Extent:
    """A read: of which file (its name), from where, how much."""

    name: str
    offset: int
    size: int


class _Request:
    """Neighbouring extents in the file's order, fetched as one; dropped when all of them were taken."""

    def __init__(self, extents: list[Extent]) -> None:
        self.extents = extents
        self.n_left = len(extents)
        self.offset = extents[0].offset
        self.size = extents[-1].offset + extents[-1].size - self.offset
        self.future: Future[bytes] | None = None


class ReadAhead:
    """Files of one repository, read by position from any number of threads; close it after use."""

    def __init__(
        self,
        files: Iterable[RemoteFile],
        endpoints: Endpoints,
        patience: Patience | None = None,
        *,
        window_bytes: int = WINDOW_BYTES,
        n_connections: int = _N_CONNECTIONS,
    ) -> None:
        """files: each with its size."""
        patience = patience or Patience()
        self._transport = Transport(endpoints, patience, n_connections)
        reached: set[str] = set()
        self._readers = {
            file.name: RangeReader(file, endpoints, self._transport, patience, reached) for file in files
        }
        self._window_bytes = window_bytes
        self._pool = ThreadPoolExecutor(n_connections, thread_name_prefix="read-ahead")
        self._running: set[Future[bytes]] = set()
        self._closed = Event()
        self._lock = Lock()
        self._upcoming: deque[Extent] = deque()
        self._held: dict[Extent, _Request] = {}
        self._held_bytes = 0
        self._small: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    @property
    def fetched_bytes(self) -> int:
        """All bytes that came so far, over the network."""
        return sum(reader.fetched_bytes for reader in self._readers.values())

    def waiting(self) -> tuple[str, float]:
        """The host that is read from, and the seconds until it may be asked; "" and 0.0 where none is."""
        waits = [reader.waiting() for reader in self._readers.values() if reader.is_read]
        return min(waits, key=lambda wait: wait[1], default=("", 0.0))

    def expect(self, extents: Iterable[Extent]) -> None:
        """The reads to come, in this order; replaces what was expected before. Nothing after `close`."""
        with self._lock:
            if not self._closed.is_set():
                self._upcoming = deque(extent for extent in extents if extent.size)
                self._fill()

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes; raises a `FetchError`, or `ReadStopped` after `close`."""
        extent = Extent(name, offset, size)
        with self._lock:
            request = self._held.pop(extent, None)
        if request is None or request.future is None:
            return self._read_unexpected(extent)
        try:
            data = self._wait_for(request.future)
        except CancelledError as error:
            raise ReadStopped from error
        finally:
            with self._lock:
                request.n_left -= 1
                if not request.n_left:
                    self._held_bytes -= request.size
                self._fill()
        start = offset - request.offset
        return data if len(data) == size else data[start : start + size]

    def close(self) -> None:
        """Drop everything and end all reads; harmless when repeated."""
        with self._lock:
            self._closed.set()
            self._upcoming.clear()
        for reader in self._readers.values():
            reader.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.abort()
        wait(list(self._running), _STOP_S)
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> None:
        """Start what fits into the window; a single larger read may exceed it. The caller holds the lock."""
        while self._upcoming and len(self._held) < _MAX_HELD:
            if self._held_bytes and self._held_bytes + self._upcoming[0].size > self._window_bytes:
                return
            request = self._next_request()
            if request is None:
                continue
            self._held_bytes += request.size
            for extent in request.extents:
                self._held[extent] = request
            reader = self._readers[request.extents[0].name]
            request.future = self._pool.submit(reader.read_at, request.offset, request.size)
            self._running.add(request.future)
            request.future.add_done_callback(self._running.discard)

    def _wait_for(self, future: Future[bytes]) -> bytes:
        while not wait([future], _LOOK_S).done:
            if self._closed.is_set():  # a thread that is connecting can't be interrupted
                raise ReadStopped
        return future.result()

    def _next_request(self) -> _Request | None:
        extents: list[Extent] = []
        while self._upcoming and (not extents or _follows(self._upcoming[0], extents[-1])):
            extent = self._upcoming[0]
            if extents and extent.offset + extent.size - extents[0].offset > _REQUEST_BYTES:
                break
            self._upcoming.popleft()
            if extent not in self._held and extent not in extents:
                extents.append(extent)
        return _Request(extents) if extents else None

    def _read_unexpected(self, extent: Extent) -> bytes:
        if extent.size == 0:
            return b""
        with self._lock:  # someone read ahead of the window: it must not be fetched again later
            if extent in self._upcoming:
                self._upcoming.remove(extent)
        reader = self._readers[extent.name]
        if extent.size > _SMALL_BYTES:
            return reader.read_at(extent.offset, extent.size)
        first, last = extent.offset // _SMALL_BYTES, (extent.offset + extent.size - 1) // _SMALL_BYTES
        data = b"".join(self._small_block(reader, block) for block in range(first, last + 1))
        start = extent.offset - first * _SMALL_BYTES
        return data[start : start + extent.size]

    def _small_block(self, reader: RangeReader, block: int) -> bytes:
        key = (reader.file.name, block)
        with self._lock:
            if key in self._small:
                self._small.move_to_end(key)
                return self._small[key]
        offset = block * _SMALL_BYTES
        data = reader.read_at(offset, min(_SMALL_BYTES, (reader.file.size_bytes or 0) - offset))
        with self._lock:
            self._small[key] = data
            while len(self._small) > _N_SMALL_BLOCKS:
                self._small.popitem(last=False)
        return data


def _follows(extent: Extent, before: Extent) -> bool:
    gap = extent.offset - (before.offset + before.size)
    return extent.name == before.name and 0 <= gap <= _GAP_BYTES
