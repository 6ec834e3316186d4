"""What the fixtures that start programs hand out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a program with these arguments; keywords go to `subprocess.run`, `env` adds to the environment."""
