"""What turning a BLOOM checkpoint into a GGUF costs: time, memory and disk, beside llama.cpp's two programs.

    python tests/benchmarks/convert_benchmark.py [FOLDER] [--layers 4] [--vocab 50176] [--dtype f32]
        [--threads 2] [--types q4_k_m q4_0 q8_0] [--states warm cold] [--rounds 2]
        [--programs FOLDER --peer-python PYTHON] [--json]

The checkpoint has BLOOM-7B1's width and about its proportions (4.05 GB; random rows, repeated) and is removed
at the end, with all that was made of it: 9 GB of disk in all. Linux only. For the peer it needs

    tests/oracles/build_llama_cpp.sh FOLDER llama-quantize      (--programs FOLDER)
    a Python with torch and transformers                        (--peer-python)

Without them only our own side is measured. In turns within a round, each in a process of its own:

| program   |                                                                                    |
|-----------|------------------------------------------------------------------------------------|
| chatbelle | `belle-convert to-gguf`, from the start of the interpreter to its end                 |
| peer      | `convert_hf_to_gguf.py` to float16, its default (once a round); `llama-quantize`      |
| floor     | a bare loop of `ggml_quantize_chunk` over the same rows, which are in memory          |

States: the checkpoint is in the system's cache (warm) or not (cold). Anonymous memory leaves out mapped
files, which the system may drop. Ratios are our median over the program's, of the whole command and of the
conversion alone, as it reports it. At the end, once a type: where a conversion's processor time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from builders.wide_bloom import ITEM_BYTES, write_wide_bloom  # noqa: E402

_POLL_S = 0.05
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds, bytes. peak_disk_bytes: of its outputs, intermediate files included.

    conversion_s: as the program itself reports it, without its start; as long as `wall_s` where it doesn't.
    """

    wall_s: float
    conversion_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_anonymous_bytes: int
    peak_disk_bytes: int

    def then(self, other: Cost) -> Cost:
        """The cost of both, one after the other."""
        return Cost(
            self.wall_s + other.wall_s,
            self.conversion_s + other.conversion_s,
            self.cpu_s + other.cpu_s,
            max(self.peak_rss_bytes, other.peak_rss_bytes),
            max(self.peak_anonymous_bytes, other.peak_anonymous_bytes),
            max(self.peak_disk_bytes, other.peak_disk_bytes),
        )


class Watch:
    """Polls a process and the folder of its outputs from a thread."""

    def __init__(self, pid: int, outputs: Path) -> None:
        self._pid, self._outputs = pid, outputs
        self._ended = threading.Event()
        self.peaks = {"VmHWM:": 0, "RssAnon:": 0, "disk": 0}
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def _poll(self) -> None:
        while not self._ended.wait(_POLL_S):
            try:
                lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
                found = {
                    line.split()[0]: int(line.split()[1]) << 10 for line in lines if line.endswith(" kB")
                }
                found["disk"] = sum(path.stat().st_blocks * 512 for path in self._outputs.iterdir())
            except FileNotFoundError:  # the process, or a temporary file, is gone
                continue
            self.peaks = {key: max(value, found.get(key, 0)) for key, value in self.peaks.items()}

    def stop(self) -> dict[str, int]:
        self._ended.set()
        self._thread.join()
        return self.peaks


