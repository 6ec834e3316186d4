"""That a window knows at once whether it can ask a hub, and that nobody is asked who may not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.home import Home
from app.models.errands import Get, carry_out
from app.models.service import ModelService
from builders.hub import LocalHub
from engine.models.endpoints import Endpoints, find_endpoints
from engine.models.fetch_errors import NetworkForbidden


def test_the_model_manager_says_whether_there_is_a_hub_to_ask(tmp_path: Path) -> None:
    nowhere = ModelService(Home(tmp_path / "a"), endpoints=lambda: Endpoints(()))
    here = ModelService(Home(tmp_path / "b"), endpoints=lambda: Endpoints(("http://127.0.0.1:9",)))
    forbidden = ModelService(Home(tmp_path / "c"), endpoints=lambda: find_endpoints({"HF_HUB_OFFLINE": "1"}))
    assert nowhere.why_offline() == "unreachable"
    assert here.why_offline() is None
    assert forbidden.why_offline() == "forbidden"
    for service in (nowhere, here, forbidden):
        service.close()


def test_a_forbidden_network_is_not_used_for_an_address_either(tmp_path: Path) -> None:
    with LocalHub() as hub:
        file = hub.add("a/one", "one.gguf", b"GGUF")
        get = Get("贝拉", "https://…", address=f"{hub.lfs_url}/lfs/{file.hash}")
        with pytest.raises(NetworkForbidden):
            list(carry_out(get, Home(tmp_path), find_endpoints({"HF_HUB_OFFLINE": "1"})))
        assert hub.seen == []
