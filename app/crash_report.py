"""What is kept of an unexpected error: its traceback and the last log lines, in a file a person can send.

The file stays on this machine.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import tempfile
import time
import traceback
from collections import deque
from contextlib import suppress
from pathlib import Path

from app.errors import DataFolderError
from app.home import Home

_N_KEPT_LINES = 200
_N_KEPT_REPORTS = 10


class RecentLog(logging.Handler):
    """The newest log lines, in memory; nothing reaches the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.lines: deque[str] = deque(maxlen=_N_KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def keep_recent_log() -> RecentLog:
    """Start to collect what is logged, the native library's lines included."""
    recent = RecentLog()
    logger = logging.getLogger()
    logger.addHandler(recent)
    logger.setLevel(logging.INFO)
    return recent


def write_report(error: BaseException, home: Home, recent_log: RecentLog) -> Path:
    """Write the report into the data folder, or into the temporary one where that fails; returns its path."""
    text = "\n".join(
        [
            f"Python {sys.version} on {platform.platform()}",
            "".join(traceback.format_exception(error)),
            *recent_log.lines,
            "",
        ]
    )
    name = f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        path = home.make(home.logs) / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (DataFolderError, OSError):
        path = Path(tempfile.gettempdir()) / f"chatbelle-{name}"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    _remove_old(path.parent)
    return path


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.glob("error-*.log"))[:-_N_KEPT_REPORTS]:
        with suppress(OSError):
            path.unlink()
