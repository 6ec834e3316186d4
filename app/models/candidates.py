"""The models that can be chosen to answer, each with what the list of this disk's models knows of it.

Waits for the disk. Knows no screen.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.chat.choices import ModelChoice
from app.chat.service import ChatService
from app.models.local_shelf import ShelfRow, read_shelf
from app.models.service import ModelService


@dataclass(frozen=True, slots=True)
class Candidate:
    """row: None for the demo, and for a file that is in none of the folders looked at."""

    choice: ModelChoice
    row: ShelfRow | None = None

    @property
    def is_usable(self) -> bool:
        """Whether nothing is known to be wrong with its files; it may be too large all the same."""
        return self.row is None or self.row.model.problem is None


def read_candidates(service: ChatService, models: ModelService) -> tuple[Candidate, ...]:
    """Every model that `service` offers, in its order."""
    rows = {row.model.path: row for row in read_shelf(models, service.state).rows}
    return tuple(
        Candidate(choice, rows.get(choice.path) if choice.path is not None else None)
        for choice in service.models()
    )
