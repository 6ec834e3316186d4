"""Long work off the screen's thread: a queue of errands, with progress, pause, resume and cancel.

Every job is recorded, so that after a restart, or a crash, it is there as paused. Two jobs work at a time:
one that waits for the network, and one that waits for this disk, so that nothing small waits for a download
of hours. Listeners are told from the workers' threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.errors import NameClaimed
from app.models.errands import Errand, Get, Work, discard_unfinished
from app.models.job_records import (
    JobRecord,
    State,
    forget_finished,
    hold_record,
    read_records,
    remove_record,
    save_record,
)
from app.models.progress import WorkDone, WorkProgress

_LOG = logging.getLogger(__name__)
_SAVE_S = 5.0
_TELL_S = 0.2
_CLOSE_PATIENCE_S = 5.0

Lane = Literal["network", "disk"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now. progress: the newest since this start of the app; error: of one that failed.

    done: at its end. is_stopping: it was paused or cancelled, and has not come to a stop yet.
    """

    record: JobRecord
    progress: WorkProgress | None = None
    error: Exception | None = None
    done: WorkDone | None = None
    is_stopping: bool = False

    @property
    def id(self) -> str:
        """What the methods of `Jobs` take."""
        return self.record.id

    @property
    def state(self) -> State:
        """What it does."""
        return self.record.state

    @property
    def errand(self) -> Errand:
        """What is to be done."""
        return self.record.errand

    @property
    def title(self) -> str:
        """For people."""
        return self.record.title

    @property
    def is_active(self) -> bool:
        """Whether it works or waits for its turn."""
        return self.state in ("queued", "running")

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1; None while that is not known.

        At work, what has come and is not written yet counts; a pause loses it.
        """
        known = self.progress if self.progress is not None and self.progress.total_bytes else self.record
        return min(1.0, known.done_bytes / known.total_bytes) if known.total_bytes else None


class Jobs:
    """All jobs, oldest first; every method may be called from any thread.

    carry_out: does an errand until its second argument says that it was cancelled. listener: told after each
    change of a job, of one at work five times a second; it must return quickly.
    """

    def __init__(
        self,
        folder: Path,
        carry_out: Callable[[Errand, Callable[[], bool]], Work],
        listener: Callable[[Job], None] = lambda job: None,
    ) -> None:
        """folder: of the records. Raises OSError."""
        self._folder = folder
        self._carry_out = carry_out
        self._listener = listener
        self._changed = threading.Condition()
        self._is_closed = False
        self._stops: dict[str, threading.Event] = {}  # of the jobs at work
        self._held: dict[str, int] = {}  # the locks of what is at work or queued
        self._again: set[str] = set()  # of those that stop, what was told to go on meanwhile
        self._threads: dict[Lane, threading.Thread] = {}
        folder.mkdir(parents=True, exist_ok=True)
        forget_finished(folder)
        # Never changed, only replaced: whoever looks must not wait for a record's way to the disk.
        self._jobs = {record.id: Job(record) for record in read_records(folder)}

    @property
    def all(self) -> tuple[Job, ...]:
        """Every job, in the order they were added; never waits."""
        return tuple(sorted(self._jobs.values(), key=lambda job: job.record.created_s))

    def find(self, job_id: str) -> Job | None:
        """The job, if it is still there; never waits."""
        return self._jobs.get(job_id)

    def is_claimed(self, path: Path, errand: Errand) -> bool:
        """Whether an unfinished job other than that of `errand` is going to make the file at `path`.

        Those that another process has begun or left count as well.
        """
        jobs = self._jobs
        records = [job.record for job in jobs.values() if job.state != "done"]
        records += [record for record in read_records(self._folder) if record.id not in jobs]
        return any(record.output == str(path) and not _is_same(record.errand, errand) for record in records)

    def add(self, errand: Errand) -> str:
        """Put an errand into the queue and return the job's id; an unfinished one is not added twice.

        One that has stopped goes on with another key, and one that did nothing yet with another tokenizer: as
        a job of its own, the new errand would find the name of its result claimed.
        """
        with self._changed:
            self._read_others()
            unfinished = [job for job in self.all if job.state != "done"]
            job = next((job for job in unfinished if _is_same(job.errand, errand)), None)
            if job is None:
                job = next((job for job in unfinished if _can_take_over(job, errand)), None)
                if job is not None:
                    job = Job(replace(job.record, errand=_at_commit_of(job.errand, errand)))
                    self._put(job)
            if job is None:
                job = Job(JobRecord(secrets.token_hex(8), errand, "queued", time.time()))
                self._put(job)
        self.resume(job.id)
        return job.id

    def resume(self, job_id: str) -> None:
        """Let a paused or failed job go on when its turn comes; one that is being paused, after that."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or self._is_closed:
                return
            if job.is_stopping:
                self._again.add(job_id)
            if job.state in ("paused", "failed"):
                self._put(Job(replace(job.record, state="queued")))
            self._start(_lane(job.errand))
            self._changed.notify_all()

    def pause(self, job_id: str) -> None:
        """Stop a job, and keep what it has done."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or not job.is_active:
                return
            self._again.discard(job_id)
            if job_id in self._stops:
                self._stops[job_id].set()
                self._put(replace(job, is_stopping=True), save=False)
            else:
                self._put(Job(replace(job.record, state="paused")))

    def cancel(self, job_id: str) -> None:
        """Stop a job and remove it, with everything unfinished; a finished model stays. Waits for its end."""
        with self._changed:
            while job_id in self._stops:
                self.pause(job_id)
                self._changed.wait()
            others = {id: job for id, job in self._jobs.items() if id != job_id}
            job, self._jobs = self._jobs.get(job_id), others
            self._release(job_id)
        if job is None:
            return
        is_unfinished = bool(job.record.output) and job.state != "done"
        if is_unfinished and all(other.record.output != job.record.output for other in others.values()):
            discard_unfinished(job.errand, Path(job.record.output))
        # Last: a job that is killed here comes back, so that nothing unfinished is left without one.
        remove_record(self._folder, job_id)
        self._listener(Job(replace(job.record, state="removed")))

    def close(self) -> None:
        """Pause what is at work and end the threads; harmless when repeated.

        A thread that waits for a hub without an answer is left behind: its job comes back as paused anyway.
        """
        with self._changed:
            self._is_closed = True
            for stop in self._stops.values():
                stop.set()
            self._changed.notify_all()
        for thread in self._threads.values():
            thread.join(_CLOSE_PATIENCE_S)
        with self._changed:
            for job_id in self._held.keys() - self._stops.keys():
                self._release(job_id)

    def wait(self, timeout_s: float) -> bool:
        """Until no job is queued or at work; false after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(job.is_active for job in self._jobs.values()), timeout_s
            )

    def _read_others(self) -> None:
        """Take note of what other processes have begun or left since, so that it does not become two jobs."""
        fresh = [record for record in read_records(self._folder) if record.id not in self._jobs]
        self._jobs = {**self._jobs, **{record.id: Job(record) for record in fresh}}

    def _start(self, lane: Lane) -> None:
        if lane not in self._threads:
            thread = threading.Thread(target=self._loop, args=(lane,), name=f"jobs-{lane}", daemon=True)
            self._threads[lane] = thread
            thread.start()

    def _loop(self, lane: Lane) -> None:
        while (job := self._next(lane)) is not None:
            ended = self._do(job)
            with self._changed:
                del self._stops[job.id]
                if job.id in self._again and ended.state == "paused" and not self._is_closed:
                    ended = Job(replace(ended.record, state="queued"))
                self._again.discard(job.id)
                self._put(ended)
                self._changed.notify_all()

    def _next(self, lane: Lane) -> Job | None:
        """The lane's oldest queued job, now running; waits for one; None at the end."""
        with self._changed:
            while not self._is_closed:
                queued = [job for job in self.all if job.state == "queued" and _lane(job.errand) == lane]
                if queued:
                    job = Job(replace(queued[0].record, state="running"))
                    self._stops[job.id] = threading.Event()
                    self._put(job)
                    return job
                self._changed.wait()
            return None

    def _do(self, job: Job) -> Job:
        """Work on a job until it ends in some way; what it is then."""
        stop = self._stops[job.id]
        saved_s = told_s = 0.0
        try:
            with contextlib.closing(self._carry_out(job.errand, stop.is_set)) as events:
                for event in events:
                    if isinstance(event, WorkDone):
                        record = replace(job.record, state="done", output=str(event.path))
                        return Job(record, job.progress, done=event)
                    now_s = time.monotonic()
                    is_new = job.progress is None or job.progress.phase != event.phase
                    job = _with_progress(job, event)
                    self._require_own_output(job)
                    saves, tells = now_s - saved_s >= _SAVE_S or is_new, now_s - told_s >= _TELL_S or is_new
                    saved_s, told_s = now_s if saves else saved_s, now_s if tells else told_s
                    with self._changed:
                        is_stopping = self._jobs[job.id].is_stopping
                        self._put(replace(job, is_stopping=is_stopping), save=saves, tell=tells)
                    if stop.is_set():
                        break
        except Exception as error:  # whatever it is, the queue goes on and the screen says so
            _LOG.warning("job %s failed", job.id, exc_info=error)
            return Job(replace(job.record, state="failed"), error=error)
        return Job(replace(job.record, state="paused"))

    def _require_own_output(self, job: Job) -> None:
        """Raise NameClaimed where another job has done something for a result of the same name."""
        for other in self._jobs.values():
            is_unfinished = other.state != "done" and other.record.done_bytes > 0
            is_other = other.id != job.id and not _is_same(other.errand, job.errand)
            if is_other and is_unfinished and other.record.output == job.record.output != "":
                raise NameClaimed(other.title, Path(job.record.output))

    def _put(self, job: Job, *, save: bool = True, tell: bool = True) -> None:
        self._jobs = {**self._jobs, job.id: job}
        if not job.is_active:
            self._release(job.id)
        elif save and job.id not in self._held:  # how far it is comes too often for that
            descriptor = hold_record(self._folder, job.id)
            if descriptor is not None:
                self._held[job.id] = descriptor
        if save:
            save_record(self._folder, job.record)
        if tell:
            self._listener(job)

    def _release(self, job_id: str) -> None:
        descriptor = self._held.pop(job_id, None)
        if descriptor is not None:
            os.close(descriptor)


