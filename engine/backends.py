"""Which backend this system gets: the engine in a process of its own, or in this one where there are none."""

from __future__ import annotations

from engine.backend import Backend
from engine.worker_start import can_start_workers


def make_backend() -> Backend:
    """A backend without a model. Keep in mind `worker_start.serve_if_worker` at the program's beginning."""
    if can_start_workers():
        from engine.worker import WorkerBackend

        return WorkerBackend()
    from engine.in_process import InProcessBackend

    return InProcessBackend()


def worker_peak_rss_bytes(backend: Backend) -> int:
    """The most memory that the engine's own process had resident, after `unload`; 0 where it has none."""
    from engine.worker import WorkerBackend

    return backend.peak_rss_bytes if isinstance(backend, WorkerBackend) else 0
