"""The engine's process: an in-process backend behind frames on standard input and output.

The main thread works; a second one reads, so that cancelling reaches native code that is at work, and ends
the process when its input ends; a third sends signs of life. Whatever is not an EngineError ends the process:
the other side sees that, and starts a new one.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import IO, NoReturn

from engine.backend import Backend
from engine.errors import EngineError
from engine.loopback import confine_if_asked
from engine.memory import peak_rss_bytes
from engine.parent_death import Parent
from engine.types import Finished, ThoughtChunk, TokenChunk
from engine.worker_protocol import (
    MAX_LOG_CHARS,
    REQUESTS,
    VERSION,
    Beat,
    Cancel,
    Chat,
    Hello,
    Load,
    Loaded,
    LoadProgress,
    LogLine,
    Piece,
    ProtocolError,
    Ready,
    Report,
    Request,
    ThoughtPiece,
    Unload,
    Unloaded,
    ended,
    failed,
    frame,
    read_frame,
    unpack,
)

BEAT_S = 0.5
PIECE_S = 0.03
"""Text that follows a frame within this time goes with the next token: a frame takes time, on both sides."""
EXIT_PROTOCOL = 76


def serve() -> NoReturn:
    """Be a worker until the input ends."""
    incoming, outgoing = _take_streams()
    _behave()
    confine_if_asked()
    Worker(incoming, outgoing).run()
    os._exit(0)


class Worker:
    """Carries out requests in the order they come; only a Cancel overtakes."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._sending = threading.Lock()
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._cancelled = -1
        self._backend: Backend | None = None

    def run(self) -> None:
        """Never returns: the end of the input ends the process."""
        hello = self._read()
        if not isinstance(hello, Hello) or hello.version != VERSION:
            _give_up(f"expected Hello of version {VERSION}, got {hello}")
        _forward_log(self, hello.log_level)
        self.send(Ready(VERSION))
        threading.Thread(target=self._beat, args=(Parent(),), name="heart", daemon=True).start()
        threading.Thread(target=self._read_all, name="reader", daemon=True).start()
        from engine.in_process import InProcessBackend

        self._backend = backend = InProcessBackend()
        while True:
            self.carry_out(self._requests.get(), backend)

    def send(self, report: Report) -> None:
        """Send a frame; from any thread."""
        data = memoryview(frame(report))
        with self._sending:
            try:
                while data:
                    data = data[self._outgoing.write(data) :]
            except OSError:  # nobody is there any more
                os._exit(0)

    def carry_out(self, request: Request, backend: Backend) -> None:
        """Do what is asked, and answer; a failure of the engine's is an answer, too."""
        try:
            match request:
                case Load():
                    self._load(request, backend)
                case Chat():
                    self._chat(request, backend)
                case Unload():
                    backend.unload()
                    self.send(Unloaded(request.call, peak_rss_bytes()))
                case _:
                    _give_up(f"unexpected {request}")
        except EngineError as error:
            assert isinstance(request, Load | Chat | Unload)
            self.send(failed(request.call, error))

    def _load(self, request: Load, backend: Backend) -> None:
        def tell(share: float) -> None:
            self.send(LoadProgress(request.call, share))

        self.send(Loaded(request.call, backend.load(request.path, request.options, tell)))

    def _chat(self, request: Chat, backend: Backend) -> None:
        events = backend.chat([unpack(message) for message in request.messages], request.sampling)
        if self._cancelled == request.call:  # it came before there was anything to cancel
            backend.cancel()
        pieces = _Pieces(self, request.call)
        finished: Finished | None = None
        try:
            for event in events:
                if isinstance(event, Finished):
                    finished = event
                else:
                    pieces.add(event)
        finally:  # also before a failure is told
            pieces.send()
        assert finished is not None
        self.send(ended(request.call, finished))

    def _read_all(self) -> None:
        while True:
            request = self._read()
            if isinstance(request, Cancel):
                self._cancelled = request.call
                if self._backend is not None:
                    self._backend.cancel()
            else:
                self._requests.put(request)

    def _read(self) -> Request:
        try:
            request: Request | None = read_frame(self._incoming.read, REQUESTS)
        except OSError:
            request = None
        except ProtocolError as error:
            _give_up(str(error))
        if request is None:
            os._exit(0)
        return request

    def _beat(self, parent: Parent) -> None:
        waiting = threading.Event()
        while parent.is_alive:
            self.send(Beat())
            waiting.wait(BEAT_S)
        os._exit(0)


class _Pieces:
    """Sends the text of chunks, what comes quickly of one kind together."""

    def __init__(self, worker: Worker, call: int) -> None:
        self._worker = worker
        self._call = call
        self._kind: type[Piece | ThoughtPiece] = Piece
        self._text = ""
        self._sent_s = 0.0

    def add(self, chunk: ThoughtChunk | TokenChunk) -> None:
        kind = ThoughtPiece if isinstance(chunk, ThoughtChunk) else Piece
        if kind is not self._kind:
            self.send()
            self._kind = kind
        self._text += chunk.text
        if time.monotonic() - self._sent_s >= PIECE_S:
            self.send()

    def send(self) -> None:
        """Send what waits, if anything does."""
        if self._text:
            self._worker.send(self._kind(self._call, self._text))
            self._text, self._sent_s = "", time.monotonic()


class _LogForwarder(logging.Handler):
    """Sends log records; what is logged while sending is not sent."""

    def __init__(self, worker: Worker, level: int) -> None:
        super().__init__(level)
        self._worker = worker
        self._sending = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self._sending, "now", False):
            return
        self._sending.now = True
        try:
            text = self.format(record)[:MAX_LOG_CHARS]
            self._worker.send(LogLine(record.levelno, record.name[:80], text))
        finally:
            self._sending.now = False


def _forward_log(worker: Worker, level: int) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(_LogForwarder(worker, level))


def _take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Input and output for frames alone: what libraries print goes to standard error from now on."""
    incoming = os.fdopen(os.dup(0), "rb", buffering=0)
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return incoming, outgoing


def _behave() -> None:
    """Leave Ctrl-C to the parent, write no core dumps of a whole model, and be first when memory is short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)  # no dialogs about a crash
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")


def _give_up(reason: str) -> NoReturn:
    print(reason, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(EXIT_PROTOCOL)
