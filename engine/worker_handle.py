"""One worker process as its parent sees it: started, listened to, asked, ended.

Three facts are kept of it: when it last gave a sign of life, what it said last on standard error, and how it
ended. Knows no models.
"""

from __future__ import annotations

import logging
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import IO, Any

from engine.errors import EngineStopped
from engine.parent_death import KillJob
from engine.worker_protocol import (
    MAX_FRAME_BYTES,
    MAX_LOG_CHARS,
    REPORTS,
    VERSION,
    Beat,
    Hello,
    LogLine,
    ProtocolError,
    Ready,
    Request,
    frame,
    read_frame,
)
from engine.worker_start import worker_command, worker_environment

_log = logging.getLogger("engine.worker")
_TICK_S = 1.0
_EXIT_PATIENCE_S = 2.0
_KEPT_LINES = 30
_SOURCE_FOLDER = re.compile(r"^\S*[/\\](?=[\w.-]+:\d+: )")  # of an assertion, on another machine


class Call:
    """What is asked of a worker; `reports` gets the answers, and None when there will be no more."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.n_bytes = 0


class WorkerHandle:
    """Starts a process; every method is safe on any thread.

    The thread that reads is the one that starts the process: Linux ends a child together with the thread
    that began it, and this thread lives as long as the process does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._n_calls = 0
        self._n_signs = 0
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._killed_because = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()
        self._job = KillJob()
        self.ended = threading.Event()
        self.is_closed = False
        threading.Thread(target=self._live, name="worker-reader", daemon=True).start()
        self._started.wait()

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended, also while its last words are still being read."""
        return self.ended.is_set() or (self._process is not None and self._process.poll() is not None)

    @property
    def pid(self) -> int | None:
        """The process's id; None if it could not be started."""
        return self._process.pid if self._process is not None else None

    def begin(self) -> Call:
        """A call with a number of its own, to be named in requests."""
        with self._lock:
            self._n_calls += 1
            call = self._calls[self._n_calls] = Call(self._n_calls)
            if self.ended.is_set():
                call.reports.put(None)
            return call

    def end(self, call: Call) -> None:
        """Take no more reports for a call."""
        with self._lock:
            self._calls.pop(call.number, None)

    def send(self, request: Request) -> None:
        """Send a request; to a worker that is gone, it goes nowhere. Raises ProtocolError: too long."""
        data = memoryview(frame(request))
        process = self._process
        if process is None or process.stdin is None:
            return
        with self._sending, suppress(OSError, ValueError):
            while data:
                data = data[process.stdin.write(data) :]

    def receive(self, call: Call, silence_limit_s: float) -> Any:
        """The next report for a call.

        Raises EngineStopped when the worker has ended, or was ended here for giving no sign of life. Time
        that this machine sleeps does not count.
        """
        silent_s = 0.0
        while True:
            n_signs = self._n_signs
            try:
                report = call.reports.get(timeout=_TICK_S)
            except queue.Empty:
                silent_s = 0.0 if n_signs != self._n_signs else silent_s + _TICK_S
                if silent_s >= silence_limit_s:
                    self.kill(f"no sign of life for {silence_limit_s:.0f} s")
                continue
            if report is None:
                raise self.stopped()
            return report

    def kill(self, reason: str) -> None:
        """End the process at once."""
        self._killed_because = self._killed_because or reason
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()

    def close(self) -> None:
        """Let the process go: it ends when its input does."""
        self.is_closed = True
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        if not self.ended.wait(_EXIT_PATIENCE_S):
            self.kill("closed")

    def stopped(self) -> EngineStopped:
        """How the process ended."""
        code = self._process.poll() if self._process is not None else None
        last_line = _SOURCE_FOLDER.sub("", self._lines[-1]) if self._lines else ""
        what = self._killed_because or _exit_text(code)
        return EngineStopped(f"{what}: {last_line}" if last_line else what, code, last_line)

    # The reading thread

    def _live(self) -> None:
        try:
            process = self._process = self._start()
        except OSError as error:
            self._killed_because = str(error)
            self._finish()
            return
        finally:
            self._started.set()
        listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        listener.start()
        try:
            self._read(process.stdout)
        except ProtocolError as error:
            self.kill(f"unintelligible: {error}")
        process.wait()
        listener.join(_EXIT_PATIENCE_S)
        self._finish()

    def _start(self) -> subprocess.Popen[bytes]:
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
            options = {"creationflags": flags}
        process = subprocess.Popen(
            worker_command(),
            env=worker_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **options,
        )
        self._job.add(int(getattr(process, "_handle", 0)))
        self._process = process
        self.send(Hello(VERSION, logging.getLogger("engine").getEffectiveLevel()))
        return process

    def _read(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        while (report := read_frame(pipe.read, REPORTS)) is not None:
            self._n_signs += 1
            match report:
                case Beat():
                    pass
                case LogLine():
                    logging.getLogger(_own_logger(report.logger)).log(report.level, "%s", report.text)
                case Ready():
                    if report.version != VERSION:
                        raise ProtocolError(f"version {report.version}")
                case _:
                    self._pass_on(report)

    def _pass_on(self, report: Any) -> None:
        with self._lock:
            call = self._calls.get(report.call)
        if call is not None:
            call.n_bytes += len(getattr(report, "text", ""))
            if call.n_bytes > MAX_FRAME_BYTES:
                raise ProtocolError("an answer without end")
            call.reports.put(report)

    def _listen(self, pipe: IO[bytes]) -> None:
        """Standard error, line by line: where native code writes before it aborts."""
        rest = b""
        while data := pipe.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-MAX_LOG_CHARS:]
            for line in lines:
                self._keep(line)
        self._keep(rest)

    def _keep(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()[:MAX_LOG_CHARS]
        if text:
            self._lines.append(text)
            _log.warning("%s", text)

    def _finish(self) -> None:
        with self._lock:
            self.ended.set()
            for call in self._calls.values():
                call.reports.put(None)
            self._calls.clear()
        if not self.is_closed:
            _log.warning("%s", self.stopped())
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()


def _own_logger(name: str) -> str:
    """Log lines of a worker stay under `engine`, whatever they claim."""
    return name if name.startswith("engine.") else f"engine.worker.{name}"


def _exit_text(code: int | None) -> str:
    """`SIGKILL`, `exit code 3`, `0xC0000005`."""
    if code is None:
        return "unknown"
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}" if code < 1 << 16 else f"0x{code:08X}"
