"""A real disk that is too small, for those who may mount one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[bool]:
    """A tmpfs of `size` (as "8m") at `folder`; yields whether this process may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    may_mount = sys.platform == "linux" and os.geteuid() == 0
    is_mounted = may_mount and not subprocess.run(command, capture_output=True, check=False).returncode
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


def resize_disk(folder: Path, size: str) -> None:
    """Give the tmpfs at `folder` another size; what is on it stays."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
