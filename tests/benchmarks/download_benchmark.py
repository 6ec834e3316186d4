"""What fetching costs: the rate over loopback against plain httpx and huggingface_hub, and what a
get-and-convert takes of disk and memory.

    python tests/benchmarks/download_benchmark.py rate [--megabytes 1024] [--rounds 3]
    python tests/benchmarks/download_benchmark.py convert [--gigabytes 4]

The hub runs in a process of its own and sends with sendfile. The programs take turns within a round, each in
a process of its own, so that a busy machine is busy for all of them; the ratios are of the medians.
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
import time
from pathlib import Path

REPO, NAME = "Benchmark/model", "model.bin"
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

SERVE = """
import sys, time
from pathlib import Path
from builders.hub import LocalHub
with LocalHub() as hub:
    hub.add_folder(sys.argv[2], Path(sys.argv[1]))
    print(hub.url, hub.commit, flush=True)
    sys.stdin.read()
"""
START = "import sys, time; url, repo, commit, name, out = sys.argv[1:]; "
# Imports are not measured: a person waits for them once.
PROGRAMS = {
    "chatbelle": START
    + """
from pathlib import Path
from engine.models.download import download, Downloaded
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.hub import resolve
start = time.perf_counter()
file = resolve(repo, Endpoints((url,))).file(name)
*_, last = download(file, Path(out) / name, Endpoints((url,)))
print(time.perf_counter() - start)
""",
    "huggingface_hub": START
    + """
from huggingface_hub import hf_hub_download
import httpx
start = time.perf_counter()
hf_hub_download(repo, name, endpoint=url, local_dir=out)
print(time.perf_counter() - start)
""",
    "httpx": START
    + """
import os, httpx
start = time.perf_counter()
with open(out + "/" + name, "wb") as file:
    with httpx.stream("GET", f"{url}/{repo}/resolve/{commit}/{name}", follow_redirects=True) as reply:
        for chunk in reply.iter_raw():
            file.write(chunk)
    file.flush()
    os.fsync(file.fileno())
print(time.perf_counter() - start)
""",
}
CONVERT = """
import json, sys, time
from pathlib import Path
from app.models.acquire import Wish, acquire
from app.models.progress import WorkDone
from convert.pipeline import peak_rss_bytes
from engine.models.endpoints import Endpoints
url, repo, out = sys.argv[1:]
start, folder, peak_disk = time.perf_counter(), Path(out), 0
for event in acquire(Wish(repo), folder, Endpoints((url,))):
    peak_disk = max(peak_disk, sum(path.stat().st_size for path in folder.iterdir()))
    if not isinstance(event, WorkDone):
        continue
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_rss_bytes": peak_rss_bytes(),
        "peak_disk_bytes": peak_disk, "result_bytes": event.size_bytes, "sha256": event.sha256}))
"""


def serve(folder: Path) -> tuple[subprocess.Popen[str], str, str]:
    command = [sys.executable, "-c", SERVE, str(folder), REPO]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url, commit = process.stdout.readline().split()
    return process, url, commit


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout


def measure_rate(folder: Path, n_bytes: int, n_rounds: int) -> dict[str, object]:
    source = folder / "source"
    source.mkdir()
    with (source / NAME).open("wb") as file:
        for _ in range(n_bytes >> 20):
            file.write(os.urandom(1 << 20))
    server, url, commit = serve(source)
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    try:
        for number in range(n_rounds):
            names = list(PROGRAMS)[number % 3 :] + list(PROGRAMS)[: number % 3]
            for name in names:
                out = folder / f"{name}-{number}"
                out.mkdir()
                seconds[name].append(float(run(PROGRAMS[name], url, REPO, commit, NAME, str(out))))
                shutil.rmtree(out)
    finally:
        server.kill()
    rates = {name: n_bytes / statistics.median(times) / 1e6 for name, times in seconds.items()}
    return {
        "bytes": n_bytes,
        "seconds": seconds,
        "megabytes_per_s": rates,
        "ratio_to_httpx": rates["chatbelle"] / rates["httpx"],
        "ratio_to_huggingface_hub": rates["chatbelle"] / rates["huggingface_hub"],
    }


def write_checkpoint(folder: Path, n_bytes: int) -> int:
    """A float32 BLOOM in two shards, written layer by layer; returns the weights' bytes."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import numpy as np

    from builders.checkpoints import write_bloom

    hidden, n_tokens = 2048, 32_000
    n_layer = max(1, round((n_bytes - 4 * n_tokens * hidden) / (4 * 12 * hidden * hidden)))
    shaped = write_bloom(folder, hidden=64, n_head=4, n_layer=1)
    names = {name: array.shape for name, array in shaped.weights.items()}
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in names.items():
        grown = tuple(hidden * (n // 64) for n in shape)
        if "word_embeddings.weight" in name:
            grown = (n_tokens, hidden)
        layers = range(n_layer) if ".0." in name else [0]
        shapes |= {name.replace(".0.", f".{layer}."): grown for layer in layers}
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": hidden, "n_head": 16, "n_layer": n_layer, "vocab_size": n_tokens}
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.default_rng(0)
    header: dict[str, object] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            rows = random.standard_normal((1, int(np.prod(shape[1:]))), dtype=np.float32) * 0.02
            for start in range(0, shape[0], 64):
                n_rows = min(64, shape[0] - start)
                scale = random.random((n_rows, 1), dtype=np.float32) + 0.5
                file.write((rows * scale).astype(np.float32).tobytes())
    return offset


def measure_convert(folder: Path, n_bytes: int) -> dict[str, object]:
    source, out = folder / "source", folder / "模型"
    source.mkdir()
    out.mkdir()
    weight_bytes = write_checkpoint(source, n_bytes)
    server, url, _ = serve(source)
    try:
        found: dict[str, object] = json.loads(run(CONVERT, url, REPO, str(out)))
    finally:
        server.kill()
    started_s = time.perf_counter()
    offline = folder / "offline.gguf"
    command = ["-c", "import sys; from convert.cli import main; sys.exit(main())"]
    subprocess.run(
        [sys.executable, *command, "to-gguf", str(source), str(offline), "--type", "q4_k_m"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - started_s
    produced = next(out.iterdir())
    same = subprocess.run(["cmp", str(produced), str(offline)], check=False).returncode == 0
    return {"weight_bytes": weight_bytes, **found, "offline_seconds": seconds, "same_bytes": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("rate", "convert"))
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--gigabytes", type=float, default=4.2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="download-benchmark-") as name:
        if options.what == "rate":
            result = measure_rate(Path(name), options.megabytes << 20, options.rounds)
        else:
            result = measure_convert(Path(name), int(options.gigabytes * 1e9))
    print(json.dumps(result, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
