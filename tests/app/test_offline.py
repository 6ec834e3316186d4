"""That a window knows at once whether it can ask a hub."""

from __future__ import annotations

from pathlib import Path

from app.home import Home
from app.models.service import ModelService
from engine.models.endpoints import Endpoints


def test_the_model_manager_says_whether_there_is_a_hub_to_ask(tmp_path: Path) -> None:
    nowhere = ModelService(Home(tmp_path / "a"), endpoints=lambda: Endpoints(()))
    here = ModelService(Home(tmp_path / "b"), endpoints=lambda: Endpoints(("http://127.0.0.1:9",)))
    assert nowhere.is_offline()
    assert not here.is_offline()
    for service in (nowhere, here):
        service.close()
