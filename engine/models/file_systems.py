"""What the file system of a folder can't keep: files above a size, or programs as they are."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from engine.models.places import nearest_folder

FAT_LIMIT_BYTES = (1 << 32) - 1
"""The size of a file on FAT is a number of 32 bits."""

_FAT_NAMES = ("vfat", "msdos", "fat", "fat32", "fat16")


def file_size_limit(folder: Path) -> tuple[int, str] | None:
    """The largest file that the folder's disk takes, in bytes, and its kind; None where no limit is known."""
    import psutil

    there = Path(os.path.realpath(nearest_folder(folder)))
    mounts = [
        (Path(each.mountpoint), each.fstype)
        for each in psutil.disk_partitions(all=True)
        if there.is_relative_to(each.mountpoint)
    ]
    if not mounts:
        return None
    kind = max(mounts, key=lambda mount: len(mount[0].parts))[1]
    return (FAT_LIMIT_BYTES, kind) if kind.lower() in _FAT_NAMES else None


def keeps_programs(folder: Path) -> bool:
    """Whether what is copied into the folder can be started there: links stay links, and programs programs.

    Raises OSError where nothing can be written.
    """
    if sys.platform == "win32":
        return True
    with tempfile.TemporaryDirectory(dir=folder, prefix=".chatbelle-") as name:
        program, link = Path(name, "program"), Path(name, "link")
        program.write_bytes(b"")
        try:
            program.chmod(0o755)
            link.symlink_to(program.name)
        except OSError:
            return False
        return os.access(program, os.X_OK) and link.is_symlink()
