"""What the fixtures that start programs hand out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a program with these arguments; keywords go to `subprocess.run`, `env` adds to the environment."""

_ROOT = Path(__file__).parents[2]


def python_environment() -> dict[str, str]:
    """The environment of a Python that finds our packages and the builders; no proxies, no hub settings."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and not key.startswith("HF_")
    }
    return kept | {"PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tests")])}
