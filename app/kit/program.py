"""The program as an offline kit takes it along: its own files, and nothing that a person has put beside them.

A portable copy has its data folder inside the program's; so what is taken is named, and the rest stays.
"""

from __future__ import annotations

import os
import platform
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from app.kit.manifest import kit_folder
from engine.installation import is_bundled, program_folder

_FOLDERS = ("_internal", "licences")
_PROGRAMS = ("chatbelle", "belle-convert", "ChatBELLE.exe", "chatbelle.com", "belle-convert.exe")
_APP_SUFFIX = ".app"


def program_root() -> Path:
    """The folder that is the whole program: on macOS the .app. Raises ValueError where this is no bundle."""
    folder = program_folder()
    is_app = sys.platform == "darwin" and folder.parent.parent.suffix == _APP_SUFFIX
    return folder.parent.parent if is_app else folder


def kit_of_program() -> Path | None:
    """The kit that this program was started from; None where it was not."""
    return kit_folder(program_root().parent) if is_bundled() else None


def program_name() -> str:
    """What its folder is called in a kit."""
    return f"ChatBELLE{_APP_SUFFIX}" if program_root().suffix == _APP_SUFFIX else "ChatBELLE"


def program_version() -> str:
    """The version of this program."""
    return version("chatbelle")


def system_name() -> str:
    """What this program runs on: `Linux-x86_64`."""
    return f"{platform.system()}-{platform.machine()}"


def program_files(root: Path) -> Iterator[Path]:
    """Every file and link of the program, in order."""
    if root.suffix == _APP_SUFFIX:
        yield from _walk(root)
        return
    for name in _PROGRAMS:
        if (root / name).is_file():
            yield root / name
    for name in _FOLDERS:
        yield from _walk(root / name)


def write_archive(root: Path, name: str, target: Path) -> Iterator[int]:
    """Write the program as a tar file, for disks that keep neither links nor programs; yields bytes done.

    name: of the folder that comes out of it. Raises OSError.
    """
    done_bytes = 0
    with tarfile.open(target, "w") as archive:
        for path in program_files(root):
            archive.add(path, f"{name}/{path.relative_to(root).as_posix()}", recursive=False, filter=_nobody)
            done_bytes += path.lstat().st_size
            yield done_bytes


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the name of who made it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _walk(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        for name in sorted([*names, *links]):
            yield Path(path, name)
