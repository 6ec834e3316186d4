"""How long a GPTQ checkpoint of 7B takes to become q4_1 blocks, and in how much memory.

    python tests/benchmarks/gptq_benchmark.py [FOLDER] [--layers 32] [--threads N]

Builds a LLaMA-7B-shaped `.pt` of 4 bits, groups of 128 (random words, each layer's the same; 4 GB on the
disk, removed at the end), converts it in a process of its own, and prints time and peak memory of that.
On a busy machine only its processor time (`convert_cpu_s`, all threads) says something.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from builders import torch_zip as tz  # noqa: E402
from builders.tokenizers import write_llama_tokenizer  # noqa: E402

WIDTH, FEED_FORWARD, N_VOCAB, GROUP = 4096, 11008, 32000, 128
MATRICES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH, WIDTH),
    "self_attn.v_proj": (WIDTH, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (WIDTH, FEED_FORWARD),
    "mlp.up_proj": (WIDTH, FEED_FORWARD),
    "mlp.down_proj": (FEED_FORWARD, WIDTH),
}
CHILD = """
import json, sys, time
from pathlib import Path
from convert.detect import open_checkpoint
from convert.pipeline import Converted, convert, peak_rss_bytes
start_s = time.perf_counter()
with open_checkpoint(Path(sys.argv[1])) as checkpoint:
    opened_s = time.perf_counter() - start_s
    plan = checkpoint.plan("auto", checkpoint.prompt("auto"))
    threads = int(sys.argv[3]) or None
    start_s = time.perf_counter()
    for event in convert(plan, Path(sys.argv[2]), threads=threads):
        if not isinstance(event, Converted) and event.phase == "convert":
            converted_s, cpu_s = time.perf_counter() - start_s, time.process_time()
print(json.dumps({"form": checkpoint.form, "open_s": opened_s, "convert_s": converted_s,
                  "convert_cpu_s": cpu_s, "with_check_s": event.seconds,
                  "output_bytes": event.size_bytes, "types": event.types,
                  "peak_rss_bytes": peak_rss_bytes()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to put the files (default: temporary)")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        size_bytes = build(folder, options.layers)
        command = [sys.executable, "-c", CHILD, name, str(folder / "m.gguf"), str(options.threads)]
        start_s = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        result |= {"source_bytes": size_bytes, "process_s": time.perf_counter() - start_s}
        sys.stdout.write(json.dumps(result, indent=1) + "\n")


def build(folder: Path, n_layers: int) -> int:
    """The checkpoint with config and tokenizer; returns the size of its weights in bytes."""
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": N_VOCAB, "hidden_size": WIDTH,
              "intermediate_size": FEED_FORWARD, "num_attention_heads": 32, "num_hidden_layers": n_layers,
              "max_position_embeddings": 2048, "rms_norm_eps": 1e-6}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    write_llama_tokenizer(folder, 520)
    path = folder / "llama7b-4bit-128g.pt"
    write_stored(path, list(tensors(n_layers)))
    return path.stat().st_size


def tensors(n_layers: int) -> Iterator[tuple[str, str, tuple[int, ...], bytes]]:
    """Name, type, shape and data; layers share their bytes in memory, not on the disk."""
    random = np.random.default_rng(0)
    layer: list[tuple[str, str, tuple[int, ...], bytes]] = []
    for name, (n_in, n_out) in MATRICES.items():
        scales = (random.random((n_in // GROUP, n_out)) * 0.01 + 0.001).astype(np.float16)
        layer.append((f"{name}.qweight", "i32", (n_in // 8, n_out), random.bytes(n_in // 2 * n_out)))
        layer.append((f"{name}.scales", "f16", scales.shape, scales.tobytes()))
        shape = (n_in // GROUP, n_out // 8)
        layer.append((f"{name}.qzeros", "i32", shape, b"\x77\x77\x77\x77" * (shape[0] * shape[1])))
        layer.append((f"{name}.bias", "f16", (n_out,), bytes(2 * n_out)))
    norm = np.ones(WIDTH, np.float16).tobytes()
    for number in range(n_layers):
        for name, dtype, shape, data in layer:
            yield f"model.layers.{number}.{name}", dtype, shape, data
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{number}.{name}.weight", "f16", (WIDTH,), norm
    embedding = random.standard_normal((N_VOCAB, WIDTH), np.float32).astype(np.float16).tobytes()
    yield "model.embed_tokens.weight", "f16", (N_VOCAB, WIDTH), embedding
    yield "lm_head.weight", "f16", (N_VOCAB, WIDTH), embedding
    yield "model.norm.weight", "f16", (WIDTH,), norm


def write_stored(path: Path, items: list[tuple[str, str, tuple[int, ...], bytes]]) -> None:
    """A torch ZIP (with 64-bit offsets in its directory), a storage at a time."""
    pickles: dict[str, bytes] = {}
    for key, (name, dtype, shape, data) in enumerate(items):
        n_elements = int(np.prod(shape))
        strides = (shape[1], 1) if len(shape) == 2 else (1,)
        pickles[name] = tz.tensor(tz.storage(dtype, str(key), n_elements), 0, shape, strides)
        assert len(data) == n_elements * {"i32": 4, "f16": 2}[dtype]
    pickle = tz.pickled(tz.dictionary(pickles, tz.ordered_dict()))
    members = [("a/data.pkl", pickle), *((f"a/data/{key}", item[3]) for key, item in enumerate(items))]
    directory = bytearray()
    checksums: dict[int, int] = {}
    with path.open("wb") as file:
        for name, data in members:
            offset, title = file.tell(), name.encode()
            checksum = checksums.setdefault(id(data), 0) or zlib.crc32(data)
            checksums[id(data)] = checksum
            sizes = (checksum, len(data), len(data), len(title))
            file.write(struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 0, 0, 0, *sizes, 0) + title)
            file.write(data)
            extra = struct.pack("<HHQ", 1, 8, offset)
            fixed = (b"PK\x01\x02", 45, 45, 0, 0, 0, 0, *sizes, len(extra), 0, 0, 0, 0, 0xFFFFFFFF)
            directory += struct.pack("<4sHHHHHHIIIHHHHHII", *fixed) + title + extra
        start, count, size = file.tell(), len(members), len(directory)
        file.write(directory)
        end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
        file.write(end + struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1))
        file.write(struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, 0xFFFFFFFF, 0))


if __name__ == "__main__":
    main()
