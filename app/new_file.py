"""Text files that appear complete or not at all, and never in the place of another file."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_new_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8: temporary file, fsync, then its name.

    Something at `path` raises FileExistsError and stays as it was, also when it appears at the last moment.
    Raises OSError; then nothing is left behind.
    """
    if os.path.lexists(path):
        raise _exists(path)
    descriptor, name = tempfile.mkstemp(prefix=".chatbelle-", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _rename_new(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _rename_new(temporary: Path, path: Path) -> None:
    """Give a finished file its name unless the name is taken."""
    if os.name == "nt":
        os.rename(temporary, path)  # refuses an existing target there
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _exists(path) from None
        os.rename(temporary, path)


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