def _lane(errand: Errand) -> Lane:
    return "network" if isinstance(errand, Get) else "disk"


def _is_same(known: Errand, errand: Errand) -> bool:
    """Whether two errands are for one model; a known one's branch has become a commit."""
    return known == _at_commit_of(known, errand)


def _can_take_over(job: Job, errand: Errand) -> bool:
    """Whether a stopped job is for the same files, and what it has done is good with what is given now."""
    known = job.errand
    if job.state not in ("paused", "failed") or not isinstance(known, Get) or not isinstance(errand, Get):
        return False
    if known.wish is None or errand.wish is None:
        return False
    wish = replace(known.wish, key=errand.wish.key)
    if not job.record.done_bytes:  # else it holds what the tokenizer became
        wish = replace(wish, tokenizer=errand.wish.tokenizer)
        known = replace(known, tokenizer_repo=errand.tokenizer_repo)
    return _is_same(replace(known, wish=wish), errand)


def _at_commit_of(known: Errand, errand: Errand) -> Errand:
    """`errand`, of the commit that is known already, and with its result where it was settled."""
    if not isinstance(known, Get) or not isinstance(errand, Get):
        return errand
    wish = errand.wish
    if known.wish is not None and wish is not None:
        wish = replace(wish, revision=known.wish.revision)
        if wish.type_name == known.wish.type_name:  # it makes no difference who chose it
            wish = replace(wish, target=known.wish.target)
    return replace(errand, wish=wish, output_name=known.output_name)


def _with_progress(job: Job, progress: WorkProgress) -> Job:
    record = job.record
    errand = record.errand
    if isinstance(errand, Get) and errand.wish is not None and progress.commit:
        errand = replace(errand, wish=replace(errand.wish, revision=progress.commit))
    if isinstance(errand, Get) and progress.output is not None:
        errand = replace(errand, output_name=progress.output.name)
    record = replace(record, errand=errand, output=str(progress.output or record.output))
    # Before its place is settled, what is fetched or compared is no part of the result.
    if progress.total_bytes and (progress.output is not None or not isinstance(errand, Get)):
        done_bytes = progress.done_bytes - progress.ahead_bytes
        record = replace(record, done_bytes=done_bytes, total_bytes=progress.total_bytes)
    return Job(record, progress)
