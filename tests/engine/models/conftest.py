"""A hub, a file on it, and no proxies."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from builders.hub import LocalHub


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


@pytest.fixture
def mirror() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub
