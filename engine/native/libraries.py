"""Where llama-cpp-python's libraries lie, what they are called on this system, and how one is opened.

llama_cpp is not imported here, which takes a third of a second and opens all of them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from engine.errors import NativeLibraryMissing
from engine.native.waiting import wait_briefly


def library_folder() -> Path:
    """The folder in which llama_cpp looks for its libraries. Raises NativeLibraryMissing."""
    folder = _library_folder()
    if folder is None:
        raise NativeLibraryMissing("llama-cpp-python is not installed")
    return folder


def library_path(name: str) -> Path:
    """The library `name` (`ggml-base`), under the file name that libllama itself links: any other of the
    wheel's copies would be a second library in the process. Raises NativeLibraryMissing.
    """
    folder = library_folder()
    file_names = _file_names(name)
    for file_name in file_names:
        path = folder / file_name
        if path.is_file():
            return path
    raise NativeLibraryMissing(f"no {file_names[0]} in {folder}")


def cpu_variants() -> dict[str, Path]:
    """The CPU backends of a build that has several, by what ggml calls them (`haswell`); else none."""
    suffix = ".dll" if sys.platform == "win32" else ".so"  # also on macOS: they are plug-ins
    prefixes = ("libggml-cpu-", "ggml-cpu-")
    folder = _library_folder()
    return {
        path.name.removeprefix(prefix).removesuffix(suffix): path
        for path in (sorted(folder.glob(f"*{suffix}")) if folder is not None else ())
        for prefix in prefixes
        if path.name.startswith(prefix)
    }


def open_library(path: Path) -> ctypes.CDLL:
    """Open a library, or take the one that is open already. Raises NativeLibraryMissing."""
    wait_briefly()
    try:
        if sys.platform == "win32":
            os.add_dll_directory(str(path.parent))
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeLibraryMissing(f"{path}: {error}") from error


def _library_folder() -> Path | None:
    override = os.environ.get("LLAMA_CPP_LIB_PATH")
    if override is not None:
        return Path(override)
    spec = find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent / "lib"


def _file_names(name: str) -> tuple[str, ...]:
    if sys.platform == "win32":
        return (f"{name}.dll", f"lib{name}.dll")
    if sys.platform == "darwin":
        return (f"lib{name}.0.dylib", f"lib{name}.dylib", f"lib{name}.so")
    return (f"lib{name}.so.0", f"lib{name}.so")
