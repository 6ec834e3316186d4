"""Which folders a person may have looked through for models, besides the models folder."""

from __future__ import annotations

import os
from pathlib import Path


def folder_problem(folder: Path, models: Path) -> str | None:
    """The key of the sentence that says why `folder` can't be added; None where it can."""
    if not os.path.exists(folder):  # also false for what is no name at all, or can't be looked at
        return "library.path.missing"
    if not os.path.isdir(folder):
        return "library.path.no_folder"
    return "library.path.models" if folder.absolute().is_relative_to(models) else None
