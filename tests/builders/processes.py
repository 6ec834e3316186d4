"""What the fixtures that start programs hand out, and how their answers are read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a program with these arguments; keywords go to `subprocess.run`, `env` adds to the environment."""

_ROOT = Path(__file__).parents[2]


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout, and nothing else."""
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert len(result.stdout.splitlines()) == 1
    return found


def python_environment() -> dict[str, str]:
    """The environment of a Python that finds our packages and the builders; no proxies, no hub settings."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and not key.startswith("HF_")
    }
    return kept | {"PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tests")])}
