"""Which backend this system gets: the engine in a process of its own, or in this one where there are none."""

from __future__ import annotations

from engine.backend import Backend


def make_backend() -> Backend:
    """A backend without a model."""
    from engine.in_process import InProcessBackend

    return InProcessBackend()
