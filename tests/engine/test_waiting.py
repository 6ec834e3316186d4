"""How ggml's threads wait for one another is settled before its library is opened, and only there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from builders.processes import python_environment

SAY = "import os; from engine.native import binding; binding.api(); print(os.environ.get('GOMP_SPINCOUNT'))"


def spin_count(**environment: str) -> str:
    kept = {
        name: value for name, value in python_environment().items() if not name.startswith(("OMP", "GOMP"))
    }
    result = subprocess.run(
        [sys.executable, "-c", SAY], env=kept | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_waiting_is_active_for_microseconds_only() -> None:
    assert spin_count() == "1000"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_what_the_person_set_stays(environment: dict[str, str], expected: str) -> None:
    assert spin_count(**environment) == expected
