"""Threads that fill a part file from its sources, and one that hashes what is there without gaps.

Started, watched and stopped by `engine.models.download`, which knows about progress and cancellation.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event, Lock, get_ident
from typing import TYPE_CHECKING

from engine.models.block_queue import BlockQueue, Run
from engine.models.endpoints import RemoteFile
from engine.models.failover import Failover, Source
from engine.models.part_file import PartFile
from engine.models.reply import AttemptFailed, Reply
from engine.models.transport import Transport

if TYPE_CHECKING:
    from hashlib import _Hash

# A thread that is connecting can't be interrupted; it ends by itself and writes nothing any more.
_STOP_S = 2.0
_PIECE_BYTES = 1 << 20
_PIECE_S = 0.25


class FileHash:
    """SHA-256 of a file, and Git's hash where that is what is known of it; fed in order."""

    def __init__(self, file: RemoteFile, size_bytes: int) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._git: _Hash | None = None
        if file.sha256 is None and file.git_sha1 is not None:
            self._git = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def mismatch(self) -> tuple[str, str] | None:
        """The hash that was expected and the one that came out, where they differ."""
        if self._file.sha256 is not None:
            expected, found = self._file.sha256.lower(), self.sha256
        elif self._git is not None and self._file.git_sha1 is not None:
            expected, found = self._file.git_sha1.lower(), self._git.hexdigest()
        else:
            return None
        return None if expected == found else (expected, found)


