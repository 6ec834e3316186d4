"""What the worker adds to every token: from the moment the engine has it to the moment the app has it.

    python tests/benchmarks/worker_latency.py [N_TOKENS]

The worker runs its own code around a backend whose tokens are the time at which they were made; both
processes read the same monotonic clock. Once at 50 tokens a second, once as fast as they come.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine import worker_handle
from engine.backend import Progress, untold
from engine.types import (
    Event,
    Finished,
    FinishReason,
    LoadOptions,
    Message,
    ModelInfo,
    Sampling,
    Statistics,
    TokenChunk,
)
from engine.worker import WorkerBackend

_INFO = ModelInfo("clock.gguf", "clock", "none", "none", 0, 0, 0, 512, 512, 1, "belle", "00")
_STATISTICS = Statistics(1, 0, 1, 0.0, 0.0, None, 1, 512, 0, 0)


class ClockBackend:
    """Takes the place of the in-process backend within the worker."""

    def load(self, path: Path, options: LoadOptions, progress: Progress = untold) -> ModelInfo:
        return _INFO

    def chat(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Event]:
        for _ in range(sampling.max_tokens):
            time.sleep(sampling.temperature)
            yield TokenChunk(f"{time.monotonic_ns()} ")
        yield Finished(FinishReason.LENGTH, Message("assistant", ""), _STATISTICS)

    def cancel(self) -> None: ...

    def unload(self) -> None: ...


def _command() -> list[str]:
    code = (
        "import json, os, sys; sys.path[:] = json.loads(os.environ['CHATBELLE_WORKER_PATH']); "
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}]; "
        "import engine.in_process, worker_latency; "
        "engine.in_process.InProcessBackend = worker_latency.ClockBackend; "
        "from engine.worker_process import serve; serve()"
    )
    return [sys.executable, "-I", "-c", code]


def measure(backend: WorkerBackend, n_tokens: int, pause_s: float) -> list[float]:
    """Microseconds from worker to consumer, token by token; quick ones wait for their frame up to PIECE_S."""
    delays = []
    sampling = Sampling(temperature=pause_s, max_tokens=n_tokens)
    for event in backend.chat([Message("user", "time")], sampling):
        if isinstance(event, TokenChunk):
            delays += [(time.monotonic_ns() - int(made)) / 1000 for made in event.text.split()]
    return delays


def main() -> None:
    n_tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    worker_handle.worker_command = _command
    backend = WorkerBackend()
    backend.load(Path("clock.gguf"), LoadOptions())
    for name, pause_s in (("50 tokens a second", 0.02), ("1000 tokens a second", 0.001)):
        delays = sorted(measure(backend, n_tokens, pause_s))
        p95, median = delays[int(len(delays) * 0.95)], statistics.median(delays)
        sys.stdout.write(f"{name}: median {median:.0f} µs, p95 {p95:.0f} µs, highest {delays[-1]:.0f} µs\n")
    backend.close()


if __name__ == "__main__":
    main()
