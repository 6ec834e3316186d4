"""Which folders a person may have looked through for models, besides the models folder."""

from __future__ import annotations

import os
from pathlib import Path

from app.home import Home
from engine.models.presence import look_at_folder


def folder_problem(folder: Path, home: Home) -> str | None:
    """The key of the sentence that says why `folder` can't be added; None where it can."""
    state = look_at_folder(folder)
    if state == "gone":
        return "library.path.no_folder" if os.path.exists(folder) else "library.path.missing"
    if state == "unreadable":
        return "library.path.unreadable"
    real, models, data = (Path(os.path.realpath(path)) for path in (folder, home.models, home.root))
    if real.is_relative_to(models):
        return "library.path.models"
    # The demo in there would be taken for a model of one's own.
    return "library.path.data" if real.is_relative_to(data) or data.is_relative_to(real) else None
