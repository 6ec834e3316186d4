"""Which blocks of a file are missing, at work or done, handed out in runs to several threads.

Runs come from the front, so that the finished part of the file grows without gaps and can be hashed. Knows
neither files nor networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Condition

_MISSING, _ACTIVE, _DONE = 0, 1, 2
_LONGEST_RUN = 16


@dataclass
class Run:
    """Blocks `block` to `end` that one thread fetches. offset: in the file, of the next byte wanted.

    crc: of the bytes of `block` that are there already.
    """

    block: int
    end: int
    offset: int
    crc: int = 0


class BlockQueue:
    """For any number of threads; `changed` is notified whenever something finishes, returns or stops."""

    def __init__(self, n_blocks: int, block_bytes: int, n_threads: int) -> None:
        self.changed = Condition()
        self._states = bytearray(n_blocks)
        self._block_bytes = block_bytes
        self._n_threads = n_threads
        self._first_missing = 0
        self._n_done = 0
        self._is_stopped = False

    @property
    def is_complete(self) -> bool:
        return self._n_done == len(self._states)

    @property
    def n_done(self) -> int:
        return self._n_done

    def is_done(self, block: int) -> bool:
        return self._states[block] == _DONE

    def take(self) -> Run | None:
        """The next run; waits while all that is missing is at work; None when there is nothing to do."""
        with self.changed:
            while not self._is_stopped and not self.is_complete:
                block = self._states.find(_MISSING, self._first_missing)
                if block >= 0:
                    return self._take_from(block)
                self.changed.wait()
            return None

    def _take_from(self, block: int) -> Run:
        n_missing = self._states.count(_MISSING)
        # Short runs at the end, so that all connections finish together.
        n_wanted = max(1, min(_LONGEST_RUN, n_missing // (2 * self._n_threads)))
        end = block
        while end < len(self._states) and end - block < n_wanted and self._states[end] == _MISSING:
            self._states[end] = _ACTIVE
            end += 1
        self._first_missing = end
        return Run(block, end, block * self._block_bytes)

    def finish(self, block: int) -> None:
        """A block is there."""
        with self.changed:
            if self._states[block] != _DONE:
                self._states[block] = _DONE
                self._n_done += 1
            self.changed.notify_all()

    def give_back(self, run: Run) -> None:
        """What is left of a run is missing again."""
        with self.changed:
            for block in range(run.block, run.end):
                if self._states[block] == _ACTIVE:  # and not done by another thread meanwhile
                    self._states[block] = _MISSING
            self._first_missing = min(self._first_missing, run.block)
            self.changed.notify_all()

    def wait_for(self, block: int) -> bool:
        """Whether `block` is done, after waiting for it; false when stopped."""
        with self.changed:
            self.changed.wait_for(lambda: self._is_stopped or self._states[block] == _DONE)
            return self._states[block] == _DONE

    def stop(self) -> None:
        """Let everybody who waits go on."""
        with self.changed:
            self._is_stopped = True
            self.changed.notify_all()
