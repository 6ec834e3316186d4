"""The switch for thoughts: there only where a model has one, and kept with the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flet as ft
import pytest

from app.components.chat.thinking_picker import ThinkingPicker
from app.history.records import Overrides
from app.history.store import HistoryStore
from app.home import Home
from app.models.service import ModelService
from app.personas import PersonaStore
from app.settings import SettingsStore
from app.views.chat_behaviour import ChatBehaviour
from app.views.context import ViewContext
from builders.fake_backend import INFO
from convert.i18n import LANGUAGES, Language
from engine.models.endpoints import Endpoints
from engine.types import ModelInfo
from fakes.view_context import FakeViewContext, words_of

SWITCHABLE = replace(INFO, thinks=True, can_switch_thinking=True)
ALWAYS = replace(INFO, thinks=True)


def context_of(folder: Path, language: Language = "en") -> Any:
    models = ModelService(Home(folder), endpoints=lambda: Endpoints(()))
    return FakeViewContext(models, language)


def menu_of(picker: ThinkingPicker) -> list[ft.PopupMenuItem]:
    node = cast(ft.Semantics, picker.content)
    return [item for item in cast(ft.PopupMenuButton, node.content).items if item.content is not None]


def chosen(picker: ThinkingPicker) -> list[Any]:
    return [item.content for item in menu_of(picker) if item.checked]


def choose(picker: ThinkingPicker, text: str) -> Any:
    (item,) = [item for item in menu_of(picker) if item.content == text]
    return cast(Callable[[], Any], item.on_click)()


def on_loop(test: Callable[[], Any]) -> None:
    async def run() -> None:
        result = test()
        if result is not None:
            await result

    asyncio.run(run())


@pytest.mark.parametrize(
    ("info", "is_seen", "n_entries"),
    [(None, False, 0), (INFO, False, 0), (SWITCHABLE, True, 7), (ALWAYS, True, 4)],
)
def test_only_what_the_model_can_do_is_offered(
    tmp_path: Path, info: ModelInfo | None, is_seen: bool, n_entries: int
) -> None:
    def test() -> None:
        picker = ThinkingPicker(context_of(tmp_path), print, print)
        picker.show(info, "automatic", None)
        assert picker.visible is is_seen
        assert len(menu_of(picker)) == n_entries

    on_loop(test)


def test_what_is_chosen_is_shown_and_told(tmp_path: Path) -> None:
    def test() -> None:
        told: list[Any] = []
        picker = ThinkingPicker(context_of(tmp_path), told.append, told.append)
        picker.show(SWITCHABLE, "off", 2_048)
        assert chosen(picker) == ["Don't think, answer at once", "Think for at most 2,048 tokens"]
        assert "Don't think" in words_of(picker)
        choose(picker, "Think, then answer")
        choose(picker, "Think as long as it takes")
        assert told == ["on", None]
        picker.show(SWITCHABLE, "on", 300)  # an import may bring any number
        assert chosen(picker) == ["Think, then answer", "Think for at most 300 tokens"]

    on_loop(test)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_narrow_window_has_the_sign_alone_but_its_name(tmp_path: Path, language: Language) -> None:
    def test() -> None:
        picker = ThinkingPicker(context_of(tmp_path, language), print, print)
        picker.set_narrow(True)
        picker.show(SWITCHABLE, "on", None)
        label = {"zh-CN": "思考", "en": "Think"}[language]
        assert label not in words_of(picker).split("\n")
        node = cast(ft.Semantics, picker.content)
        assert label in str(cast(ft.PopupMenuButton, node.content).tooltip)

    on_loop(test)


def test_the_choice_is_kept_with_the_conversation_and_for_a_new_one(tmp_path: Path) -> None:
    async def test() -> None:
        with HistoryStore.open(tmp_path / "history") as history:
            context = context_of(tmp_path)
            context.service = SimpleNamespace(
                history=history, settings=SettingsStore(tmp_path), personas=PersonaStore(tmp_path)
            )
            behaviour = ChatBehaviour(cast(ViewContext, context), Overrides())
            behaviour.show_model(SWITCHABLE)
            await choose(behaviour.thinking, "Don't think, answer at once")
            assert behaviour.new == Overrides(thinking="off")

            conversation = history.conversations.create(overrides=Overrides(persona="coder"))
            behaviour.show(conversation)
            assert chosen(behaviour.thinking)[0] == "Automatic: as the model decides"
            await choose(behaviour.thinking, "Think, then answer")
            await choose(behaviour.thinking, "Think for at most 512 tokens")
            kept = history.conversations.get(conversation.id).overrides
            assert kept == Overrides(persona="coder", thinking="on", thought_budget=512)
            await choose(behaviour.thinking, "Automatic: as the model decides")
            assert history.conversations.get(conversation.id).overrides.thinking is None
            behaviour.show_model(INFO)
            assert not behaviour.thinking.visible

    on_loop(test)
