"""The last work on a folder that PyInstaller made: what it cannot leave out, take out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bundle.programs import TERMINAL_ON_WINDOWS

_ELF = b"\x7fELF"


def finish(folder: Path) -> None:
    """Names, symbols and search paths of the programs and libraries in `folder`, made ready to go out."""
    if sys.platform == "win32":
        (folder / f"{TERMINAL_ON_WINDOWS}.exe").rename(folder / TERMINAL_ON_WINDOWS)
    if sys.platform == "linux":
        for path in elf_files(folder):
            _finish_elf(path, is_program=path.parent == folder)


def elf_files(folder: Path) -> Iterator[Path]:
    """Every ELF file below `folder`, links left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == _ELF:
                    yield path


def _finish_elf(path: Path, *, is_program: bool) -> None:
    # What is appended to a program would go with its symbols. OpenBLAS does not survive strip.
    if not is_program and path.parent.name != "numpy.libs":
        subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
    entries = _search_path(path).split(":")
    if any(entry and not entry.startswith("$ORIGIN") for entry in entries):
        # The build machine's folders; on another machine anything may lie there.
        subprocess.run([_patchelf(), "--remove-rpath", str(path)], check=True)
    if not is_program:
        _forget_home(path)


def _forget_home(path: Path) -> None:
    """Overwrite where this Python lies, if that is in somebody's home; nothing is looked for there any more.

    It stands in the interpreter's library and in what is left of search paths; lengths must stay as they are.
    The last part of the name stays, too: a linker keeps a string that is another one's end only once, and the
    folder of a Python is often called as its version, which is then read from there.
    """
    prefix = Path(sys.base_prefix)
    if not prefix.is_relative_to(Path.home()):
        return
    data, name = path.read_bytes(), os.fsencode(prefix)
    if name in data:
        kept = os.fsencode(f"/{prefix.name}")
        path.write_bytes(data.replace(name, b"/" + b"-" * (len(name) - len(kept) - 1) + kept))


def _search_path(path: Path) -> str:
    printed = subprocess.run([_patchelf(), "--print-rpath", str(path)], capture_output=True, text=True)
    return printed.stdout.strip()


def _patchelf() -> str:
    found = shutil.which("patchelf", path=str(Path(sys.executable).parent)) or shutil.which("patchelf")
    if found is None:
        raise FileNotFoundError("patchelf is in the dependency group `bundle`; it is not installed here")
    return found
