"""Where a model is chosen: what is said of each, and which of them can't be."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.chat.choices import ModelChoice
from app.chat.events import EngineState
from app.chat.service import ChatService
from app.components.chat.engine_status import status_text
from app.components.chat.model_dialog import choose_model
from app.home import Home
from app.i18n import Texts
from app.models.candidates import read_candidates
from app.models.service import ModelService
from app.views.context import ViewContext
from app.views.settings import SettingsView
from builders.fake_backend import INFO
from builders.gguf_models import write_model
from builders.other_ggufs import other_ggufs
from builders.sparse_models import SparseShape, write_sparse_model
from convert.i18n import LANGUAGES, Language
from fakes.view_context import FakeViewContext, find_control, words_of

HUGE = SparseShape("llama", 8192, 64, 40, 28672, 1000, "Q8_0")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One sound model, one whose second part is missing, one that is cut short, and one that is too large."""
    home = Home(tmp_path / "数据")
    models = home.make(home.models)
    write_model(models / "a-sound.gguf")
    write_model(models / "b-part-00001-of-00002.gguf")
    cut = write_model(models / "c-cut.gguf")
    os.truncate(cut, 200)
    write_sparse_model(models / "d-huge.gguf", HUGE)
    return home


def context_of(chat: ChatService, models: ModelService) -> Any:
    context = cast(Any, FakeViewContext(models))
    context.service, context.settings = chat, chat.settings
    return context


def test_what_can_not_be_used_can_not_be_chosen(chat: ChatService, models: ModelService) -> None:
    usable = {each.choice.name: each.is_usable for each in read_candidates(chat, models)}

    assert usable == {"demo": True, "a-sound": True, "b-part": False, "c-cut": False, "d-huge": True}


def test_the_picker_says_what_speaks_against_a_model(chat: ChatService, models: ModelService) -> None:
    async def look() -> None:
        context = context_of(chat, models)
        await choose_model(cast(ViewContext, context))
        (dialog,) = context.dialogs
        tiles = [find_control(dialog, f"model-{number}") for number in range(5)]

        assert [tile.on_click is not None for tile in tiles] == [True, True, False, False, True]
        assert [tile.selected for tile in tiles] == [True, False, False, False, False]
        assert "Runs well" in words_of(tiles[1])
        assert "Incomplete" in words_of(tiles[2])
        assert "Incomplete" in words_of(tiles[3])
        assert "Does not fit" in words_of(tiles[4])

    asyncio.run(look())


def test_the_picker_tells_a_base_model_and_what_is_none(chat: ChatService, models: ModelService) -> None:
    write_model(chat.home.models / "base.gguf", architecture="llama")
    other_ggufs()["ProjectorFile"](chat.home.models / "e-mmproj.gguf")

    async def look() -> None:
        context = context_of(chat, models)
        await choose_model(cast(ViewContext, context))
        (dialog,) = context.dialogs
        names = [each.choice.name for each in read_candidates(chat, models)]
        said = {name: words_of(find_control(dialog, f"model-{n}")) for n, name in enumerate(names)}

        assert "Base model: only continues what you write" in said["base"]
        assert "Base model" not in said["a-sound"]
        assert "Not a chat model" in said["e-mmproj"]
        assert "is the part of a multimodal model" in said["e-mmproj"]

    asyncio.run(look())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_line_under_the_prompt_tells_a_base_model(language: Language) -> None:
    model = ModelChoice("base", "base", Path("base.gguf"), 1, is_demo=False)
    base, other = (EngineState("ready", model, replace(INFO, is_base=is_base)) for is_base in (True, False))
    said = status_text(base, Texts(language), None)
    assert said.startswith(status_text(other, Texts(language), None))
    assert {"en": "base model", "zh-CN": "基座模型"}[language] in said


def test_the_settings_show_the_chosen_model_before_it_is_loaded(
    chat: ChatService, models: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.settings.update(default_model="a-sound")
    asked_on: list[str] = []
    offered = chat.models
    monkeypatch.setattr(
        chat, "models", lambda: (asked_on.append(threading.current_thread().name), offered())[1]
    )

    async def look() -> None:
        context = context_of(chat, models)
        view = SettingsView(
            cast(ViewContext, context),
            models.home.root,
            on_saved=lambda settings: None,
            on_close=lambda: None,
            on_shortcuts=lambda: None,
            on_quit=lambda: None,
        )
        await view.load()
        dropdown = find_control(view, "default-model")

        assert dropdown.value == "a-sound"
        assert [option.disabled for option in dropdown.options] == [False, False, True, True, False]
        assert [option.key for option in dropdown.options][:2] == ["demo", "a-sound"]
        assert dropdown.options[2].text.endswith("Incomplete")

    asyncio.run(look())
    assert asked_on
    assert threading.main_thread().name not in asked_on
