"""What the model service tells its listeners: frozen values, sent on the service's threads."""

from __future__ import annotations

from dataclasses import dataclass

from app.models.jobs import Job


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job is new, further, at an end or removed (`job.state` says which)."""

    job: Job


@dataclass(frozen=True, slots=True)
class LibraryChanged:
    """Other models are on this disk than before, or more is known of them: look again."""


ModelEvent = JobChanged | LibraryChanged
