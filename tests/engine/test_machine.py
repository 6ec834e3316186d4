"""What the engine finds out about the machine: cores, control groups, available memory, the estimate."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from builders.gguf_models import Shape, write_model
from engine import cgroup, cpu, memory
from engine.gguf_header import read_gguf_header
from engine.model_shape import ModelShape, read_model_shape


def put(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def core(*siblings: int) -> dict[str, str]:
    """sysfs files of one physical core with these hardware threads."""
    listed = ",".join(map(str, siblings))
    return {f"system/cpu/cpu{cpu}/topology/core_cpus_list": f"{listed}\n" for cpu in siblings}


LAPTOP = core(0, 1) | core(2, 3) | core(4) | core(5) | {"cpu_core/cpus": "0-3\n", "cpu_atom/cpus": "4-5\n"}
PHONE = {
    name: value
    for index, capacity in enumerate([250, 250, 250, 250, 700, 700, 1024])
    for name, value in {**core(index), f"system/cpu/cpu{index}/cpu_capacity": f"{capacity}\n"}.items()
}


@pytest.mark.parametrize(
    ("files", "usable", "expected"),
    [
        (core(0, 1) | core(2, 3), {0, 1, 2, 3}, 2),
        (core(0, 1) | core(2, 3), {0, 1}, 1),
        (LAPTOP, {0, 1, 2, 3, 4, 5}, 2),
        (LAPTOP, {4, 5}, 2),
        (PHONE, set(range(7)), 3),
        ({}, {0, 1}, None),
    ],
)
def test_physical_performance_cores(
    tmp_path: Path, files: dict[str, str], usable: set[int], expected: int | None
) -> None:
    assert cpu.linux_cores(usable, put(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"), [("1", 1), ("1,4", 1), ("0", None), ("²", None), ("many", None)]
)
def test_openmps_number_of_threads_is_the_most(
    monkeypatch: pytest.MonkeyPatch, wanted: str, expected: int | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    without = cpu.performance_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)

    assert cpu.performance_cores() == (expected or without)


def test_cores_stay_within_affinity_and_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= cpu.performance_cores() <= (os.cpu_count() or 1)
    monkeypatch.setattr(cgroup, "cpu_quota", lambda: 0.5)
    assert cpu.performance_cores() == 1


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, "0::/a/b\n", 2.0),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "", 3.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", None),
        ({"cpu.max": "garbage"}, "garbage", None),
        ({}, "", None),
    ],
)
def test_cpu_quota(tmp_path: Path, files: dict[str, str], own: str, expected: float | None) -> None:
    root = put(tmp_path / "cgroup", files | {"own": own})
    assert cgroup.cpu_quota(root, root / "own") == expected


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        (
            {"memory.max": "1000", "memory.current": "600", "memory.stat": "file 9\ninactive_file 100\n"},
            "",
            500,
        ),
        ({"memory.max": "max", "memory.current": "600"}, "", None),
        ({"x/memory.max": "1000", "x/memory.current": "2000"}, "0::/x", 0),
        (
            {"memory/j/memory.limit_in_bytes": "900", "memory/j/memory.usage_in_bytes": "400"},
            "4:memory:/j\n3:cpu,cpuacct:/\n",
            500,
        ),
        ({}, "", None),
    ],
)
def test_memory_limit(tmp_path: Path, files: dict[str, str], own: str, expected: int | None) -> None:
    root = put(tmp_path / "cgroup", files | {"own": own})
    assert cgroup.available_memory(root, root / "own") == expected


def test_available_memory_is_the_tighter_of_machine_and_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < (memory.available_bytes() or 0) <= psutil.virtual_memory().total
    monkeypatch.setattr(cgroup, "available_memory", lambda: 12_345)
    assert memory.available_bytes() == 12_345


def test_the_estimate_of_belle_7b_is_what_loading_it_took(tmp_path: Path) -> None:
    """Measured with a BLOOM-7B-shaped Q4_0 file (llama-cpp-python 0.3.36, x86-64): 4,842 and 5,802 MiB."""
    header = read_gguf_header(write_model(tmp_path / "m.gguf"))
    shape = ModelShape(
        n_layers=30,
        n_embd=4096,
        n_ff=16384,
        n_heads=32,
        n_vocab=250_880,
        kv_width=2 * 30 * 4096,
        trained_context_tokens=2048,
    )
    for context_tokens, measured_mib in ((2048, 4842), (4096, 5802)):
        need = memory.estimate_need(header, shape, context_tokens, 128, 1)
        estimated_mib = 3797 + (need.kv_cache + need.compute) / 2**20
        assert measured_mib * 0.95 < estimated_mib < measured_mib * 1.1


def test_logits_of_a_whole_micro_batch_are_counted(tmp_path: Path) -> None:
    header = read_gguf_header(write_model(tmp_path / "m.gguf", shape=Shape()))
    shape = read_model_shape(header)
    one = memory.estimate_need(header, shape, 512, 512, 1).total
    every = memory.estimate_need(header, shape, 512, 512, 512).total
    assert every - one == 511 * shape.n_vocab * 4
