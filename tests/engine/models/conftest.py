"""A hub and a file on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders.hub import LocalHub


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


@pytest.fixture
def mirror() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub
