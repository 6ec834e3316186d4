"""What the deaths of the engine's process mean for the next one.

Three times within five minutes with the same model, and no answer in between, is a reason not to start it
once more without being asked; an instruction that the processor does not have is one at once. Knows no
processes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.errors import EngineKeepsStopping, EngineStopped, IllegalInstruction

MAX_DEATHS = 3
WINDOW_MINUTES = 5
ILLEGAL_INSTRUCTION = (-signal.SIGILL, 0xC000001D)
"""Exit codes of a process that came to one: elsewhere, and on Windows (STATUS_ILLEGAL_INSTRUCTION)."""


def explained(error: EngineStopped) -> EngineStopped | IllegalInstruction:
    """What to tell of a process that ended: its end, or why all others would end like it."""
    if error.exit_code not in ILLEGAL_INSTRUCTION:
        return error
    try:
        return IllegalInstruction(version("llama-cpp-python"))
    except PackageNotFoundError:  # libraries alone, as in a bundle
        return IllegalInstruction("")


class DeathRecord:
    """Remembers deaths by model; not safe to use from several threads at once."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._deaths: dict[Path, list[float]] = {}
        self._reasons: dict[Path, str] = {}

    def add(self, path: Path, reason: str) -> None:
        """The engine stopped with the model at `path`."""
        self._deaths.setdefault(path, []).append(self._now_s())
        self._reasons[path] = reason

    def forget(self, path: Path) -> None:
        """The model at `path` answered: it works."""
        self._deaths.pop(path, None)

    def require_hope(self, path: Path) -> None:
        """Raise EngineKeepsStopping after too many deaths, and forget them: who asks again, wants to try."""
        begin_s = self._now_s() - WINDOW_MINUTES * 60
        recent = [moment for moment in self._deaths.get(path, ()) if moment >= begin_s]
        if len(recent) >= MAX_DEATHS:
            del self._deaths[path]
            raise EngineKeepsStopping(path, len(recent), WINDOW_MINUTES, self._reasons[path])
