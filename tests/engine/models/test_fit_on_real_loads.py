"""The estimate against what loading and answering really takes, in a process of its own for each model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders.sparse_models import SparseShape, write_sparse_model
from engine.gguf_header import read_gguf_header
from engine.memory import estimate, footprint
from engine.model_shape import read_model_shape

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 0.10

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts memory by /proc")

# Two of them twice: what a context takes, and what there is without much of one.
LOADS = {
    "bloom": (SparseShape("bloom", 1024, 16, 4, 4096, 16_000), 4096),
    "bloom at 512": (SparseShape("bloom", 1024, 16, 4, 4096, 16_000), 512),
    "belle-vocabulary": (SparseShape("bloom", 512, 8, 4, 2048, 250_880, "Q6_K", n_merges=250_000), 2048),
    "llama": (SparseShape("llama", 1024, 16, 8, 2816, 32_000, "Q4_K"), 2048),
    "grouped": (SparseShape("llama", 1024, 16, 4, 2816, 32_000, "F16", n_kv_heads=4), 8192),
    "grouped at 512": (SparseShape("llama", 1024, 16, 4, 2816, 32_000, "F16", n_kv_heads=4), 512),
    "sliding": (SparseShape("gemma3", 1024, 16, 12, 2816, 32_000, "Q4_K", window=512), 8192),
    "sliding at 512": (SparseShape("gemma3", 1024, 16, 12, 2816, 32_000, "Q4_K", window=512), 512),
}


def _measure(path: Path, context_tokens: int) -> dict[str, int]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    probe = str(ROOT / "tests" / "builders" / "memory_probe.py")
    done = subprocess.run(
        [sys.executable, probe, str(path), str(context_tokens)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured: dict[str, int] = json.loads(done.stdout)
    return measured


@pytest.mark.parametrize("name", LOADS)
def test_the_estimate_is_within_ten_percent_of_a_real_load(name: str, tmp_path: Path) -> None:
    shape, context_tokens = LOADS[name]
    path = write_sparse_model(tmp_path / "模型.gguf", shape)
    header = read_gguf_header(path)
    need = estimate(footprint(header, read_model_shape(header)), context_tokens)

    taken = _measure(path, context_tokens)

    # The file's pages are needed once, copied into another layout or not; which of the copied ones are still
    # mapped is up to llama.cpp.
    needed = taken["private"] + need.weights - need.repacked
    errors = {
        "needed": need.total / needed - 1,
        "resident": need.resident / (taken["private"] + taken["file"]) - 1,
        "committed": need.committed / taken["committed"] - 1,
    }
    print(name, {key: f"{value:+.1%}" for key, value in errors.items()}, taken)  # noqa: T201 - shown by -s
    assert all(abs(error) <= TOLERANCE for error in errors.values()), errors
