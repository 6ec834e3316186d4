"""Which backend this system gets: the engine in a process of its own, or in this one where there are none."""

from __future__ import annotations

from engine.backend import Backend
from engine.worker_start import can_start_workers


def make_backend() -> Backend:
    """A backend without a model."""
    if can_start_workers():
        from engine.worker import WorkerBackend

        return WorkerBackend()
    from engine.in_process import InProcessBackend

    return InProcessBackend()
