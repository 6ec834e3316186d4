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
from convert.verification import Part, Verification

if TYPE_CHECKING:
    from hashlib import _Hash

_HEADER = "header"
_PART_BYTES = 32 << 20

__all__ = ["Converted", "Plan", "Progress", "convert", "make_plan", "output_size_bytes"]


@dataclass(frozen=True)
class Progress:
    """How far the work is. tensor: the one at work, of which `n_tensors_done` are finished.

    done_bytes and total_bytes: in the phase "convert" of the checkpoint's weights, in "verify" of the output,
    most of which has been compared by then, in "resume" of what an earlier run left of it.
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
    with (
        _open_output(plan, output, resume_id, force=force) as pending,
        Verification(pending, output) as verification,
    ):
        run = _Run(plan, pending, verification, announce, is_cancelled)
        yield from run.write(threads or default_threads())
        if not run.stops():
            yield from run.verify(output)
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

    digest: of all `written_bytes` so far, of which `verification` knows the first `marked_bytes`.
    """

    plan: Plan
    pending: PendingOutput
    verification: Verification
    announce: Callable[[Sequence[Job], int], None]
    is_cancelled: Callable[[], bool]
    was_cancelled: bool = False
    digest: _Hash = field(default_factory=hashlib.sha256)
    written_bytes: int = 0
    marked_bytes: int = 0
    n_done: int = 0
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
        if not self.written_bytes:
            self._append(self.plan.header, _HEADER)
            self._mark(_HEADER)
        tensors = self.plan.tensors
        sizes = [source_size_bytes(tensor.mapped) for tensor in tensors]
        done_bytes, total_bytes = sum(sizes[: self.n_done]), sum(sizes)
        jobs = [Job(tensor.mapped, tensor.type, tensor.is_copied) for tensor in tensors[self.n_done :]]
        self.announce(jobs, n_threads)
        if jobs:
            name = jobs[0].mapped.name
            yield Progress("convert", name, self.n_done, len(tensors), done_bytes, total_bytes)
        chunks = quantize_tensors(jobs, n_threads=n_threads)
        try:
            for chunk in chunks:
                if self.stops():
                    return
                name = chunk.job.mapped.name
                self._append(chunk.data.data, name)
                done_bytes += chunk.n_source_bytes
                self.n_nonfinite.update({name: chunk.n_nonfinite} if chunk.n_nonfinite else {})
                if chunk.is_last:
                    self._finish_tensor(tensors[self.n_done])
                yield Progress("convert", name, self.n_done, len(tensors), done_bytes, total_bytes)
        finally:
            chunks.close()

    def _reuse(self, pending: ResumableOutput) -> Iterator[Progress]:
        """Take over what an earlier run finished, as far as it reads back as it was recorded."""
        header = self.plan.header
        kept: list[FinishedTensor] = []
        total_bytes = pending.finished[-1].end_bytes if pending.finished else 0
        if pending.finished and b"".join(map(bytes, pending.read_back(0, len(header)))) == header:
            self._take_over(_HEADER, len(header), hashlib.sha256(header))
        for tensor, planned in zip(
            pending.finished if self.written_bytes else (), self.plan.tensors, strict=False
        ):
            digest = self.digest.copy()
            for block in pending.read_back(self.written_bytes, pad(planned.size_bytes)):
                if self.stops():
                    return
                digest.update(block)
                yield Progress(
                    "resume", tensor.name, len(kept), len(self.plan.tensors), self.written_bytes, total_bytes
                )
            if (tensor.name, tensor.sha256) != (planned.mapped.name, digest.hexdigest()):
                break
            self._take_over(tensor.name, pad(planned.size_bytes), digest)
            self.n_nonfinite.update({tensor.name: tensor.n_nonfinite} if tensor.n_nonfinite else {})
            kept.append(tensor)
        self.n_done = len(kept)
        pending.keep(kept, self.written_bytes)

    def _take_over(self, name: str, size_bytes: int, digest: _Hash) -> None:
        """Count the next `size_bytes` of the file as written, `digest` being that of all up to their end."""
        self.digest = digest
        self.written_bytes += size_bytes
        self._mark(name)

    def _append(self, data: bytes | memoryview, name: str) -> None:
        self.digest.update(data)
        self.pending.write(data)
        self.written_bytes += len(data)
        if self.written_bytes - self.marked_bytes >= _PART_BYTES:
            self._mark(name)

    def _mark(self, name: str) -> None:
        """What was written since the last mark, if anything, is a part of what is called `name`."""
        if self.written_bytes == self.marked_bytes:
            return
        self.marked_bytes = self.written_bytes
        self.verification.expect(Part(name, self.written_bytes, self.digest.digest()))

    def _finish_tensor(self, tensor: PlannedTensor) -> None:
        name = tensor.mapped.name
        self._append(bytes(pad(tensor.size_bytes) - tensor.size_bytes), name)
        self._mark(name)
        self.n_done += 1
        if isinstance(self.pending, ResumableOutput):
            finished = FinishedTensor(
                name, self.written_bytes, self.digest.hexdigest(), self.n_nonfinite[name]
            )
            self.pending.record(finished)

    def verify(self, output: Path) -> Iterator[Progress]:
        """Compare what is on the disk; raises `VerificationFailed` for `output`, naming the place."""
        if self.pending.size_on_disk() != self.plan.size_bytes:
            raise VerificationFailed(output, "size")
        _check_header_text(self.plan, output)
        names = [_HEADER, *(tensor.mapped.name for tensor in self.plan.tensors)]
        for part in self.verification.finish():
            if self.stops():
                return
            yield Progress(
                "verify",
                part.name,
                names.index(part.name),
                len(names),
                part.end_bytes,
                self.plan.size_bytes,
            )


def _check_header_text(plan: Plan, output: Path) -> None:
    """The header says what the plan says, read by other code than wrote it."""
    try:
        found = parse_tensor_infos(plan.header)
    except HeaderError as error:
        raise VerificationFailed(output, str(error)) from error
    if found != tuple(tensor.info for tensor in plan.tensors):
        raise VerificationFailed(output, "tensor list")


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
