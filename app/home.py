"""Where ChatBELLE keeps a person's data, and what lies where in there.

`CHATBELLE_HOME` decides if set; then `FLET_APP_STORAGE_DATA`, which Flet sets inside a packaged app; then the
system's place for application data. Knows no file's content.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import DataFolderNotWritable


@dataclass(frozen=True, slots=True)
class Home:
    """The data folder; its subfolders are made by whoever writes there first."""

    root: Path

    @property
    def models(self) -> Path:
        """GGUF files that a person added."""
        return self.root / "models"

    @property
    def demo(self) -> Path:
        """The GGUF made from the built-in checkpoint."""
        return self.root / "demo"

    @property
    def history(self) -> Path:
        """The conversations, their backups, and the lock that makes one app their owner."""
        return self.root / "history"

    @property
    def jobs(self) -> Path:
        """Records of long work that is not finished, or not yet seen to be."""
        return self.root / "jobs"

    @property
    def logs(self) -> Path:
        """Reports of unexpected errors."""
        return self.root / "logs"

    @property
    def web_view(self) -> Path:
        """What the window's web view needs while it runs, where that has to be a folder."""
        return self.root / "web-view"

    @property
    def terminal_history(self) -> Path:
        """What was typed in the terminal chat, for the arrow keys."""
        return self.root / "terminal-history"

    def make(self, folder: Path | None = None) -> Path:
        """Make `folder` (default: the data folder itself), for its owner only, if it is not there yet.

        Raises DataFolderNotWritable.
        """
        wanted = self.root if folder is None else folder
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderNotWritable(wanted, error.strerror or str(error)) from error
        if not os.access(wanted, os.W_OK | os.X_OK):
            raise DataFolderNotWritable(wanted, os.strerror(errno.EACCES))
        return wanted


def find_home(environ: Mapping[str, str] = os.environ) -> Home:
    """The data folder of this person; nothing is created."""
    for variable in ("CHATBELLE_HOME", "FLET_APP_STORAGE_DATA"):
        chosen = environ.get(variable)
        if chosen:
            return Home(Path(os.path.expanduser(chosen)).absolute())
    import platformdirs

    return Home(platformdirs.user_data_path("ChatBELLE", appauthor=False))
