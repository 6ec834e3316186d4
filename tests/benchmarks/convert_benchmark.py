"""How long a float32 BLOOM checkpoint of several gigabytes takes to become a GGUF, and in how much memory.

    python tests/benchmarks/convert_benchmark.py [FOLDER] [--layers 1] [--type q4_k_m] [--threads N]

Builds a checkpoint in the shape of BLOOM-7B1 (embedding 250,880 x 4,096; 4.1 GB, and 0.8 GB a layer; random
rows, repeated), converts it with the command line in a process of its own, prints that process's report and
its peak memory over an interpreter that only imported the converter, and removes everything.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from builders.checkpoints import write_bloom  # noqa: E402

N_VOCAB, WIDTH, N_HEADS = 250_880, 4096, 32
BASELINE = (
    "import convert.detect, convert.pipeline, engine.native.kernels as k; k.block_size(k.GgmlType.Q4_K);"
    "print(convert.pipeline.peak_rss_bytes())"
)


def shapes(n_layers: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a BLOOM of this width, by their names."""
    found: dict[str, tuple[int, ...]] = {"word_embeddings.weight": (N_VOCAB, WIDTH)}
    vectors = ["word_embeddings_layernorm", "ln_f"]
    for layer in range(n_layers):
        prefix = f"h.{layer}."
        vectors += [prefix + "input_layernorm", prefix + "post_attention_layernorm"]
        for name, rows, columns in (
            ("self_attention.query_key_value", 3 * WIDTH, WIDTH),
            ("self_attention.dense", WIDTH, WIDTH),
            ("mlp.dense_h_to_4h", 4 * WIDTH, WIDTH),
            ("mlp.dense_4h_to_h", WIDTH, 4 * WIDTH),
        ):
            found[f"{prefix}{name}.weight"] = (rows, columns)
            found[f"{prefix}{name}.bias"] = (rows,)
    for name in vectors:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (WIDTH,)
    return {f"transformer.{name}": shape for name, shape in found.items()}


def write_checkpoint(folder: Path, n_layers: int) -> int:
    """Write the checkpoint into `folder`; returns the size of its weights in bytes."""
    write_bloom(folder, n_tokens=400, n_vocab=512, hidden=64)
    config = json.loads((folder / "config.json").read_text())
    config |= {"vocab_size": N_VOCAB, "hidden_size": WIDTH, "n_head": N_HEADS, "n_layer": n_layers}
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in shapes(n_layers).items():
        start, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    block = np.random.default_rng(0).standard_normal(1 << 24, dtype=np.float32).tobytes()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, end, len(block)):
            file.write(block[: end - start])
    return end


def main() -> None:
    """Build, convert, report, remove."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--type", default="q4_k_m")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="convert-benchmark-", dir=options.folder))
    try:
        source_bytes = write_checkpoint(folder, options.layers)
        command = [sys.executable, "-m", "convert.cli", "to-gguf", str(folder), str(folder / "out.gguf")]
        command += ["--type", options.type, "--json"]
        command += ["--threads", str(options.threads)] if options.threads else []
        report = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        idle = subprocess.run([sys.executable, "-c", BASELINE], cwd=ROOT, check=True, capture_output=True)
    finally:
        shutil.rmtree(folder)
    report |= {
        "source_bytes": source_bytes,
        "peak_over_interpreter_bytes": report["peak_rss_bytes"] - int(idle.stdout),
        "source_bytes_per_s": source_bytes / report["seconds"],
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
