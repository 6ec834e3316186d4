"""How ggml's threads wait for one another is settled before its library is opened, and only there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from builders.processes import python_environment

OPEN = {
    "engine": "from engine.native import binding; binding.api()",
    "converter": "from engine.native import kernels as k; k.block_size(k.GgmlType.Q4_0)",
}


def told_by_openmp(who: str, **environment: str) -> str:
    """What libgomp says of its settings as it is opened."""
    kept = {key: value for key, value in python_environment().items() if not key.startswith(("OMP", "GOMP"))}
    result = subprocess.run(
        [sys.executable, "-c", OPEN[who]],
        env=kept | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in result.stderr:
        pytest.skip("llama.cpp was built without GCC's OpenMP")
    return result.stderr


@pytest.mark.parametrize("who", OPEN)
def test_waiting_is_active_for_microseconds_only(who: str) -> None:
    assert "GOMP_SPINCOUNT = '1000'" in told_by_openmp(who)


def test_what_the_person_set_stays() -> None:
    assert "GOMP_SPINCOUNT = '77'" in told_by_openmp("engine", GOMP_SPINCOUNT="77")
    assert "GOMP_SPINCOUNT = '1000'" not in told_by_openmp("engine", OMP_WAIT_POLICY="active")
