"""What kind of copy of the program this is: a bundle that needs no Python, or a package of some Python."""

from __future__ import annotations

import sys
from pathlib import Path


def is_bundled() -> bool:
    """Whether PyInstaller made this program: then `sys.executable` is the program, and there is no pip."""
    return bool(getattr(sys, "frozen", False))


def program_folder() -> Path:
    """The folder of a bundle's programs. Raises ValueError in any other copy."""
    if not is_bundled():
        raise ValueError("this copy is not a bundle")
    return Path(sys.executable).resolve().parent
