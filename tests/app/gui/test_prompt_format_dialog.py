"""The prompt format of one model: chosen in the window, kept, and used when the model is loaded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.chat.service import ChatService
from app.components.models.prompt_format_dialog import choose_prompt_format
from app.home import Home
from app.i18n import Texts
from app.models.local_shelf import read_shelf
from app.models.local_texts import about_text
from app.models.service import ModelService
from app.settings import SettingsStore
from app.views.context import ViewContext
from builders.fake_backend import INFO, FakeBackend
from builders.gguf_models import write_model
from engine.types import LoadOptions
from fakes.view_context import FakeViewContext, find_control, until, words_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "数据")
    write_model(home.make(home.models) / "base.gguf", architecture="llama")
    return home


async def open_dialog(chat: ChatService, models: ModelService) -> Any:
    context = cast(Any, FakeViewContext(models))
    context.service, context.settings = chat, chat.settings
    (row,) = read_shelf(models, chat.state).rows
    await choose_prompt_format(cast(ViewContext, context), row)
    return context.dialogs[-1]


async def answer(dialog: Any, value: str) -> None:
    choices = dialog._choices  # noqa: SLF001 - what a click on a radio button sets
    choices.value = value
    choices.on_change()
    await dialog.actions[-1].content.on_click()


def test_the_dialog_offers_every_format_and_says_what_the_file_says(
    chat: ChatService, models: ModelService
) -> None:
    async def look() -> None:
        dialog = await open_dialog(chat, models)
        words = words_of(dialog)
        assert "As the file says: only continues text" in words
        assert all(name in words for name in ("BELLE-LLaMA", "ChatML", "Llama 3", "DeepSeek", "Jinja"))
        assert not dialog._field.visible  # noqa: SLF001

    asyncio.run(look())


def test_a_chosen_format_is_kept_and_loads_the_model_anew(
    chat: ChatService, models: ModelService, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[LoadOptions] = []
    load = FakeBackend.load

    def record(self: FakeBackend, path: Path, options: LoadOptions, *rest: Any) -> Any:
        loaded.append(options)
        return load(self, path, options, *rest)

    monkeypatch.setattr(FakeBackend, "load", record)

    async def choose() -> None:
        chat.choose_model("base")
        await until(lambda: loaded)
        dialog = await open_dialog(chat, models)
        await answer(dialog, "chatml")
        await until(lambda: len(loaded) > 1)
        assert not dialog.open

    asyncio.run(choose())
    assert [options.prompt_format for options in loaded] == [None, "chatml"]
    assert SettingsStore(home.root).settings.prompt_formats == {"base": "chatml"}


def test_the_format_that_the_vocabulary_suggests_is_pointed_out(
    chat: ChatService, models: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = replace(INFO, is_base=True, likely_format="gemma")
    monkeypatch.setattr(FakeBackend, "load", lambda *_: info)

    async def look() -> None:
        chat.choose_model("base")
        await until(lambda: chat.state.phase == "ready")
        dialog = await open_dialog(chat, models)
        assert "Gemma (its vocabulary suggests this)" in words_of(dialog)

    asyncio.run(look())


def test_a_template_file_is_read_when_the_model_is_loaded(
    chat: ChatService, models: ModelService, home: Home, tmp_path: Path
) -> None:
    template = tmp_path / "模板.jinja"
    template.write_text("{{ messages[0].content }}", encoding="utf-8")

    async def choose() -> None:
        dialog = await open_dialog(chat, models)
        await answer(dialog, "other-template")
        await until(lambda: "Choose a file" in words_of(dialog))
        field = find_control(dialog, "template")
        field.value = str(tmp_path / "missing.jinja")
        field.on_submit()
        await answer(dialog, "other-template")
        await until(lambda: "can't be read" in words_of(dialog))
        for text, reason in (
            ("{% if", "unexpected"),
            ("{{ raise_exception('no') }}", "put: no."),
            ("x", "leaves out"),
        ):
            bad = tmp_path / f"{len(text)}.jinja"
            bad.write_text(text, encoding="utf-8")
            field.value = str(bad)
            field.on_submit()
            await answer(dialog, "other-template")
            await until(lambda reason=reason: reason in words_of(dialog))
        field.value = str(template)
        field.on_submit()
        await answer(dialog, "other-template")
        await until(lambda: not dialog.open)
        await until(lambda: chat.settings.settings.prompt_formats)

    asyncio.run(choose())
    assert chat.settings.settings.prompt_formats == {"base": str(template)}
    assert chat.prompt_format(home.models.absolute() / "base.gguf") == str(template)


def test_the_list_says_which_format_was_chosen(
    chat: ChatService, models: ModelService, home: Home, tmp_path: Path
) -> None:
    path = home.models.absolute() / "base.gguf"
    for chosen, words in (
        ("gemma", "prompt format Gemma"),
        (str(tmp_path / "t.jinja"), "chat template t.jinja"),
    ):
        chat.choose_prompt_format(path, chosen)
        (row,) = read_shelf(models, chat.state, chat.prompt_formats()).rows
        assert words in about_text(row, Texts("en"))
    chat.choose_prompt_format(path, None)
    assert chat.prompt_formats() == {}


def test_what_is_no_format_is_not_read_back(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(
        '{"version": 1, "prompt_formats": {"a": "chatml", "b": "alpaca", "c": 5, "d": "/t.jinja"}}', "utf-8"
    )
    assert SettingsStore(tmp_path).settings.prompt_formats == {"a": "chatml", "d": "/t.jinja"}
