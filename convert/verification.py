"""What was written, read back from the disk and compared, while the next of it is written.

A thread of its own follows the writer at a distance. Every part is on the disk, and out of the system's cache
where that is possible, before it is read. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from convert.errors import VerificationFailed
from convert.output import PendingOutput


@dataclass(frozen=True)
class Part:
    """The next bytes of a file, up to `end_bytes`; digest: SHA-256 of the whole file up to there."""

    name: str
    end_bytes: int
    digest: bytes


class Verification:
    """Compares a pending output with what should be in it, part by part; a context manager.

    Every method raises `VerificationFailed`, naming the part, as soon as a difference is known.
    """

    def __init__(self, pending: PendingOutput, output: Path) -> None:
        """output: named in errors."""
        self._pending = pending
        self._output = output
        self._upcoming: deque[Part] = deque()
        self._started: deque[tuple[Part, Future[None]]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="verify")
        self._is_closing = threading.Event()
        # Of the thread alone:
        self._digest = hashlib.sha256()
        self._checked_bytes = 0

    def expect(self, part: Part) -> None:
        """Take note of what has been written, in the file's order, and check what the writer is done with."""
        self._upcoming.append(part)
        self._start(self._pending.settled_bytes)
        while self._started and self._started[0][1].done():
            self._started.popleft()[1].result()

    def finish(self) -> Iterator[Part]:
        """Check all that is left, now that nothing more will be written; every part once it was checked."""
        if self._upcoming:
            self._start(self._upcoming[-1].end_bytes)
        while self._started:
            part, check = self._started.popleft()
            check.result()
            yield part

    def _start(self, settled_bytes: int) -> None:
        while self._upcoming and self._upcoming[0].end_bytes <= settled_bytes:
            part = self._upcoming.popleft()
            self._started.append((part, self._pool.submit(self._check, part)))

    def _check(self, part: Part) -> None:
        size_bytes = part.end_bytes - self._checked_bytes
        self._pending.sync(self._checked_bytes, size_bytes)
        for block in self._pending.read_back(self._checked_bytes, size_bytes):
            if self._is_closing.is_set():
                return
            self._digest.update(block)
        self._checked_bytes = part.end_bytes
        if self._digest.digest() != part.digest:
            raise VerificationFailed(self._output, part.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
