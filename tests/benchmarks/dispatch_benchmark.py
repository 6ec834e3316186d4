"""What a build for every processor costs against one for this processor only: reading prompts and generating.

    python tests/benchmarks/dispatch_benchmark.py PYTHON_EVERY PYTHON_NATIVE [MODEL.gguf…] [--threads 1 2]

Two Pythons, each with its own build of llama-cpp-python. Of each a process with the model; they measure in
turns (A B B A), so that what else happens on the machine meets both. A round starts both anew. Reported are
the speeds' ratios of the pairs, every/native: their median, and the range of the rounds' medians; by wall
clock and, for one thread, by processor time, which the work of others hardly touches. Models: the built-in
one where none is named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from app.demo_model import prepare_demo  # noqa: E402
from app.home import Home  # noqa: E402
from engine.in_process import InProcessBackend  # noqa: E402
from engine.native.features import native_library  # noqa: E402
from engine.types import Finished, LoadOptions, Message, Sampling, TokenChunk  # noqa: E402

Pair = tuple[dict[str, Any], dict[str, Any]]
FIGURES = ("reading", "generating")
PARAGRAPH = "The river is clear, and the boats go up and down all day long. "


def serve(model: Path, threads: int, n_paragraphs: int, n_tokens: int) -> None:
    """Measure once for every line on stdin: `{"reading": [wall, cpu], "generating": …, "text": …}`, in
    seconds a token. The first line out says which code computes.
    """
    backend = InProcessBackend()
    backend.load(model, LoadOptions(threads=threads, context_tokens=2048))
    library = native_library()
    tell([library.release, library.cpu_variant or "native"])
    sampling = Sampling(temperature=0, max_tokens=n_tokens)
    for number, _line in enumerate(sys.stdin):
        question = Message("user", f"{number} {PARAGRAPH * n_paragraphs}")
        moments = [(time.perf_counter(), time.process_time())]
        text = ""
        for event in backend.chat([question], sampling):
            if len(moments) == 1:
                moments.append((time.perf_counter(), time.process_time()))
            if isinstance(event, TokenChunk):
                text += event.text
        moments.append((time.perf_counter(), time.process_time()))
        assert isinstance(event, Finished)
        counts = event.statistics
        amounts = (counts.prompt_tokens - counts.reused_tokens, counts.generated_tokens - 1)
        spans = {
            name: [(after - before) / amount for before, after in zip(begin, end, strict=True)]
            for name, amount, begin, end in zip(FIGURES, amounts, moments, moments[1:], strict=False)
        }
        tell({**spans, "text": text})


def tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Peer:
    """One Python's process with the model. library: its release, and which code computes."""

    def __init__(self, python: Path, arguments: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "LLAMA_CPP_LIB_PATH"}
        self._process = subprocess.Popen(
            [str(python), __file__, "--serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.library: list[str] = self._next()

    def measure(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        measured: dict[str, Any] = self._next()
        return measured

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _next(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def peers(pythons: Sequence[Path], arguments: Sequence[str]) -> Iterator[list[Peer]]:
    """Both, warm."""
    started = [Peer(python, arguments) for python in pythons]
    try:
        for peer in started:
            peer.measure()
        yield started
    finally:
        for peer in started:
            peer.close()


def measure_round(
    pythons: Sequence[Path], arguments: Sequence[str], n_pairs: int
) -> tuple[list[str], list[Pair]]:
    """What the peers are, and what they measured, each time both one after the other."""
    pairs: list[Pair] = []
    with peers(pythons, arguments) as (every, native):
        for number in range(n_pairs):
            if number % 2:
                last = native.measure()
                pairs.append((every.measure(), last))
            else:
                pairs.append((every.measure(), native.measure()))
        return [" ".join(peer.library) for peer in (every, native)], pairs


def compare(model: Path, threads: int, options: argparse.Namespace) -> None:
    """Measure, and write the figures of one model and number of threads."""
    arguments = [str(model), str(threads), str(options.paragraphs), str(options.tokens)]
    rounds: list[list[Pair]] = []
    for _ in range(options.rounds):
        names, pairs = measure_round([options.every, options.native], arguments, options.pairs)
        rounds.append(pairs)
    everything = [pair for pairs in rounds for pair in pairs]
    same = sum(every["text"] == native["text"] for every, native in everything)
    write = sys.stdout.write
    write(f"\n{model.name}, {threads} threads, {options.rounds} rounds of {options.pairs} pairs, ")
    write(f"{same} of {len(everything)} answers alike\n")
    for figure in FIGURES:
        for index, clock in enumerate(("wall", "cpu") if threads == 1 else ("wall",)):
            ratios = [[native[figure][index] / every[figure][index] for every, native in p] for p in rounds]
            medians = [statistics.median(row) for row in ratios]
            middle = statistics.median(value for row in ratios for value in row)
            write(f"  {figure:<10} {clock:<4} every/native {middle:.3f} ")
            write(f"(rounds {min(medians):.3f} to {max(medians):.3f})\n")
        for side, name in enumerate(names):
            speed = statistics.median(1 / pair[side][figure][0] for pair in everything)
            write(f"  {figure:<10} {name}: {speed:.1f} tokens/s\n")


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        model, *numbers = sys.argv[2:]
        serve(Path(model), *map(int, numbers))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("every", type=Path)
    parser.add_argument("native", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--paragraphs", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = options.models or [prepare_demo(Home(Path(folder)), lambda: None)]
        for model in models:
            for threads in options.threads:
                compare(model, threads, options)


if __name__ == "__main__":
    main()