class Transfer:
    """One pass over the missing blocks of `part`; `hosts` are those that bytes came from.

    The caller starts it, looks at `is_complete` and `check`, and stops it in any case.
    """

    def __init__(
        self, file: RemoteFile, part: PartFile, failover: Failover, transport: Transport, n_connections: int
    ) -> None:
        self.hash = FileHash(file, part.size_bytes)
        self.hosts: list[str] = []
        self.n_hashed = 0
        self._file = file
        self._part = part
        self._failover = failover
        self._transport = transport
        self._n_connections = max(1, min(n_connections, part.n_blocks))
        self._queue = BlockQueue(part.n_blocks, part.block_bytes, self._n_connections)
        self._stop = Event()
        self._replies: set[Reply] = set()
        self._lock = Lock()
        self._partial_bytes: dict[int, int] = {}
        self._came: dict[int, int] = {}  # how much of each unfinished block some attempt has got
        self._only_thread: int | None = None
        self._futures: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(self._n_connections + 1, thread_name_prefix="download")

    @property
    def done_bytes(self) -> int:
        """Bytes on disk, those of unfinished blocks too."""
        with self._lock:
            partial_bytes = sum(self._partial_bytes.values())
        n_done = self._queue.n_done
        full_bytes = n_done * self._part.block_bytes
        return min(self._part.size_bytes, full_bytes + partial_bytes)

    @property
    def is_complete(self) -> bool:
        """Everything is there and hashed."""
        return self._queue.is_complete and self.n_hashed == self._part.n_blocks

    @property
    def host(self) -> str:
        """Where the last bytes came from."""
        return self.hosts[-1] if self.hosts else ""

    def restore(self) -> Iterator[int]:
        """Compare the blocks that the record claims; yields after each how many bytes of them are good."""
        good_bytes = 0
        for block in sorted(self._part.claimed):
            data = self._part.read(block)
            if self._part.is_intact(block, data):
                self._queue.finish(block)
                good_bytes += len(data)
                if block == self.n_hashed:
                    self.hash.update(data)
                    self.n_hashed += 1
            yield good_bytes

    def start(self) -> None:
        """Begin; returns at once."""
        self._futures.append(self._pool.submit(self._hash_blocks))
        if not self._queue.is_complete:
            self._futures += [self._pool.submit(self._work) for _ in range(self._n_connections)]

    def wait(self, timeout_s: float) -> None:
        """Until something is done, at most `timeout_s`."""
        with self._queue.changed:
            if not self.is_complete:
                self._queue.changed.wait(timeout_s)

    def check(self) -> None:
        """Raise what a thread failed at."""
        for future in self._futures:
            if future.done():
                future.result()

    def stop(self) -> None:
        """End all threads, also those that wait for bytes."""
        self._stop.set()
        self._queue.stop()
        with self._lock:
            for reply in self._replies:
                reply.abort()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(self._futures, _STOP_S)

    def _hash_blocks(self) -> None:
        while self.n_hashed < self._part.n_blocks and self._queue.wait_for(self.n_hashed):
            self.hash.update(self._part.read(self.n_hashed))
            with self._queue.changed:
                self.n_hashed += 1
                self._queue.changed.notify_all()

    def _work(self) -> None:
        while not self._is_surplus() and (run := self._queue.take()) is not None:
            try:
                while run.block < run.end and not self._is_surplus():
                    source = self._failover.pick(self._stop)
                    if source is None:
                        return
                    self._attempt(run, source)
            finally:
                with self._lock:
                    self._partial_bytes.pop(id(run), None)
                self._queue.give_back(run)

    def _is_surplus(self) -> bool:
        """Whether another thread reads the file through, from a server that knows no ranges."""
        return self._only_thread not in (None, get_ident())

    def _attempt(self, run: Run, source: Source) -> None:
        started_s = time.monotonic()
        stop = min(run.end * self._part.block_bytes, self._part.size_bytes)
        try:
            with (
                self._transport.open_range(source.url, self._file, run.offset, stop) as reply,
                _Registered(reply, self._replies, self._lock),
            ):
                is_whole = reply.status == 200 and (run.offset > 0 or stop < self._part.size_bytes)
                if is_whole:
                    self._read_through(reply, run, source)
                else:
                    self._receive(reply, run, source)
            if run.block < run.end and not self._stop.is_set() and not self._is_surplus():
                raise AttemptFailed("broken", f"the answer ended at {run.offset} instead of {stop}")
        except AttemptFailed as failure:
            if not self._stop.is_set():
                self._failover.failed(source, failure, started_s)

    def _read_through(self, reply: Reply, run: Run, source: Source) -> None:
        """Take from the whole file what is missing: asked for each run, it would come again and again.

        Only one thread does so; the others end.
        """
        with self._lock:
            self._only_thread = self._only_thread or get_ident()
        if self._is_surplus():
            return
        whole = Run(0, self._part.n_blocks, 0)
        try:
            self._receive(reply, whole, source)
        finally:
            with self._lock:
                self._partial_bytes.pop(id(whole), None)
            self._skip_done(run)

    def _skip_done(self, run: Run) -> None:
        while run.block < run.end and self._queue.is_done(run.block):
            run.block += 1
            run.offset, run.crc = run.block * self._part.block_bytes, 0
            with self._lock:
                self._partial_bytes.pop(id(run), None)

    def _receive(self, reply: Reply, run: Run, source: Source) -> None:
        """Store what comes, in pieces large enough for the locks and the calls around them not to matter."""
        n_skipped = run.offset - reply.start
        piece, stored_s = bytearray(), time.monotonic()
        try:
            for chunk in reply.chunks():
                if self._stop.is_set():
                    return
                data = chunk[n_skipped:] if n_skipped else chunk
                n_skipped -= len(chunk) - len(data)
                piece += data
                if len(piece) >= _PIECE_BYTES or time.monotonic() - stored_s >= _PIECE_S:
                    self._keep(bytes(piece), run, source)
                    piece, stored_s = bytearray(), time.monotonic()
                    if run.block == run.end and reply.status == 200:
                        return  # more than was asked for: the rest of the file
        finally:
            if piece:
                self._keep(bytes(piece), run, source)

    def _keep(self, data: bytes, run: Run, source: Source) -> None:
        """A source that begins again and again, and never gets further, does not work."""
        if self._store(data, run):
            self._worked(source)

    def _store(self, data: bytes, run: Run) -> bool:
        """Write a piece of a run, block by block; whether it has bytes that no attempt got before."""
        is_new = False
        while data and run.block < run.end:
            offset, size = self._part.extent(run.block)
            piece = data[: offset + size - run.offset]
            is_missing = not self._queue.is_done(run.block)
            if is_missing:
                self._part.write(run.offset, piece)
            run.crc = zlib.crc32(piece, run.crc)
            run.offset += len(piece)
            data = data[len(piece) :]
            is_full = run.offset == offset + size
            if is_missing and is_full:
                self._part.finish_block(run.block, run.crc)
            n_came = run.offset - offset
            with self._lock:
                self._partial_bytes[id(run)] = n_came if is_missing and not is_full else 0
                if is_missing and n_came > self._came.get(run.block, 0):
                    self._came[run.block] = n_came
                    is_new = True
                if is_full:
                    self._came.pop(run.block, None)
            if is_full:
                self._queue.finish(run.block)
                run.block += 1
                run.crc = 0
        return is_new

    def _worked(self, source: Source) -> None:
        self._failover.succeeded(source)
        if self.host != source.host:
            with self._lock:
                self.hosts.append(source.host)


class _Registered:
    """A reply that can be aborted while the block runs."""

    def __init__(self, reply: Reply, replies: set[Reply], lock: Lock) -> None:
        self._reply = reply
        self._replies = replies
        self._lock = lock

    def __enter__(self) -> None:
        with self._lock:
            self._replies.add(self._reply)

    def __exit__(self, *unused: object) -> None:
        with self._lock:
            self._replies.discard(self._reply)
