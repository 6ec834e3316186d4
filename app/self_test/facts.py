"""What this copy of the program is, and what it runs on: what somebody who helps would ask for first.

Names no person, no machine and no chat; paths are shortened by who shows them.
"""

from __future__ import annotations

import locale
import os
import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from app.home import Home
from app.models.finding import open_library
from app.self_test.steps import Facts
from convert.i18n import system_language
from engine.installation import is_bundled, is_phone, program_folder
from engine.models.machine import look_at_machine
from engine.models.places import find_hf_cache, nearest_folder

_LIBRARIES = ("llama-cpp-python", "flet", "flet-web", "numpy", "gguf", "httpx")
_LOCALE_VARIABLES = ("LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG")


def collect_facts(home: Home) -> Facts:
    """The facts; nothing is written, and none is missing because another one can't be had."""
    machine = look_at_machine()
    library = open_library(home)
    return {
        "version": _version("chatbelle"),
        "installation": _installation(),
        "program": str(program_folder() if is_bundled() else _package_folder()),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": machine.n_cores,
        "memory": machine.total_bytes,
        "memory_available": machine.available_bytes,
        "python": platform.python_version(),
        # A bundle has their versions fixed by its own, and does not say them.
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name)) is not None},
        "locale": " ".join(
            f"{name}={value}" for name in _LOCALE_VARIABLES if (value := os.environ.get(name))
        ),
        "encoding": locale.getpreferredencoding(do_setlocale=False),
        "language": system_language(),
        "data": str(home.root),
        "data_writable": os.access(nearest_folder(home.root), os.W_OK | os.X_OK),
        "data_free": _free_bytes(home.root),
        "models": str(home.models),
        "added_folders": [str(folder) for folder in library.folders],
        "hub_cache": str(find_hf_cache()),
        "temporary": _temporary(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _installation() -> str:
    """`bundle`, `phone`, `checkout` or `package`: a folder that starts anywhere, or one of some Python's."""
    if is_bundled():
        return "bundle"
    if is_phone():
        return "phone"
    return "checkout" if (_package_folder() / "pyproject.toml").is_file() else "package"


def _package_folder() -> Path:
    return Path(str(files("app"))).parent


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(nearest_folder(folder)).free
    except OSError:
        return None


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None
