"""Write `requirements.txt` beside this: what a bundle is made from, pinned by hash, of all three systems.

    uv run --only-group bundle python packaging/bundle/lock.py

Two of its lines are built from source (see source_wheel.py); the hash among theirs that counts is the
source's. Left out is what the product never imports and only others' optional parts ask for.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_OUTPUT = Path(__file__).with_name("requirements.txt")
UNUSED = (
    "hf-xet",
    "httptools",
    "huggingface-hub",
    "oauthlib",
    "pygments",
    "python-dotenv",
    "requests",
    "uvloop",
    "watchfiles",
)


def main() -> None:
    """Resolve the project with its group `bundle`, and export that."""
    command = ["uv", "export", "--group", "bundle", "--no-dev", "--no-emit-project", "--no-header"]
    command += ["--no-annotate", "--quiet", "--output-file", str(_OUTPUT)]
    for name in UNUSED:
        command += ["--prune", name]
    subprocess.run(command, cwd=_ROOT, check=True)


if __name__ == "__main__":
    main()
