"""How fast `.enc` files are decrypted, against SHA-256 alone and against BELLE's loop over bytes.

    python tests/benchmarks/decrypt_benchmark.py [FOLDER] [--size-mb 2048] [--rounds 5]

The measurements alternate, so that a slow moment of the machine meets all of them; ratios are per round.
`decrypt` is everything the user waits for but the final fsync, which is the disk's; `with fsync` has it too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from convert.decrypt import decrypt  # noqa: E402
from convert.output import PendingOutput  # noqa: E402

_CHUNK_BYTES = 10 << 20
_REFERENCE_BYTES = 16 << 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to put the files (default: temporary)")
    parser.add_argument("--size-mb", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        run(Path(name), options.size_mb << 20, options.rounds)


def run(folder: Path, size_bytes: int, n_rounds: int) -> None:
    encrypted, key = build(folder, size_bytes)
    measured: dict[str, Callable[[], float]] = {
        "sha256": lambda: hash_file(encrypted),
        "decrypt": lambda: decrypt_once(encrypted, key, folder / "out", sync=False),
        "decrypt with fsync": lambda: decrypt_once(encrypted, key, folder / "out", sync=True),
        "reference loop": lambda: reference_loop(encrypted, key),
    }
    rates: dict[str, list[float]] = {name: [] for name in measured}
    for round_number in range(n_rounds + 1):
        for name, measure in measured.items():
            rate = measure()
            if round_number:  # the first round warms the caches
                rates[name].append(rate / 1e6)
    for name, values in rates.items():
        print_line(f"{name:20} {spread(values)} MB/s")
    for name in ("decrypt", "decrypt with fsync"):
        for other in ("sha256", "reference loop"):
            ratios = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
            print_line(f"{name} / {other}: {spread(ratios)}")


def build(folder: Path, size_bytes: int) -> tuple[Path, Path]:
    """A random `.enc` file and its key of the same length, 10 MiB at a time."""
    random = np.random.default_rng(0)
    digest = hashlib.sha256()
    key, unnamed = folder / "key", folder / "unnamed"
    with key.open("wb") as key_file, unnamed.open("wb") as file:
        file.write(bytes(32))
        for start in range(0, size_bytes, _CHUNK_BYTES):
            n = min(_CHUNK_BYTES, size_bytes - start)
            plain, stream = (np.frombuffer(random.bytes(n), np.uint8) for _ in range(2))
            digest.update(plain)
            key_file.write(stream)
            file.write(plain ^ stream)
        file.seek(0)
        file.write(digest.digest())
    return unnamed.rename(folder / f"model.dat.{digest.hexdigest()}.enc"), key


def hash_file(path: Path) -> float:
    """SHA-256 alone, in bytes a second: the file is in memory already."""
    blocks = [np.random.default_rng(1).bytes(1 << 20)] * (path.stat().st_size >> 20)
    digest = hashlib.sha256()
    start_s = time.perf_counter()
    for block in blocks:
        digest.update(block)
    return (len(blocks) << 20) / (time.perf_counter() - start_s)


def decrypt_once(encrypted: Path, key: Path, output: Path, *, sync: bool) -> float:
    start_s = time.perf_counter()
    if sync:
        for _ in decrypt(encrypted, key, output):
            pass
    else:
        with mock.patch.object(PendingOutput, "sync"):
            for _ in decrypt(encrypted, key, output):
                pass
    rate = encrypted.stat().st_size / (time.perf_counter() - start_s)
    shutil.rmtree(output)
    os.sync()
    return rate


def reference_loop(encrypted: Path, key: Path) -> float:
    """XOR byte by byte as BELLE's script does, in one process, without its hash and its output."""
    with encrypted.open("rb") as data_file, key.open("rb") as key_file:
        data, stream = data_file.read(_REFERENCE_BYTES), key_file.read(_REFERENCE_BYTES)
    start_s = time.perf_counter()
    bytes(a ^ b for a, b in zip(data, stream, strict=True))
    return len(data) / (time.perf_counter() - start_s)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):9.2f} (from {min(values):.2f} to {max(values):.2f})"


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
