"""The engine in a process of its own: a native library that aborts takes nothing else with it.

The process is started when it is needed, and again after it ended; the model comes back with it. See
`worker_protocol` for what is said, `worker_process` for the other side.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.backend import Backend, Progress, untold
from engine.conversation import read_conversation
from engine.deaths import DeathRecord, explained
from engine.errors import EngineBusy, EngineStopped, InvalidConversation, NoModelLoaded
from engine.sampling import check_sampling
from engine.types import (
    Event,
    FinishReason,
    LoadOptions,
    Message,
    ModelInfo,
    Sampling,
    ThoughtChunk,
    TokenChunk,
)
from engine.worker_handle import Call, WorkerHandle
from engine.worker_protocol import (
    Cancel,
    Chat,
    Ended,
    Failed,
    Load,
    Loaded,
    LoadProgress,
    Piece,
    ProtocolError,
    ThoughtPiece,
    Unload,
    Unloaded,
    failure,
    finished,
    pack,
)

SILENCE_LIMIT_S = 30.0
CANCEL_LIMIT_S = 20.0
_UNLOAD_PATIENCE_S = 2.0


class _Answer:
    """One `chat` from its call to its end, with a cancellation that may come at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._sent: tuple[WorkerHandle, Call] | None = None
        self._timer: threading.Timer | None = None

    @property
    def is_cancelled(self) -> bool:
        """Whether it is to end, begun or not."""
        with self._lock:
            return self._is_cancelled

    def sent(self, worker: WorkerHandle, call: Call) -> None:
        """The request is on its way; a cancellation that came meanwhile follows it."""
        with self._lock:
            self._sent = (worker, call)
            is_cancelled = self._is_cancelled
        if is_cancelled:
            self._send_cancel(worker, call)

    def cancel(self) -> None:
        with self._lock:
            if self._is_cancelled:
                return
            self._is_cancelled = True
            sent = self._sent
        if sent is not None:
            self._send_cancel(*sent)

    def ended(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._timer is not None:
                self._timer.cancel()

    def _send_cancel(self, worker: WorkerHandle, call: Call) -> None:
        """Native code that does not hear it ends with its process."""
        worker.send(Cancel(call.number))
        timer = threading.Timer(CANCEL_LIMIT_S, worker.kill, ("it did not stop when asked to",))
        timer.daemon = True
        with self._lock:
            self._timer = timer
        timer.start()


class WorkerBackend:
    """Implements `engine.backend.Backend` with a worker process; safe to use from several threads.

    peak_rss_bytes: the most memory the process had resident, known after `unload`.
    """

    def __init__(self, silence_limit_s: float = SILENCE_LIMIT_S) -> None:
        self._silence_limit_s = silence_limit_s
        self._commands = threading.RLock()  # held while anything but an answer is waited for
        self._worker: WorkerHandle | None = None
        self._model: tuple[Path, LoadOptions] | None = None
        self._is_loaded = False  # in the worker that is there now
        self._running: _Answer | None = None
        self._latest = _Answer()
        self._deaths = DeathRecord()
        self.peak_rss_bytes = 0

    @property
    def worker_pid(self) -> int | None:
        """The process that has the model; None when none was started."""
        return self._worker.pid if self._worker is not None else None

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        """Load the GGUF at `path` in place of the model held so far; an answer that still runs ends.

        Raises what `InProcessBackend.load` raises, EngineStopped when the process ended meanwhile,
        IllegalInstruction when another would end like it, and EngineKeepsStopping instead of trying a model
        with which it did so again and again.
        """
        self.cancel()
        with self._commands:
            self._running = None
            self._model = None
            info = self._load(path, options, progress)
            self._model = (path, options)
            return info

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        """Answer the last user message, or continue the last message if it is an answer.

        After the process has ended, the model is loaded again first. Raises at once what
        `InProcessBackend.chat` raises at once; while iterating also EngineStopped, IllegalInstruction,
        EngineKeepsStopping and what loading raises.
        """
        if self._model is None:
            raise NoModelLoaded
        if self._running is not None:
            raise EngineBusy
        check_sampling(sampling)
        read_conversation(messages)
        self._latest = _Answer()
        return self._answer(messages, sampling, self._latest)

    def cancel(self) -> None:
        """End the running answer as soon as possible; safe from any thread, harmless when nothing runs."""
        (self._running or self._latest).cancel()

    def unload(self) -> None:
        """Free the model; an answer that still runs is cancelled, a load that still runs ends its process."""
        self.cancel()
        if not self._commands.acquire(timeout=_UNLOAD_PATIENCE_S):
            if self._worker is not None:
                self._worker.is_closed = True
                self._worker.kill("unloaded")
            self._commands.acquire()
        try:
            self._running = None
            self._model = None
            if self._worker is not None and self._is_loaded:
                report = self._ask(self._worker, lambda call: Unload(call.number))
                assert isinstance(report, Unloaded)
                self.peak_rss_bytes = report.peak_rss_bytes
        except EngineStopped:
            pass  # that frees the model as well
        finally:
            self._is_loaded = False
            self._commands.release()

    def close(self) -> None:
        """End the process; a later `load` starts another."""
        self.cancel()
        worker, self._worker = self._worker, None
        self._is_loaded = False
        if worker is not None:
            worker.close()

    def _load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        self._is_loaded = False
        self._deaths.require_hope(path)
        worker = self._living_worker()
        try:
            report = self._ask(worker, lambda call: Load(call.number, path, options), progress)
        except EngineStopped as error:
            raise self._after_death(worker, path, error) from error
        assert isinstance(report, Loaded)
        self._is_loaded = True
        return report.info

    def _answer(self, messages: Sequence[Message], sampling: Sampling, answer: _Answer) -> Iterator[Event]:
        worker, call, path = self._begin(messages, sampling, answer)
        try:
            while True:
                report = self._next(worker, call, path, answer)
                if isinstance(report, Ended):
                    self._settle(answer, path, report)
                    yield finished(report)
                    return
                chunk = ThoughtChunk if isinstance(report, ThoughtPiece) else TokenChunk
                yield chunk(report.text)
        finally:
            worker.end(call)
            answer.cancel()
            answer.ended()
            if self._running is answer:
                self._running = None

    def _begin(
        self, messages: Sequence[Message], sampling: Sampling, answer: _Answer
    ) -> tuple[WorkerHandle, Call, Path]:
        with self._commands:
            if self._running is not None:
                raise EngineBusy
            if self._model is None:
                raise NoModelLoaded
            if not self._is_loaded or self._worker is None or self._worker.is_gone:
                self._load(*self._model)
            worker = self._living_worker()
            call = worker.begin()
            if answer.is_cancelled:  # ahead of the request, or a word might come before it is heard
                worker.send(Cancel(call.number))
            try:
                worker.send(Chat(call.number, tuple(map(pack, messages)), sampling))
            except ProtocolError as error:
                worker.end(call)
                raise InvalidConversation(str(error)) from error
            self._running = answer
            answer.sent(worker, call)
            return worker, call, self._model[0]

    def _next(
        self, worker: WorkerHandle, call: Call, path: Path, answer: _Answer
    ) -> ThoughtPiece | Piece | Ended:
        if self._running is not answer:  # the model was unloaded meanwhile
            raise NoModelLoaded
        try:
            report = self._receive(worker, call)
        except EngineStopped as error:
            raise self._after_death(worker, path, error) from error
        if self._running is not answer:
            raise NoModelLoaded
        assert isinstance(report, ThoughtPiece | Piece | Ended)
        return report

    def _settle(self, answer: _Answer, path: Path, report: Ended) -> None:
        answer.ended()
        if self._running is answer:
            self._running = None
        if report.reason is not FinishReason.CANCELLED:
            self._deaths.forget(path)

    def _living_worker(self) -> WorkerHandle:
        if self._worker is None or self._worker.is_gone or self._worker.is_closed:
            self._worker = WorkerHandle()
            weakref.finalize(self, self._worker.close)
        return self._worker

    def _ask(self, worker: WorkerHandle, request: Callable[[Call], Any], progress: Progress = untold) -> Any:
        call = worker.begin()
        try:
            worker.send(request(call))
            while isinstance(report := self._receive(worker, call), LoadProgress):
                progress(report.share)
            return report
        finally:
            worker.end(call)

    def _receive(self, worker: WorkerHandle, call: Call) -> Any:
        report = worker.receive(call, self._silence_limit_s)
        if isinstance(report, Failed):
            raise failure(report)
        return report

    def _after_death(self, worker: WorkerHandle, path: Path, error: EngineStopped) -> Exception:
        """What to raise: a process that was ended on purpose is no failure."""
        if worker.is_closed:
            return NoModelLoaded()
        self._deaths.add(path, error.reason)
        return explained(error)


def _fulfils(backend: WorkerBackend) -> Backend:
    """Checked by mypy."""
    return backend
