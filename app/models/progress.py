"""What long work on models tells while it runs and at its end, whatever the work is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.models.download import Rate

Phase = Literal["ask", "check", "download", "copy", "link", "resume", "convert", "verify"]


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """How far it is. phase: "ask" is the hub's answer; "check" compares what an earlier run left of a
    download, "resume" of a conversion; "verify" reads a result back.

    item: the file or tensor at work. done_bytes and total_bytes: of the download, of the checkpoint's weights
    or of the result, by phase. ahead_bytes: of the done ones, those that only lie in memory. n_tensors: 0
    while nothing is converted. host: the one that bytes come from, "" where none are read; waiting_s: until
    it may be asked again, 0.0 while it may. commit: of the repository, "" where there is none. output: where
    the model will be, None while that is not known.
    """

    phase: Phase
    item: str
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_s: float = 0.0
    left_s: float | None = None
    ahead_bytes: int = 0
    n_tensors_done: int = 0
    n_tensors: int = 0
    host: str = ""
    waiting_s: float = 0.0
    commit: str = ""
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class WorkDone:
    """The finished model; `path` is the first file of a split one.

    sha256: hexadecimal, of a split one as `joined_hash` makes it; None where the bytes were not read. commit:
    of the repository it came from. is_confirmed: a hash that was known from elsewhere is this one.
    """

    path: Path
    size_bytes: int
    sha256: str | None
    commit: str = ""
    is_converted: bool = False
    is_confirmed: bool = False


class Pace:
    """Makes progress of bytes done; the rate begins anew with each phase."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._rate = Rate()

    def at(self, phase: Phase, item: str, done_bytes: int, total_bytes: int) -> WorkProgress:
        """The progress now."""
        if phase != self._phase:
            self._phase, self._rate = phase, Rate(done_bytes)
        self._rate.add(done_bytes)
        left_s = self._rate.left_s(total_bytes - done_bytes)
        return WorkProgress(phase, item, done_bytes, total_bytes, self._rate.bytes_per_s, left_s)
