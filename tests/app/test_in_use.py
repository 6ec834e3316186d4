"""When a model's files may be taken away, and which model counts as chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.chat.choices import DEMO, ModelChoice
from app.chat.events import EngineState
from app.models.in_use import is_in_use, refusal

PARTS = (Path("a-00001-of-00002.gguf"), Path("a-00002-of-00002.gguf"))
LOADED = ModelChoice("a", "a", PARTS[0], 1, is_demo=False)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (EngineState("ready", LOADED), None),
        (EngineState("failed", LOADED), None),
        (EngineState("loading", LOADED), "loading"),
        (EngineState("restarting", LOADED), "loading"),
        (EngineState("ready", LOADED, answering=7), "answering"),
        (EngineState("loading", LOADED, answering=7), "answering"),
        (EngineState("ready", DEMO, answering=7), None),
        (EngineState(), None),
    ],
)
def test_a_model_at_work_is_left_alone(state: EngineState, reason: str | None) -> None:
    assert refusal(state, PARTS) == reason


def test_only_the_engines_own_model_is_in_use() -> None:
    assert is_in_use(EngineState("ready", LOADED), PARTS)
    assert not is_in_use(EngineState("ready", LOADED), (Path("b.gguf"),))
    assert not is_in_use(EngineState("ready", DEMO), PARTS)
    assert not is_in_use(EngineState(), PARTS)
