"""What kind of copy of the program this is: a bundle that needs no Python, an app on a phone, or a package of
some Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PHONES = ("android", "ios")


def is_bundled() -> bool:
    """Whether PyInstaller made this program: then `sys.executable` is the program, and there is no pip."""
    return bool(getattr(sys, "frozen", False))


def program_folder() -> Path:
    """The folder of a bundle's programs. Raises ValueError in any other copy."""
    if not is_bundled():
        raise ValueError("this copy is not a bundle")
    return Path(sys.executable).resolve().parent


def is_phone(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is Android or iOS: one process for everything, and the system ends it when it likes."""
    return sys.platform in _PHONES or environ.get("FLET_PLATFORM", "").lower() in _PHONES
