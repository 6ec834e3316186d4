"""Whether something is at a path: there, plainly gone, or out of reach for now. Opens no file.

A server that does not answer, a disk with errors and a folder that may not be read say nothing of what is in
them, and come back. `Path.exists` and its like raise for them, so that one such place would hide all others.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

Presence = Literal["file", "folder", "other", "gone", "unreachable"]
"""What a path leads to, through links. gone: nothing is there. unreachable: it can't be told now."""

FolderState = Literal["readable", "gone", "unreadable"]
"""gone: there is none at this path. unreadable: it can't be told now what is in it."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_WINDOWS_GONE = (123, 1921)  # a name that no file can have; links that lead in a circle
_WINDOWS_AWAY = (53, 67)  # a server, or what it shares, is not to be found: Python calls that ENOENT


def look_at_path(path: Path) -> Presence:
    """What is at `path` now; raises nothing."""
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # a name that no file has
        return "gone"
    except OSError as error:
        code = getattr(error, "winerror", None)
        is_gone = (error.errno in _GONE or code in _WINDOWS_GONE) and code not in _WINDOWS_AWAY
        return "gone" if is_gone else "unreachable"
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def look_at_folder(folder: Path) -> FolderState:
    """Whether the files in `folder` can be looked at now; raises nothing."""
    presence = look_at_path(folder)
    if presence != "folder":
        return "unreadable" if presence == "unreachable" else "gone"
    try:
        with os.scandir(folder):
            pass
    except OSError:
        return "unreadable"
    return "readable" if os.access(folder, os.X_OK) else "unreadable"  # else there are names, but no files
