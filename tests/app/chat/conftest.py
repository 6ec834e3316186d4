"""A chat service on a fake engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.chat.service import ChatService
from app.history.store import HistoryStore
from app.home import Home
from app.personas import PersonaStore
from app.settings import SettingsStore
from builders.chat_services import MakeService, Recorder
from builders.fake_backend import FakeBackend
from engine.backend import Backend


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder with one model file in it, which the fake engine takes for one; no cache of a hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    home = Home(tmp_path / "数据")
    (home.make(home.models) / "模型.gguf").write_bytes(b"GGUF")
    return home


@pytest.fixture
def make_service(home: Home) -> Iterator[MakeService]:
    """Open the service on the data folder; closed at the end."""
    opened: list[ChatService] = []

    def make(make_backend: Callable[[], Backend]) -> ChatService:
        settings = SettingsStore(home.root)
        settings.update(default_model=settings.settings.default_model or "模型")
        service = ChatService(
            home=home,
            settings=settings,
            personas=PersonaStore(home.root),
            history=HistoryStore.open(home.make(home.history)),
            make_backend=make_backend,
            language="en",
        )
        opened.append(service)
        return service

    yield make
    for service in opened:
        service.close()


@pytest.fixture
def fake() -> FakeBackend:
    """The engine of `service`; tests may replace what it says."""
    return FakeBackend()


@pytest.fixture
def service(make_service: MakeService, fake: FakeBackend) -> ChatService:
    """A service on `fake`."""
    return make_service(lambda: fake)


@pytest.fixture
def recorder(service: ChatService) -> Recorder:
    """What `service` tells."""
    return Recorder(service)
