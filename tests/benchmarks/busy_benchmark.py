"""How fast the engine answers beside other work, against llama.cpp's own llama-bench in the same round.

    tests/oracles/build_llama_cpp.sh FOLDER llama-bench
    python tests/benchmarks/busy_benchmark.py FOLDER/bin/llama-bench [MODEL.gguf…] [--7b] [--demo]

Loads, each of busy processes that count without end: none, one in the session of the peers (as started from
the same shell), one and two in sessions of their own (as the programs of a desktop are). Peers, in turn, each
as a process in a session of its own unless the load shares theirs: llama-bench with several numbers of
threads and, for the highest, two other ways of waiting; ours through the worker with threads that follow the
machine, and with one thread. `--7b` adds a file in the shape of LLaMA-7B (Q4_0, random blocks), `--demo` the
built-in model.
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

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402

from builders.sparse_models import SparseShape, write_filled_model  # noqa: E402
from engine.cpu import performance_cores  # noqa: E402

COUNT = "while True: pass"
LOADS = {"idle": (0, True), "1 busy, same session": (1, False), "1 busy": (1, True), "2 busy": (2, True)}
QUESTION = "Tell me a long story about a dog and a river."


@contextmanager
def busy(n_processes: int, own_session: bool) -> Iterator[list[psutil.Process]]:
    """So many processes that never stop counting."""
    processes = [
        subprocess.Popen([sys.executable, "-c", COUNT], start_new_session=own_session)
        for _ in range(n_processes)
    ]
    time.sleep(0.5 if processes else 0)
    try:
        yield [psutil.Process(process.pid) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def peers(most: int) -> dict[str, tuple[int, dict[str, str]]]:
    """llama-bench's settings: threads, and the environment."""
    found = {
        f"llama-bench, {n} threads": (n, {}) for n in sorted({1, most // 2 or 1, max(1, most - 1), most})
    }
    found[f"llama-bench, {most} threads, spin 1000"] = (most, {"GOMP_SPINCOUNT": "1000"})
    found[f"llama-bench, {most} threads, passive"] = (most, {"OMP_WAIT_POLICY": "passive"})
    return found


def llama_bench(
    program: Path, model: Path, threads: int, extra: dict[str, str], n: int, session: bool
) -> float:
    """Tokens a second over `n` tokens."""
    command = [program, "-m", model, "-p", "0", "-n", str(n), "-t", str(threads), "-r", "1", "-o", "json"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
    }
    output = subprocess.run(
        [str(part) for part in command],
        env=environment | extra,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=session,
    ).stdout
    return float(json.loads(output)[0]["avg_ts"])


def ours(
    model: Path, threads: int | None, seconds: float, others: Sequence[psutil.Process]
) -> dict[str, float]:
    """Tokens a second of answers through the worker, for that long, after a first short one; and how much of
    a core was left to each of the other processes.
    """
    from engine.types import LoadOptions, Message, Sampling, TokenChunk
    from engine.worker import WorkerBackend

    backend = WorkerBackend()
    backend.load(model, LoadOptions(threads=threads))
    n_tokens, generation_s, reading = 0, 0.0, 0.0
    used_s, since_s = 0.0, 0.0
    try:
        for turn, max_tokens in enumerate([8, *[1500] * 1000]):
            sampling = Sampling(temperature=0, repetition_penalty=1.0, max_tokens=max_tokens)
            started = time.monotonic()
            if turn == 1:
                used_s, since_s = sum(other.cpu_times().user for other in others), started
            for event in backend.chat([Message("user", f"{QUESTION} {turn}")], sampling):
                if isinstance(event, TokenChunk) and generation_s + time.monotonic() - started > seconds:
                    backend.cancel()
            statistics_ = event.statistics  # type: ignore[union-attr]
            if turn:
                n_tokens += statistics_.generated_tokens
                generation_s += statistics_.generation_s
            else:
                reading = statistics_.prompt_tokens_per_s
            if turn and generation_s > seconds:
                break
        used_s = sum(other.cpu_times().user for other in others) - used_s
        left = used_s / (time.monotonic() - since_s) / max(1, len(others))
    finally:
        backend.close()
    return {"tokens_per_s": n_tokens / generation_s, "prompt": reading, "left to each other": left}


def main() -> None:
    """Measure every load in turn, and print a table each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("llama_bench", type=Path)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--7b", dest="shape_7b", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each peer generates, about")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.shape_7b:
            shape = SparseShape("llama", 4096, 32, 32, 11008, 32_000, n_merges=31_000)
            options.models.append(write_filled_model(Path(folder) / "shape-7b-q4_0.gguf", shape))
        if options.demo:
            from app.demo_model import prepare_demo
            from app.home import Home

            options.models.append(prepare_demo(Home(Path(folder)), lambda: None))
        report = {model.name: measure_model(options, model) for model in options.models}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def measure_model(options: argparse.Namespace, model: Path) -> dict[str, dict[str, list[float]]]:
    """Tokens a second of every round, by load and peer."""
    most, report = performance_cores(), {}
    for load, (n_processes, own_session) in LOADS.items():
        rounds: dict[str, list[float]] = {}
        with busy(n_processes, own_session) as others:
            for _ in range(options.rounds):
                rounds_of(options, model, most, own_session, others, rounds)
        report[load] = rounds
        print_table(f"{model.name}, {load}", rounds, most)
    return report


def rounds_of(
    options: argparse.Namespace,
    model: Path,
    most: int,
    own_session: bool,
    others: Sequence[psutil.Process],
    rounds: dict[str, list[float]],
) -> None:
    """One round of every peer."""
    for name, (threads, extra) in peers(most).items():
        figures = rounds.setdefault(name, [])
        # The last round, or a first look, says how many tokens take about that long.
        last = (
            figures[-1]
            if figures
            else llama_bench(options.llama_bench, model, threads, extra, 4, own_session)
        )
        n_tokens = max(2, min(1000, int(options.seconds * last)))
        figures.append(llama_bench(options.llama_bench, model, threads, extra, n_tokens, own_session))
    for name, threads in (("ours", None), ("ours, 1 thread", 1)):
        for figure, value in ours(model, threads, options.seconds, others).items():
            key = name if figure == "tokens_per_s" else f"{name}, {figure}"
            rounds.setdefault(key, []).append(value)


def print_table(title: str, rounds: dict[str, list[float]], most: int) -> None:
    """Median and range of every peer, and what ours is of the others round by round."""
    write = sys.stdout.write
    write(f"\n{title}\n")
    for name, values in rounds.items():
        write(f"  {name:38} {statistics.median(values):8.2f}   {min(values):.2f} - {max(values):.2f}\n")
    fixed = [values for name, values in rounds.items() if name.startswith("llama-bench")]
    best = max(fixed, key=statistics.median)
    default = rounds[f"llama-bench, {most} threads"]
    alone = rounds["ours, 1 thread"]
    for name, others in (("best fixed setting", best), ("default", default), ("our 1 thread", alone)):
        ratios = [own / other for own, other in zip(rounds["ours"], others, strict=True)]
        middle = statistics.median(ratios)
        write(f"  ours over {name:28} {middle:8.2f}   {min(ratios):.2f} - {max(ratios):.2f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