def measure(command: Sequence[str | Path], outputs: Path) -> tuple[Cost, str]:
    """Run a program to its end; its cost and what it wrote to stdout."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start_s = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=stdout, stderr=stderr)
        watch = Watch(process.pid, outputs)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start_s
        peaks = watch.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode:
            raise SystemExit(f"{command[0]} failed:\n{stderr.read().decode(errors='replace')[-2000:]}")
        cpu_s = usage.ru_utime + usage.ru_stime
        cost = Cost(wall_s, wall_s, cpu_s, peaks["VmHWM:"], peaks["RssAnon:"], peaks["disk"])
        return cost, stdout.read().decode(errors="replace")


def set_state(source: Path, state: str) -> None:
    """Have the checkpoint's weights in the system's cache, or not."""
    with (source / "model.safetensors").open("rb", buffering=0) as file:
        if state == "cold":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            buffer = bytearray(_BLOCK_BYTES)
            while file.readinto(buffer):
                pass


class Bench:
    """One checkpoint, and the programs that are run on it; costs by type, state and program, in order."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._options = options
        self._source, self._outputs = folder / "checkpoint", folder / "outputs"
        self._source.mkdir()
        self._outputs.mkdir()
        self._threads = str(options.threads)
        self.source_bytes = write_wide_bloom(self._source, options.layers, options.vocab, options.dtype)
        self.costs: dict[tuple[str, str, str], list[Cost]] = {}
        self.stages: dict[str, dict[str, float]] = {}

    def run_round(self, state: str) -> None:
        for target in self._options.types:
            self._run_ours(target, state)
        if self._options.peer_python:
            self._run_peer(state)
        for target in self._options.types if state == "warm" else ():
            _, text = measure(self._own("floor", target), self._outputs)
            floor = json.loads(text)
            self._add(target, state, "floor", Cost(floor["wall_s"], floor["wall_s"], floor["cpu_s"], 0, 0, 0))

    def measure_stages(self) -> None:
        """Once for each type: where the time goes; the measuring itself takes some."""
        for target in self._options.types:
            set_state(self._source, "warm")
            _, text = measure(self._own("stages", target, self._outputs / "out.gguf"), self._outputs)
            self.stages[target] = json.loads(text)
            self._clear()

    def _own(self, name: str, target: str, *more: str | Path) -> list[str | Path]:
        return [sys.executable, HERE / "convert_stages.py", name, self._source, target, self._threads, *more]

    def _run_ours(self, target: str, state: str) -> None:
        set_state(self._source, state)
        command = [sys.executable, "-m", "convert.cli", "to-gguf", self._source, self._outputs / "out.gguf"]
        command += ["--type", target, "--threads", self._threads, "--json"]
        cost, text = measure(command, self._outputs)
        self._add(target, state, "chatbelle", replace(cost, conversion_s=json.loads(text)["seconds"]))
        self._clear()

    def _run_peer(self, state: str) -> None:
        set_state(self._source, state)
        middle = self._outputs / "f16.gguf"
        llama_cpp = self._options.programs / "source" / "vendor" / "llama.cpp"
        command = [self._options.peer_python, HERE / "peer_converter.py", llama_cpp, self._source]
        converted, _ = measure([*command, "--outfile", middle], self._outputs)
        for target in self._options.types:
            quantize = [self._options.programs / "bin" / "llama-quantize", middle]
            quantize += [self._outputs / "out.gguf", target, self._threads]
            quantized, _ = measure(quantize, self._outputs)
            self._add(target, state, "peer", converted.then(quantized))
            (self._outputs / "out.gguf").unlink()
        self._clear()

    def _add(self, target: str, state: str, program: str, cost: Cost) -> None:
        self.costs.setdefault((target, state, program), []).append(cost)
        sys.stderr.write(f"{target} {state} {program}: {cost.wall_s:.1f} s, processor {cost.cpu_s:.1f} s\n")

    def _clear(self) -> None:
        for path in self._outputs.iterdir():
            path.unlink()


def medians(costs: Mapping[tuple[str, str, str], list[Cost]]) -> Iterator[dict[str, Any]]:
    """A row for each type, state and program; ratios: our time over that program's."""
    for (target, state, program), found in costs.items():
        own = costs[target, state, "chatbelle"]
        row: dict[str, Any] = {"type": target, "state": state, "program": program, "runs": len(found)}
        row |= {key: median(found, key) for key in asdict(found[0])}
        row["wall_s_spread"] = [pick(cost.wall_s for cost in found) for pick in (min, max)]
        row["ratio"] = median(own, "wall_s") / row["wall_s"]
        row["conversion_ratio"] = median(own, "conversion_s") / row["conversion_s"]
        yield row


def median(costs: Sequence[Cost], key: str) -> float:
    return statistics.median(getattr(cost, key) for cost in costs)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows for people: seconds and megabytes; "conv." is the ratio of the conversions alone."""
    lines = [
        f"{'type':8}{'state':6}{'program':11}{'wall s':>22}{'cpu s':>8}"
        f"{'RSS MB':>8}{'anon MB':>8}{'disk MB':>9}{'ratio':>7}{'conv.':>7}"
    ]
    for row in rows:
        low, high = row["wall_s_spread"]
        wall = f"{row['wall_s']:.1f} ({low:.1f} to {high:.1f})"
        sizes = [row[f"peak_{name}_bytes"] / 1e6 for name in ("rss", "anonymous", "disk")]
        lines.append(
            f"{row['type']:8}{row['state']:6}{row['program']:11}{wall:>22}{row['cpu_s']:8.1f}"
            f"{sizes[0]:8.0f}{sizes[1]:8.0f}{sizes[2]:9.0f}{row['ratio']:7.2f}{row['conversion_ratio']:7.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Build, measure in turns, report, remove."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab", type=int, default=50_176)
    parser.add_argument("--dtype", choices=list(ITEM_BYTES), default="f32")
    parser.add_argument("--types", nargs="+", default=["q4_k_m", "q4_0", "q8_0"])
    parser.add_argument("--states", nargs="+", choices=("warm", "cold"), default=["warm", "cold"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--programs", type=Path, help="what build_llama_cpp.sh made")
    parser.add_argument("--peer-python", type=Path, help="has torch and transformers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.programs is None) != (options.peer_python is None):
        parser.error("--programs and --peer-python go together")
    folder = Path(tempfile.mkdtemp(prefix="convert-benchmark-", dir=options.folder))
    try:
        bench = Bench(folder, options)
        for _ in range(options.rounds):
            for state in options.states:
                bench.run_round(state)
        bench.measure_stages()
    finally:
        shutil.rmtree(folder)
    rows = list(medians(bench.costs))
    report = {
        "source_bytes": bench.source_bytes,
        "threads": options.threads,
        "rows": rows,
        "stages": bench.stages,
    }
    sys.stdout.write((json.dumps(report, indent=1) if options.json else table(rows)) + "\n")
    if not options.json:
        for target, stages in bench.stages.items():
            parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in stages.items())
            sys.stdout.write(f"{target} stages, s: {parts}\n")


if __name__ == "__main__":
    main()
