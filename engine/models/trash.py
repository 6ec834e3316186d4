"""Put a file into the system's trash, where there is one that can be reached.

Knows nothing of models. Phones have no trash for apps.
"""

from __future__ import annotations

import os
from pathlib import Path


def move_to_trash(path: Path) -> bool:
    """Whether the file at `path` is in the trash now; if not, it is where it was."""
    try:
        from send2trash import send2trash
    except ImportError:
        return False
    try:
        send2trash(path)
    except OSError:  # also the package's own TrashPermissionError
        return False
    return not os.path.exists(path)
