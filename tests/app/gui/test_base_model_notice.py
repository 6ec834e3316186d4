"""Where a person reads that the model only continues text, and the ways out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.chat.choices import DEMO, ModelChoice, find_choice
from app.chat.events import EngineState
from app.chat.service import ChatService
from app.components.chat.base_model_notice import BaseModelNotice
from app.home import Home
from app.models.service import ModelService
from app.views.context import ViewContext
from builders.fake_backend import INFO
from builders.gguf_models import write_model
from convert.i18n import LANGUAGES, Language
from engine.prompt import BASE
from fakes.view_context import FakeViewContext, find_control, seen_of, until, words_of

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
SAID = {"en": "only continues what you write", "zh-CN": "接着你写的内容往下写"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "数据")
    folder = home.make(home.models)
    write_model(folder / "base.gguf", architecture="llama")
    write_model(folder / "chat.gguf", architecture="llama", chat_template=TEMPLATE)
    return home


@pytest.fixture
def on_page(chat: ChatService, models: ModelService) -> Callable[..., None]:
    """Runs a test with a notice and its context on an event loop."""

    def run(test: Callable[[BaseModelNotice, Any], Awaitable[None]], language: Language = "en") -> None:
        async def inside() -> None:
            context = cast(Any, FakeViewContext(models, language))
            context.service, context.settings = chat, chat.settings
            await test(BaseModelNotice(cast(ViewContext, context)), context)

        asyncio.run(inside())

    return run


def loaded(model: ModelChoice, *, is_base: bool) -> EngineState:
    return EngineState("ready", model, replace(INFO, is_base=is_base))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_base_model_is_told_before_it_is_loaded(on_page: Any, home: Home, language: Language) -> None:
    async def look(notice: BaseModelNotice, _context: Any) -> None:
        notice.show(EngineState(model=find_choice("base", home)), has_begun=False)
        await until(lambda: notice.visible)
        assert SAID[language] in words_of(notice)

    on_page(look, language)


def test_other_models_are_not(on_page: Any, home: Home) -> None:
    async def look(notice: BaseModelNotice, _context: Any) -> None:
        chatting = find_choice("chat", home)
        for model in (DEMO, chatting):
            notice.show(EngineState(model=model), has_begun=False)
            await until(lambda: None not in notice._looked_up.values())  # noqa: SLF001 - nothing is to be seen
            assert not notice.visible
        notice.show(loaded(chatting, is_base=False), has_begun=False)
        assert not notice.visible

    on_page(look)


def test_it_stays_until_a_second_question_and_makes_way_for_a_failure(on_page: Any, home: Home) -> None:
    async def look(notice: BaseModelNotice, _context: Any) -> None:
        state = loaded(find_choice("base", home), is_base=True)
        failed = replace(state, phase="failed")
        shown = []
        for each, has_begun in ((state, False), (state, True), (failed, False)):
            notice.show(each, has_begun=has_begun)
            shown.append(notice.visible)
        assert shown == [True, False, False]

    on_page(look)


def test_what_continues_text_by_choice_is_not_told(on_page: Any, home: Home, chat: ChatService) -> None:
    base = find_choice("base", home)
    assert base.path is not None
    chat.choose_prompt_format(base.path, BASE.name)

    async def look(notice: BaseModelNotice, _context: Any) -> None:
        for state in (loaded(base, is_base=True), EngineState(model=base)):
            notice.show(state, has_begun=False)
            assert not notice.visible
        assert not notice._looked_up  # noqa: SLF001 - nor will it be seen later

    on_page(look)


def test_it_leads_to_the_prompt_format_and_goes_when_one_is_chosen(on_page: Any, home: Home) -> None:
    async def choose(notice: BaseModelNotice, context: Any) -> None:
        notice.show(EngineState(model=find_choice("base", home)), has_begun=False)
        await until(lambda: notice.visible)
        await find_control(notice, "base-format").on_click()
        (dialog,) = context.dialogs
        assert "Prompt format of base" in words_of(dialog)
        choices = dialog._choices  # noqa: SLF001 - what a click on a radio button sets
        choices.value = "chatml"
        choices.on_change()
        await find_control(dialog, "prompt-format-ok").on_click()
        await until(lambda: not notice.visible)

    on_page(choose)


def test_it_leads_to_other_models(on_page: Any, home: Home) -> None:
    async def choose(notice: BaseModelNotice, context: Any) -> None:
        notice.show(loaded(find_choice("base", home), is_base=True), has_begun=False)
        await find_control(notice, "base-other").on_click()
        (dialog,) = context.dialogs
        assert "models-get" in [getattr(node, "identifier", None) for node in seen_of(dialog)]

    on_page(choose)
