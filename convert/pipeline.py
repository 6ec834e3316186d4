"""Carry out a plan: stream the weights through the kernels into one verified GGUF file.

One pass over the checkpoint, a few row chunks in memory, progress as a generator. What is written is read
back and compared before it gets its name. Knows neither checkpoint formats nor architectures.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from convert.errors import VerificationFailed
from convert.gguf_file import HeaderError, pad, parse_tensor_infos
from convert.output import PendingOutput
from convert.plan import Plan, PlannedTensor, make_plan, output_size_bytes
from convert.quantize import Job, default_threads, quantize_tensors, source_size_bytes

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Converted", "Plan", "Progress", "convert", "make_plan", "output_size_bytes"]


@dataclass(frozen=True)
class Progress:
    """How far the work is. tensor: the one at work, of which `n_tensors_done` are finished.

    done_bytes and total_bytes: in the phase "convert" of the checkpoint's weights, in "verify" of the output.
    """

    phase: Literal["convert", "verify"]
    tensor: str
    n_tensors_done: int
    n_tensors: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Converted:
    """The finished file. sha256: hexadecimal, of all of it. seconds: wall-clock, verification included.

    peak_rss_bytes: of this process since it started. n_nonfinite: by tensor, weights that were NaN, infinite
    or too large for the type (see `convert.quantize.Chunk`); tensors without any are left out. types: tensors
    of each ggml type.
    """

    path: Path
    size_bytes: int
    sha256: str
    seconds: float
    peak_rss_bytes: int
    n_nonfinite: Mapping[str, int]
    types: Mapping[str, int]


def convert(
    plan: Plan,
    output: Path,
    *,
    threads: int | None = None,
    force: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Progress | Converted]:
    """Write `plan` to `output`: `Progress` values, then one `Converted`.

    When `is_cancelled` returns true, or the generator is closed, or anything raises, no file is left; a
    cancelled run just ends without a `Converted`. threads: None is one a core. Raises `OutputError`s,
    `engine.errors.NativeLibraryMissing`, and what the sources raise.
    """
    started_s = time.monotonic()
    with PendingOutput(output, plan.size_bytes, force=force) as pending:
        run = _Run(plan, pending, output, is_cancelled)
        yield from run.write(threads or default_threads())
        if not run.stops():
            yield from run.verify()
        if run.stops():
            return
        pending.publish()
        yield Converted(
            path=output,
            size_bytes=plan.size_bytes,
            sha256=run.digest.hexdigest(),
            seconds=time.monotonic() - started_s,
            peak_rss_bytes=peak_rss_bytes(),
            n_nonfinite=run.n_nonfinite,
            types=dict(Counter(tensor.type.name.lower() for tensor in plan.tensors)),
        )


@dataclass
class _Run:
    """The state of one conversion.

    digest: of all bytes written so far; checkpoints: its value after the header and after each tensor, so
    that a difference can be placed.
    """

    plan: Plan
    pending: PendingOutput
    output: Path
    is_cancelled: Callable[[], bool]
    was_cancelled: bool = False
    digest: _Hash = field(default_factory=hashlib.sha256)
    checkpoints: list[bytes] = field(default_factory=list)
    n_nonfinite: Counter[str] = field(default_factory=Counter)

    def stops(self) -> bool:
        """Whether the run was cancelled, now or earlier."""
        self.was_cancelled = self.was_cancelled or self.is_cancelled()
        return self.was_cancelled

    def write(self, n_threads: int) -> Iterator[Progress]:
        """Header and data, in one pass; stops early when cancelled."""
        tensors = self.plan.tensors
        total_bytes = sum(source_size_bytes(tensor.mapped) for tensor in tensors)
        done_bytes = n_done = 0
        self._append(self.plan.header)
        self.checkpoints.append(self.digest.digest())
        chunks = quantize_tensors(
            [Job(tensor.mapped, tensor.type, tensor.is_copied) for tensor in tensors], n_threads=n_threads
        )
        try:
            for chunk in chunks:
                if self.stops():
                    return
                self._append(chunk.data.data)
                done_bytes += chunk.n_source_bytes
                name = chunk.job.mapped.name
                self.n_nonfinite.update({name: chunk.n_nonfinite} if chunk.n_nonfinite else {})
                if chunk.is_last:
                    self._finish_tensor(tensors[n_done])
                    n_done += 1
                yield Progress("convert", name, n_done, len(tensors), done_bytes, total_bytes)
        finally:
            chunks.close()

    def _append(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.pending.write(data)

    def _finish_tensor(self, tensor: PlannedTensor) -> None:
        self._append(bytes(pad(tensor.size_bytes) - tensor.size_bytes))
        self.checkpoints.append(self.digest.digest())

    def verify(self) -> Iterator[Progress]:
        """Read everything back from the disk and compare; raises `VerificationFailed` naming the place."""
        self.pending.sync()
        self._check(self.pending.size_on_disk() == self.plan.size_bytes, "size")
        self._check_header_text()
        self.pending.rewind()
        parts = [("header", len(self.plan.header))]
        parts += [(tensor.mapped.name, pad(tensor.size_bytes)) for tensor in self.plan.tensors]
        digest = hashlib.sha256()
        done_bytes = 0
        for index, (name, size_bytes) in enumerate(parts):
            for block in self.pending.read_back(size_bytes):
                if self.stops():
                    return
                digest.update(block)
                done_bytes += len(block)
                yield Progress("verify", name, index, len(parts), done_bytes, self.plan.size_bytes)
            self._check(digest.digest() == self.checkpoints[index], name)

    def _check_header_text(self) -> None:
        """The header says what the plan says, read by other code than wrote it."""
        try:
            found = parse_tensor_infos(self.plan.header)
        except HeaderError as error:
            raise VerificationFailed(self.output, str(error)) from error
        self._check(found == tuple(tensor.info for tensor in self.plan.tensors), "tensor list")

    def _check(self, holds: bool, detail: str) -> None:
        if not holds:
            raise VerificationFailed(self.output, detail)


def peak_rss_bytes() -> int:
    """The most memory that this process has had resident so far."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":  # rusage would include the parent's peak at the moment of the fork
        status = Path("/proc/self/status").read_text()
        found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        if found:
            return int(found[0].split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
