"""A real disk that is too small, for those who may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_ci() -> bool:
    """Whether a test that this machine has no means for must fail instead of being skipped."""
    return os.environ.get("CI") == "true"


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[bool]:
    """A tmpfs of `size` (as "8m") at `folder`; yields whether this process may mount one."""
    folder.mkdir()
    is_mounted = _may_mount() and _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "none", folder)
    try:
        yield is_mounted
    finally:
        if is_mounted:
            assert _run("umount", folder)


def resize_disk(folder: Path, size: str) -> None:
    """Give the tmpfs at `folder` another size; what is on it stays."""
    assert _run("mount", "-o", f"remount,size={size}", folder)


def _may_mount() -> bool:
    if sys.platform != "linux":
        return False
    # Nobody's own machine is asked for more than its user is; a runner of CI may well have to.
    return os.geteuid() == 0 or (is_ci() and shutil.which("sudo") is not None)


def _run(*command: str | Path) -> bool:
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return subprocess.run([*as_root, *command], capture_output=True, check=False).returncode == 0
