"""Conversions in a process of their own: memory, and `kill -9` at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "builders" / "generated_conversion.py"


def start(output: Path, *, n_rows: int, sleep_s: float) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, str(SCRIPT), str(output), str(n_rows), str(sleep_s)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def read_lines(process: subprocess.Popen[str], until: str, n_more: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == until:
            break
    for _ in range(n_more):
        process.stdout.readline()


def test_killed_runs_leave_no_output_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    output = tmp_path / "a.gguf"
    moments = [("convert", random.randrange(40)) for _ in range(4)] + [("verify", random.randrange(4))]
    for phase, n_more in moments:
        process = start(output, n_rows=32768, sleep_s=0.002)
        read_lines(process, phase, n_more)
        process.kill()
        rest, _ = process.communicate()
        if "verified" in rest:  # it was quicker than the kill
            assert phase == "verify"
            output.unlink(missing_ok=True)
        else:
            assert process.returncode != 0
        found = [path.name for path in tmp_path.iterdir()]
        assert len(found) <= 1, (phase, n_more, found)
        assert all(name.endswith(".partial") for name in found), (phase, n_more, found)
    process = start(output, n_rows=256, sleep_s=0)
    process.communicate()
    assert process.returncode == 0
    assert os.listdir(tmp_path) == ["a.gguf"]


@pytest.mark.skipif(sys.platform == "win32", reason="the bound was measured on Unix")
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    process = start(tmp_path / "a.gguf", n_rows=65536, sleep_s=0)  # 1 GiB of float32
    lines, _ = process.communicate()
    assert process.returncode == 0
    assert int(lines.split()[-1]) < 160 * 2**20
