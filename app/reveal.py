"""Show a file in the system's file manager, with the file selected where the system can do that.

Starts the system's own program, never a shell. Knows no window.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

_WAIT_S = 5.0


def reveal(path: Path, *, platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> bool:
    """Open the folder of `path`; false where no program could be asked to. May wait some seconds."""
    return any(_run(command, environ) for command in commands(path.absolute(), platform, environ))


def commands(path: Path, platform: str, environ: Mapping[str, str]) -> tuple[str | list[str], ...]:
    """What to try, in this order; on Windows a command line, because explorer reads its own quotes."""
    if platform == "darwin":
        return (["open", "-R", str(path)],)
    if platform == "win32":
        return (f'explorer /select,"{path}"',)
    if not environ.get("DISPLAY") and not environ.get("WAYLAND_DISPLAY"):
        return ()
    show = [
        "dbus-send",
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.FileManager1",
        "/org/freedesktop/FileManager1",
        "org.freedesktop.FileManager1.ShowItems",
        f"array:string:{path.as_uri()}",
        "string:",
    ]
    return (show, ["xdg-open", str(path.parent)])


def _run(command: str | list[str], environ: Mapping[str, str]) -> bool:
    """Whether the program took it; explorer's exit code says nothing, and one that stays has taken it."""
    import subprocess  # here, because phones have none

    is_explorer = isinstance(command, str)
    program = "explorer" if isinstance(command, str) else command[0]
    if shutil.which(program, path=environ.get("PATH")) is None:
        return False
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return process.wait(_WAIT_S) == 0 or is_explorer
    except subprocess.TimeoutExpired:
        return program != "dbus-send"
