"""Carry out a plan: stream the weights through the kernels into one verified GGUF file.

One pass over the checkpoint, a few row chunks in memory, progress as a generator. What is written is read
back and compared before it gets its name. Knows neither checkpoint formats nor architectures.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from convert.errors import VerificationFailed
from convert.gguf_file import HeaderError, pad, parse_tensor_infos
from convert.output import PendingOutput
from convert.plan import Plan, PlannedTensor, make_plan, output_size_bytes
from convert.quantize import Job, default_threads, quantize_tensors, source_size_bytes
from convert.resumable import FinishedTensor, ResumableOutput

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["Converted", "Plan", "Progress", "convert", "make_plan", "output_size_bytes"]


@dataclass(frozen=True)
class Progress:
    """How far the work is. tensor: the one at work, of which `n_tensors_done` are finished.

    done_bytes and total_bytes: in the phase "convert" of the checkpoint's weights, in "verify" of the output,
    in "resume" of what an earlier run left of it.
    """

    phase: Literal["resume", "convert", "verify"]
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
    resume_id: str | None = None,
    announce: Callable[[Sequence[Job], int], None] = lambda jobs, n_threads: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Generator[Progress | Converted, None, None]:
    """Write `plan` to `output`: `Progress` values, then one `Converted`.

    When `is_cancelled` returns true, or the generator is closed, or anything raises, no file is left; a
    cancelled run just ends without a `Converted`. threads: None is one a core.

    resume_id: what the weights are (a repository's commit, for example). With it, an unfinished file stays,
    also after a kill, and the next run with the same plan and `resume_id` goes on at the tensor it was at;
    `convert.resumable.discard_partial` removes it.

    announce: told once, before any weight is read, what `convert.quantize` will do with how many threads, for
    sources that take long to answer. Raises `OutputError`s, what the sources raise, and
    `engine.errors.NativeLibraryMissing`.
    """
    started_s = time.monotonic()
    with _open_output(plan, output, resume_id, force=force) as pending:
        run = _Run(plan, pending, output, announce, is_cancelled)
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


def _open_output(plan: Plan, output: Path, resume_id: str | None, *, force: bool) -> PendingOutput:
    if resume_id is None:
        return PendingOutput(output, plan.size_bytes, force=force)
    return ResumableOutput(output, plan, resume_id, force=force)


@dataclass
class _Run:
    """The state of one conversion.

    digest: of all bytes written so far; checkpoints: its value after the header and after each tensor, so
    that a difference can be placed.
    """

    plan: Plan
    pending: PendingOutput
    output: Path
    announce: Callable[[Sequence[Job], int], None]
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
        if isinstance(self.pending, ResumableOutput):
            yield from self._reuse(self.pending)
        if self.stops():
            return
        if not self.checkpoints:
            self._append(self.plan.header)
            self.checkpoints.append(self.digest.digest())
        tensors = self.plan.tensors
        n_done = len(self.checkpoints) - 1
        sizes = [source_size_bytes(tensor.mapped) for tensor in tensors]
        done_bytes, total_bytes = sum(sizes[:n_done]), sum(sizes)
        jobs = [Job(tensor.mapped, tensor.type, tensor.is_copied) for tensor in tensors[n_done:]]
        self.announce(jobs, n_threads)
        if jobs:
            name = jobs[0].mapped.name
            yield Progress("convert", name, n_done, len(tensors), done_bytes, total_bytes)
        chunks = quantize_tensors(jobs, n_threads=n_threads)
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

    def _reuse(self, pending: ResumableOutput) -> Iterator[Progress]:
        """Take over what an earlier run finished, as far as it reads back as it was recorded."""
        header = self.plan.header
        kept: list[FinishedTensor] = []
        end_bytes = total_bytes = pending.finished[-1].end_bytes if pending.finished else 0
        pending.rewind()
        if pending.finished and b"".join(pending.read_back(len(header))) == header:
            self.digest.update(header)
            self.checkpoints.append(self.digest.digest())
        end_bytes = len(header) if self.checkpoints else 0
        for tensor, planned in zip(pending.finished if end_bytes else (), self.plan.tensors, strict=False):
            digest = self.digest.copy()
            for block in pending.read_back(pad(planned.size_bytes)):
                if self.stops():
                    return
                digest.update(block)
                yield Progress(
                    "resume", tensor.name, len(kept), len(self.plan.tensors), end_bytes, total_bytes
                )
            if (tensor.name, tensor.sha256) != (planned.mapped.name, digest.hexdigest()):
                break
            self.digest = digest
            self.checkpoints.append(digest.digest())
            self.n_nonfinite.update({tensor.name: tensor.n_nonfinite} if tensor.n_nonfinite else {})
            kept.append(tensor)
            end_bytes += pad(planned.size_bytes)
        pending.keep(kept, end_bytes)

    def _append(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.pending.write(data)

    def _finish_tensor(self, tensor: PlannedTensor) -> None:
        self._append(bytes(pad(tensor.size_bytes) - tensor.size_bytes))
        self.checkpoints.append(self.digest.digest())
        if isinstance(self.pending, ResumableOutput):
            name = tensor.mapped.name
            end_bytes = len(self.plan.header) + tensor.offset + pad(tensor.size_bytes)
            n_nonfinite = self.n_nonfinite[name]
            self.pending.record(FinishedTensor(name, end_bytes, self.digest.hexdigest(), n_nonfinite))

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
