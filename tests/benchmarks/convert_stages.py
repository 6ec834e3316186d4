"""Two measurements for convert_benchmark.py, each in a process of its own, as JSON on stdout.

    python tests/benchmarks/convert_stages.py floor SOURCE TYPE THREADS
    python tests/benchmarks/convert_stages.py stages SOURCE TYPE THREADS OUTPUT

floor: seconds of nothing but `ggml_quantize_chunk`, over rows that are in memory, with the types of the plan.
stages: processor seconds of all threads by what they were spent on, then seconds on the clock.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

_N_ROWS = 64


def floor(source: str, target: str, n_threads: int) -> dict[str, float]:
    """A tensor at a time: its rows into memory, then all threads at them."""
    from convert.detect import open_checkpoint
    from convert.quantize import read_mapped_rows
    from engine.native.kernels import quantize_rows

    wall_s = cpu_s = 0.0
    with open_checkpoint(Path(source)) as checkpoint, ThreadPoolExecutor(n_threads) as pool:
        for tensor in checkpoint.plan(target, checkpoint.prompt("auto")).tensors:
            rows = read_mapped_rows(tensor.mapped, 0, tensor.mapped.shape[0])
            rows = rows.reshape(-1, tensor.mapped.shape[-1])
            parts = [rows[start : start + _N_ROWS] for start in range(0, len(rows), _N_ROWS)]
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            for _ in pool.map(lambda part, type_=tensor.type: quantize_rows(type_, part).nbytes, parts):
                pass
            wall_s += time.perf_counter() - start_s
            cpu_s += time.process_time() - start_cpu_s
    return {"wall_s": wall_s, "cpu_s": cpu_s}


class Stages:
    """Processor seconds by stage, from functions that were replaced by measured ones."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def watch(self, owner: Any, name: str, stage: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        @wraps(inner)
        def measured(*arguments: Any, **named: Any) -> Any:
            start_s = time.thread_time()
            try:
                return inner(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds[stage] += time.thread_time() - start_s

        setattr(owner, name, measured)


def stages(source: str, target: str, n_threads: int, output: str) -> dict[str, float]:
    """One conversion, measured from inside."""
    from convert import quantize, verification
    from convert.detect import open_checkpoint
    from convert.output import PendingOutput
    from convert.pipeline import Progress, convert
    from convert.sources.byte_source import FileSource

    found = Stages()
    found.watch(FileSource, "read_at", "reading")
    found.watch(quantize, "read_mapped_rows", "reading and converting")
    found.watch(quantize, "_bound", "checking weights")
    found.watch(quantize, "quantize_rows", "quantizing")
    found.watch(quantize, "is_valid", "checking blocks")
    found.watch(PendingOutput, "write", "writing")
    found.watch(PendingOutput, "sync", "waiting for the disk")
    found.watch(verification.Verification, "_check", "verifying")
    started_s = time.perf_counter()
    with open_checkpoint(Path(source)) as checkpoint:
        plan = checkpoint.plan(target, checkpoint.prompt("auto"))
        clock = {"open and plan": time.perf_counter() - started_s}
        last_phase, last_s = "header", time.perf_counter()
        for event in convert(plan, Path(output), threads=n_threads):
            phase = event.phase if isinstance(event, Progress) else "publish"
            if phase != last_phase:
                now_s = time.perf_counter()
                clock[last_phase] = now_s - last_s
                last_phase, last_s = phase, now_s
    spent = dict(found.seconds)
    spent["converting"] = spent.pop("reading and converting") - spent["reading"]
    spent["others"] = time.process_time() - sum(spent.values())
    return spent | {f"wall: {name}": seconds for name, seconds in clock.items()}


if __name__ == "__main__":
    kind, source, target, threads, *rest = sys.argv[1:]
    measured = (
        floor(source, target, int(threads))
        if kind == "floor"
        else stages(source, target, int(threads), *rest)
    )
    sys.stdout.write(json.dumps(measured) + "\n")
