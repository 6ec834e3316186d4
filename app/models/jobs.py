"""Long work off the screen's thread: a queue of models to get, with progress, pause, resume and cancel.

Every job is a small file in the data folder, so that after a restart, or a crash, it is there as paused. One
job works at a time; what it does is `app.models.acquire`'s business. Listeners are told from the worker's
thread.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.durable import write_file
from app.models.acquire import Acquired, AcquireProgress, Wish, acquire, discard
from app.typed_json import JsonMismatch, from_json, parse_json, to_json
from engine.models.endpoints import Endpoints

State = Literal["queued", "running", "paused", "failed", "done"]
Acquire = Callable[..., Generator[AcquireProgress | Acquired, None, None]]

_LOG = logging.getLogger(__name__)
_SUFFIX = ".job.json"
_SAVE_S = 5.0
_LIMIT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is kept of a job. error: the class of what went wrong, "" otherwise. output: where the model is
    going to be, "" until that is known. created_s: seconds since 1970.
    """

    id: str
    wish: Wish
    state: State
    created_s: float
    done_bytes: int = 0
    total_bytes: int = 0
    output: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is now. progress: since this start of the app; error: only until its end."""

    record: JobRecord
    progress: AcquireProgress | None = None
    error: Exception | None = None


class Jobs:
    """All jobs, oldest first; every method may be called from any thread.

    listener: told after each change of a job; it must return quickly.
    """

    def __init__(
        self,
        folder: Path,
        models: Path,
        endpoints: Callable[[], Endpoints],
        listener: Callable[[Job], None] = lambda job: None,
        work: Acquire = acquire,
    ) -> None:
        """folder: of the records. models: where models go. Raises OSError."""
        self._folder = folder
        self._models = models
        self._endpoints = endpoints
        self._listener = listener
        self._work = work
        self._changed = threading.Condition()
        self._is_closed = False
        self._running: str | None = None
        self._stop = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs = {record.id: Job(record) for record in _read_records(folder)}
        self._thread: threading.Thread | None = None

    @property
    def all(self) -> tuple[Job, ...]:
        """Every job, in the order they were added."""
        with self._changed:
            return tuple(sorted(self._jobs.values(), key=lambda job: job.record.created_s))

    def add(self, wish: Wish) -> str:
        """Put a wish into the queue and return the job's id; the same one is not added twice."""
        with self._changed:
            for job in self._jobs.values():
                if _is_same(job.record.wish, wish) and job.record.state != "done":
                    job_id = job.record.id
                    break
            else:
                job_id = secrets.token_hex(8)
                self._put(Job(JobRecord(job_id, wish, "queued", time.time())))
        self.resume(job_id)
        return job_id

    def resume(self, job_id: str) -> None:
        """Let a paused or failed job go on when its turn comes."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or self._is_closed:
                return
            if job.record.state in ("paused", "failed"):
                self._put(Job(replace(job.record, state="queued", error="")))
            self._start()
            self._changed.notify_all()

    def pause(self, job_id: str) -> None:
        """Stop a job, and keep what it has done."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.record.state not in ("queued", "running"):
                return
            if self._running == job_id:
                self._stop.set()
            else:
                self._put(Job(replace(job.record, state="paused")))

    def cancel(self, job_id: str) -> None:
        """Stop a job and remove it, with everything unfinished; a finished model stays."""
        with self._changed:
            if self._running == job_id:
                self._stop.set()
                self._changed.wait_for(lambda: self._running != job_id)
            job = self._jobs.pop(job_id, None)
            with contextlib.suppress(OSError):
                self._path(job_id).unlink()
        if job is not None and job.record.output and job.record.state != "done":
            discard(Path(job.record.output))

    def close(self) -> None:
        """Pause the running job and end the thread; harmless when repeated."""
        with self._changed:
            self._is_closed = True
            self._stop.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def wait(self, timeout_s: float) -> bool:
        """Until no job is queued or at work; false after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(job.record.state in ("queued", "running") for job in self._jobs.values()),
                timeout_s,
            )

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
            self._thread.start()

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            state, error = self._carry_out(job.record)
            with self._changed:
                last = self._jobs[job.record.id]
                record = replace(last.record, state=state, error=type(error).__name__ if error else "")
                self._running = None
                self._put(replace(last, record=record, error=error))
                self._changed.notify_all()

    def _next(self) -> Job | None:
        """The oldest queued job, now running; waits for one; None at the end."""
        with self._changed:
            while not self._is_closed:
                queued = [job for job in self.all if job.record.state == "queued"]
                if queued:
                    job = Job(replace(queued[0].record, state="running"))
                    self._running = job.record.id
                    self._stop.clear()
                    self._put(job)
                    return job
                self._changed.wait()
            return None

    def _carry_out(self, record: JobRecord) -> tuple[State, Exception | None]:
        saved_s = 0.0
        try:
            self._models.mkdir(parents=True, exist_ok=True)
            work = self._work(record.wish, self._models, self._endpoints(), is_cancelled=self._stop.is_set)
            with contextlib.closing(work) as events:
                for event in events:
                    if isinstance(event, Acquired):
                        self._note(record.id, output=str(event.path), done_bytes=event.size_bytes)
                        return "done", None
                    is_due = time.monotonic() - saved_s >= _SAVE_S
                    self._progress(record.id, event, save=is_due)
                    saved_s = time.monotonic() if is_due else saved_s
                    if self._stop.is_set():
                        return "paused", None
            return "paused", None
        except Exception as error:  # whatever it is, the queue goes on and the screen says so
            _LOG.warning("job %s failed", record.id, exc_info=error)
            return "failed", error

    def _progress(self, job_id: str, progress: AcquireProgress, *, save: bool) -> None:
        with self._changed:
            record = self._jobs[job_id].record
            record = replace(
                record,
                wish=replace(record.wish, revision=progress.commit),
                output=str(progress.output),
                done_bytes=progress.done_bytes,
                total_bytes=progress.total_bytes,
            )
            self._put(Job(record, progress), save=save)

    def _note(self, job_id: str, **changes: Any) -> None:
        with self._changed:
            job = self._jobs[job_id]
            self._put(replace(job, record=replace(job.record, **changes)))

    def _put(self, job: Job, *, save: bool = True) -> None:
        self._jobs[job.record.id] = job
        if save:
            try:
                write_file(self._path(job.record.id), to_json(job.record).encode())
            except OSError as error:  # a full disk must not end the queue
                _LOG.warning("job %s can't be recorded: %s", job.record.id, error)
        self._listener(job)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{_SUFFIX}"


def _is_same(known: Wish, wish: Wish) -> bool:
    """Whether two wishes are for one model; a known one's branch has become a commit."""
    return known == wish or replace(known, revision=wish.revision) == wish


def _read_records(folder: Path) -> list[JobRecord]:
    """The jobs of earlier runs, none of which is at work any more; what can't be read is left alone."""
    found: list[JobRecord] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            with path.open("rb") as file:
                record = from_json(JobRecord, parse_json(file.read(_LIMIT_BYTES).decode("utf-8")))
        except (OSError, JsonMismatch, ValueError) as error:
            _LOG.warning("the record %s can't be read: %s", path, error)
            continue
        if not re.fullmatch(r"[0-9a-f]{16}", record.id) or path.name != f"{record.id}{_SUFFIX}":
            continue
        if record.state in ("queued", "running"):
            record = replace(record, state="paused")
        found.append(record)
    return found
