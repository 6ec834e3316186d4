"""What a person chose while every place kept a complete set of values stays, whatever it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.history.exchange import read_conversations
from app.history.records import Overrides
from app.history.store import HistoryStore
from app.personas import PersonaStore, load_presets
from app.settings import SettingsStore
from engine.partial_sampling import NOTHING, PartialSampling

ASSISTANT: dict[str, Any] = {
    **{"temperature": 0.35, "top_k": 30, "top_p": 0.85, "min_p": 0.0, "repetition_penalty": 1.2},
    **{"presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": None, "max_tokens": 512, "stop": []},
}
CODER = {
    **ASSISTANT,
    **{"temperature": 0.2, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.05, "max_tokens": 1024},
}
SINGLE: list[dict[str, Any]] = [
    *({"temperature": value} for value in (0.0, 0.1, 0.4, 0.8, 2.0)),
    *({"top_k": value} for value in (0, 10, 60)),
    *({"top_p": value} for value in (0.8, 0.95, 1.0)),
    {"min_p": 0.05},
    *({"repetition_penalty": value} for value in (1.0, 1.1, 1.15)),
    {"presence_penalty": 0.5},
    {"frequency_penalty": 0.5},
    *({"seed": value} for value in (0, 7)),
    *({"max_tokens": value} for value in (200, 800)),
    {"stop": ["###"]},
]
CHANGES = [
    *SINGLE,
    {"temperature": 0.0, "repetition_penalty": 1.0},  # what the demo's answers are made with
    {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 200},
    {"temperature": 0.1, "top_k": 10, "top_p": 0.8, "repetition_penalty": 1.1},  # but for the limit a preset
    {"temperature": 0.25, "top_k": 21, "top_p": 0.93, "max_tokens": 99, "seed": 1, "stop": ["a", "b"]},
]
each_change = pytest.mark.parametrize("change", CHANGES, ids=json.dumps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "设置"
    folder.mkdir()
    return folder


def said(change: dict[str, Any]) -> PartialSampling:
    return PartialSampling(**{name: tuple(v) if name == "stop" else v for name, v in change.items()})


def write_settings(folder: Path, sampling: dict[str, Any], default_model: str | None) -> None:
    content = {"version": 1, "default_model": default_model, "sampling": sampling}
    (folder / "settings.json").write_text(json.dumps(content))


def personas_of(folder: Path, entries: dict[str, dict[str, Any]]) -> dict[str, PartialSampling]:
    stored = {key: {"name": "n", "system": "s", "sampling": value} for key, value in entries.items()}
    (folder / "personas.json").write_text(json.dumps({"version": 1, "personas": stored}))
    return {persona.id: persona.sampling for persona in PersonaStore(folder).all("en")}


def overrides_of(history: HistoryStore, overrides: dict[str, Any]) -> Overrides:
    """As they are read from the database and, the same, from an export."""
    conversation = history.conversations.create()
    history.conversations._set(  # noqa: SLF001 - what an older version wrote can be written by nobody
        conversation.id, "overrides", json.dumps(overrides)
    )
    read = history.conversations.get(conversation.id).overrides
    (imported,) = read_conversations([{"uid": "a", "overrides": overrides}])
    assert imported.overrides == read
    return read


@pytest.mark.parametrize("default_model", [None, "belle"])
@each_change
def test_in_the_settings_for_every_model_but_the_demo(
    folder: Path, change: dict[str, Any], default_model: str | None
) -> None:
    write_settings(folder, {**ASSISTANT, **change}, default_model)
    for _ in range(2):  # as it was, and as the present version has written it
        store = SettingsStore(folder)
        assert store.settings.sampling_of("belle") == said(change)
        assert store.settings.sampling_of("another") == said(change)
        limit = change.get("max_tokens")
        assert store.settings.sampling_of("demo") == PartialSampling(max_tokens=limit)
        store.update(theme="dark" if store.settings.theme == "system" else "light")


def test_in_the_settings_until_one_model_or_all_forget_it(folder: Path) -> None:
    write_settings(folder, {**ASSISTANT, "temperature": 0.9}, None)
    general = PartialSampling(temperature=0.9)
    store = SettingsStore(folder)
    assert store.settings.is_general("a")
    store.set_sampling("a", NOTHING)
    store.set_sampling("b", PartialSampling(top_k=1))

    store = SettingsStore(folder)
    kept = [store.settings.sampling_of(key) for key in ("a", "b", "c")]
    assert kept == [NOTHING, PartialSampling(top_k=1), general]
    assert [store.settings.is_general(key) for key in ("a", "b", "c")] == [False, False, True]

    store.forget_general_sampling()
    for settings in (store.settings, SettingsStore(folder).settings):
        assert settings.general_sampling == NOTHING
        assert settings.model_sampling == {"b": PartialSampling(top_k=1)}


def test_a_reset_of_all_settings_forgets_it(folder: Path) -> None:
    write_settings(folder, {**ASSISTANT, "temperature": 0.9}, None)
    SettingsStore(folder).reset()

    assert SettingsStore(folder).settings.sampling_of("a") == NOTHING


@each_change
def test_in_a_persona_of_ones_own_and_a_changed_preset(folder: Path, change: dict[str, Any]) -> None:
    entries = {"own-1": {**ASSISTANT, **change}, "assistant": {**ASSISTANT, **change}}
    personas = personas_of(folder, {**entries, "coder": {**CODER, **change}})
    coder = next(preset.sampling for preset in load_presets("en") if preset.id == "coder")

    assert personas["own-1"] == said(change)
    for name, value in said(change).said().items():
        assert getattr(personas["assistant"], name) == value
        assert getattr(personas["coder"], name) == value
    for name in coder.said().keys() - change.keys():
        assert getattr(personas["coder"], name) == getattr(coder, name)


@each_change
def test_in_a_conversation(folder: Path, change: dict[str, Any]) -> None:
    with HistoryStore.open(folder / "history") as history:
        for persona in (None, "assistant", "own-1"):
            stored = {"persona": persona, "model": "SmolLM2", "sampling": {**ASSISTANT, **change}}
            assert overrides_of(history, stored) == Overrides(persona, None, "SmolLM2", said(change))
        stored = {"persona": "coder", "sampling": {**CODER, **change}}
        assert overrides_of(history, stored) == Overrides("coder", sampling=said(change))


def test_what_was_never_changed_says_nothing(folder: Path) -> None:
    write_settings(folder, ASSISTANT, None)
    assert SettingsStore(folder).settings.general_sampling == NOTHING
    assert SettingsStore(folder).settings.model_sampling == {}

    personas = personas_of(folder, {"own-1": ASSISTANT, "coder": CODER})
    assert personas["own-1"] == NOTHING
    assert personas["coder"] == next(each.sampling for each in load_presets("en") if each.id == "coder")
