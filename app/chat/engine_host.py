"""The engine as the app keeps it: one backend, one thread that uses it, and a state to show.

Loads what is asked for when it is not loaded, makes the demo on first use, and brings the engine back after
it stopped by itself. Knows neither conversations nor the history.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.chat.choices import ModelChoice, require_file
from app.chat.events import EngineState
from app.demo_model import prepare_demo
from app.errors import AppError
from app.home import Home
from app.models.finding import open_library
from convert.errors import ConvertError
from engine.backend import Backend
from engine.errors import EngineError, EngineStopped, UnfitProcessor
from engine.types import Event, LoadOptions, Message, ModelInfo, Sampling

_log = logging.getLogger(__name__)
_CLOSE_PATIENCE_S = 3.0


class _HostClosed(Exception):
    """Nothing is loaded any more."""


class EngineHost:
    """Methods marked with a star belong on the engine thread, where `submit` brings a job."""

    def __init__(
        self,
        home: Home,
        make_backend: Callable[[], Backend],
        on_change: Callable[[EngineState], None],
        on_bug: Callable[[BaseException], None],
    ) -> None:
        """on_change: called after each change of state. on_bug: takes what a job raised."""
        self._home = home
        self._make_backend = make_backend
        self._on_change = on_change
        self._on_bug = on_bug
        self._backend: Backend | None = None
        self._loaded: tuple[str, Path | None, LoadOptions] | None = None
        self._lock = threading.Lock()
        self._state = EngineState()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        self._closed = threading.Event()

    @property
    def state(self) -> EngineState:
        """What the engine does now."""
        with self._lock:
            return self._state

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job on the engine thread, after those before it; dropped once the host is closed."""
        with suppress(RuntimeError):
            self._thread.submit(job).add_done_callback(self._look_for_bug)

    def change(self, **changes: Any) -> None:
        """Set fields of the state and tell of it, if anything is different."""
        before = self.state
        if self.set(**changes) != before:
            self.tell()

    def set(self, **changes: Any) -> EngineState:
        """Set fields of the state, without telling yet."""
        with self._lock:
            self._state = replace(self._state, **changes)
            return self._state

    def tell(self) -> None:
        """Tell of the state; outside of all locks."""
        self._on_change(self.state)

    def ensure_loaded(self, choice: ModelChoice, options: LoadOptions) -> ModelInfo:
        """*Load `choice` with `options` unless it is.

        An engine that stops while loading gets a second chance. Raises EngineError, AppError, ConvertError;
        the state is `failed` then.
        """
        info = self.state.info
        if info is not None and self._loaded == (choice.key, choice.path, options):
            return info
        self._loaded = None
        self.change(phase="loading", model=choice, info=None, error=None, progress=None)
        try:
            info = self._load(choice, options)
        except (EngineError, AppError, ConvertError) as error:
            self.change(phase="failed", error=error, progress=None)
            raise
        self._loaded = (choice.key, choice.path, options)
        self.change(phase="ready", info=info, error=None, progress=None)
        if choice.path is not None and not choice.is_demo:
            open_library(self._home).note_used(choice.path)
        return info

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        """*Answer, see `Backend.chat`."""
        return self._engine().chat(messages, sampling)

    def restart(self, error: EngineStopped) -> None:
        """*Load the same model again after the engine stopped. Raises like `ensure_loaded`."""
        choice, loaded = self.state.model, self._loaded
        if choice is None or loaded is None or self._closed.is_set():
            return
        self._loaded = None
        self.change(phase="restarting", info=None, error=error)
        try:
            info = self._load(choice, loaded[2])
        except (EngineError, AppError, ConvertError) as failure:
            self.change(phase="failed", error=failure)
            raise
        self._loaded = loaded
        self.change(phase="ready", info=info, error=None)

    def give_up(self, error: UnfitProcessor) -> None:
        """*The engine stopped, and would again: it stays off until a model is asked for."""
        self._loaded = None
        self.change(phase="failed", info=None, error=error)

    def cancel(self) -> None:
        """End the running answer; from any thread."""
        if self._backend is not None:
            self._backend.cancel()

    def close(self) -> None:
        """Cancel, wait a little for the engine thread, and unload; what still waits is dropped."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        # Native code may take its time; whoever closes a window won't.
        for end in (self._thread.shutdown, self._unload):
            ending = threading.Thread(target=end, name="engine-end", daemon=True)
            ending.start()
            ending.join(_CLOSE_PATIENCE_S)

    def _unload(self) -> None:
        if self._backend is not None:
            self._backend.unload()

    def _engine(self) -> Backend:
        if self._backend is None:
            self._backend = self._make_backend()
        return self._backend

    def _load(self, choice: ModelChoice, options: LoadOptions) -> ModelInfo:
        path = self._file(choice)
        if self._closed.is_set():
            raise _HostClosed
        try:
            return self._engine().load(path, options, self._tell_progress)
        except EngineStopped as error:
            _log.warning("the engine stopped while loading %s: %s", path, error)
            if self._closed.is_set():
                raise
            self.change(phase="restarting", error=error, progress=None)
            return self._engine().load(path, options, self._tell_progress)

    def _tell_progress(self, share: float) -> None:
        if self.state.phase == "loading":
            self.change(progress=share)

    def _file(self, choice: ModelChoice) -> Path:
        if not choice.is_demo:
            return require_file(choice, self._home)
        return prepare_demo(self._home, lambda: None, is_cancelled=self._closed.is_set)

    def _look_for_bug(self, job: Future[None]) -> None:
        error = None if job.cancelled() else job.exception()
        if error is not None and self._closed.is_set():
            _log.info("a job ended with the app: %r", error)
        elif error is not None:
            _log.error("a job of the engine thread failed", exc_info=error)
            self._on_bug(error)
