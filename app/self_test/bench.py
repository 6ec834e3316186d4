"""What every check is given: texts, and a temporary folder that is this run's own.

Nothing of a check's work reaches the data folder of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.home import Home
from app.i18n import Texts


@dataclass(frozen=True, slots=True)
class Bench:
    """folder: temporary, empty at first; None where none could be made. refused: foreign machines that were
    asked for so far.
    """

    texts: Texts
    folder: Path | None
    refused: list[str] = field(default_factory=list)

    @property
    def home(self) -> Home:
        """A data folder for this run alone. Raises ValueError without a temporary folder."""
        if self.folder is None:
            raise ValueError("no temporary folder")
        # A blank and Chinese characters: in such a folder, too, everything has to work.
        return Home(self.folder / "数据 data")

    def t(self, key: str, **values: Any) -> str:
        """The text `self-test.<key>`."""
        return self.texts.text(f"self-test.{key}", **values)
