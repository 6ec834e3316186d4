"""What tests of screens share: the services on the data folder that each module makes (`home`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.chat.service import ChatService
from app.history.store import HistoryStore
from app.home import Home
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import SettingsStore
from builders.fake_backend import FakeBackend
from engine.models.endpoints import Endpoints
from engine.models.machine import Machine

MACHINE = Machine(16 << 30, 8 << 30, 8, None, 35_000_000_000)


@pytest.fixture
def chat(home: Home) -> Iterator[ChatService]:
    service = ChatService(
        home=home,
        settings=SettingsStore(home.root),
        personas=PersonaStore(home.root),
        history=HistoryStore.open(home.make(home.history)),
        make_backend=FakeBackend,
        language="en",
    )
    yield service
    service.close()


@pytest.fixture
def models(home: Home) -> Iterator[ModelService]:
    service = ModelService(home, endpoints=lambda: Endpoints(()), machine=lambda: MACHINE)
    yield service
    service.close()
