"""The sliders of a chat, a persona and a model: each says where its value comes from, and goes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flet as ft
import pytest

from app.chat.service import ChatService
from app.components.chat.sampling_sheet import Adjustment, open_sampling_sheet
from app.components.settings.model_sampling import ModelSamplingSection
from app.components.settings.personas_section import PersonasSection
from app.components.settings.sampling_knobs import KNOBS, SamplingKnobs
from app.history.records import Overrides
from app.home import Home
from app.models.service import ModelService
from app.settings import SettingsStore
from app.views.chat_reading import sampling_below
from app.views.context import ViewContext
from builders.gguf_models import write_model
from engine.partial_sampling import NO_LIMIT, NOTHING, PartialSampling, Source, resolve
from fakes.view_context import FakeViewContext, find_control, seen_of, until, words_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With a model `m` whose file says something about its sampling."""
    home = Home(tmp_path / "数据")
    keys = {"general.sampling.temp": 0.25, "general.sampling.top_k": 12}
    write_model(home.make(home.models) / "m.gguf", chat_template="{{ messages }}", keys=keys)
    SettingsStore(home.root).update(default_model="m")
    return home


def context_of(chat: ChatService, models: ModelService) -> Any:
    context = cast(Any, FakeViewContext(models))
    context.service, context.settings = chat, chat.settings
    return context


def knob(root: ft.Control, field: str) -> Any:
    """The row of one value."""
    (knobs,) = [each for each in seen_of(root) if isinstance(each, SamplingKnobs)]
    return next(row for row in knobs.controls if cast(Any, row).field == field)


def slider_of(row: ft.Control) -> ft.Slider:
    (slider,) = [each for each in seen_of(row) if isinstance(each, ft.Slider)]
    return slider


def drag(row: ft.Control, value: float) -> None:
    """Let the slider go at `value`."""
    slider = slider_of(row)
    slider.value = value
    cast(Any, slider.on_change_end)(SimpleNamespace(control=slider))


def go_back(row: ft.Control, field: str) -> None:
    find_control(row, f"reset-{field}").on_click()


def test_a_chat_says_where_each_value_comes_from_and_keeps_only_what_was_chosen(
    chat: ChatService, models: ModelService
) -> None:
    overrides = Overrides(persona="coder", sampling=PartialSampling(top_p=0.5, thinking="off"))

    async def look() -> None:
        saved: list[Adjustment] = []
        context = context_of(chat, models)
        open_sampling_sheet(
            cast(ViewContext, context),
            current=Adjustment(None, overrides.sampling),
            persona_system="s",
            below=sampling_below(chat, overrides),
            on_save=saved.append,
        )
        (dialog,) = context.dialogs

        assert "Set by the persona" in words_of(knob(dialog, "temperature"))
        assert "From the model file" in words_of(knob(dialog, "top_k"))
        assert "Set for this chat" in words_of(knob(dialog, "top_p"))
        assert "Default" in words_of(knob(dialog, "min_p"))
        assert "no limit" in words_of(knob(dialog, "max_tokens"))
        assert find_control(dialog, "reset-top_p") is not None
        assert find_control(dialog, "reset-top_k") is None

        drag(knob(dialog, "temperature"), 1.0)
        drag(knob(dialog, "max_tokens"), 256)
        go_back(knob(dialog, "top_p"), "top_p")
        assert "Default" in words_of(knob(dialog, "top_p"))
        assert slider_of(knob(dialog, "top_p")).value == 0.95
        find_control(dialog, "sampling-save").on_click()
        chosen = PartialSampling(temperature=1.0, max_tokens=256, thinking="off")
        assert saved == [Adjustment(None, chosen)]

    asyncio.run(look())


def test_a_reset_leaves_all_to_persona_and_model(chat: ChatService, models: ModelService) -> None:
    hidden: dict[str, Any] = {"seed": 7, "stop": ("Arr",), "mirostat": 2, "thinking": "off"}  # no sliders

    async def look() -> None:
        saved: list[Adjustment] = []
        context = context_of(chat, models)
        open_sampling_sheet(
            cast(ViewContext, context),
            current=Adjustment("own text", PartialSampling(top_k=1, max_tokens=NO_LIMIT, **hidden)),
            persona_system="s",
            below=sampling_below(chat, Overrides()),
            on_save=saved.append,
        )
        (dialog,) = context.dialogs
        find_control(dialog, "sampling-reset").on_click()
        assert "From the model file" in words_of(knob(dialog, "top_k"))
        find_control(dialog, "sampling-save").on_click()
        assert saved == [Adjustment(None, None)]

    asyncio.run(look())


def test_no_limit_is_the_last_step_and_wins_over_a_limit_below(
    chat: ChatService, models: ModelService
) -> None:
    async def look() -> None:
        chosen: list[PartialSampling] = []
        below = resolve([(Source.BELLE, PartialSampling(max_tokens=512))])
        context = cast(ViewContext, context_of(chat, models))
        knobs = SamplingKnobs(context, NOTHING, below, Source.OWN, chosen.append)
        row = knob(knobs, "max_tokens")
        assert "512" in words_of(row)
        assert "From the model card of BELLE" in words_of(row)

        (limit,) = [each for each in KNOBS if each.field == "max_tokens"]
        drag(row, limit.highest)
        assert "no limit" in words_of(row)
        assert "Set by you in Settings" in words_of(row)
        go_back(row, "max_tokens")
        assert chosen == [PartialSampling(max_tokens=NO_LIMIT), NOTHING]

    asyncio.run(look())


def test_the_settings_keep_values_for_the_chosen_model(chat: ChatService, models: ModelService) -> None:
    async def look() -> None:
        saved: list[object] = []
        section = ModelSamplingSection(cast(ViewContext, context_of(chat, models)), saved.append)
        await section.load()
        assert "From the model file" in words_of(knob(section, "temperature"))
        drag(knob(section, "temperature"), 0.75)
        await until(lambda: saved)
        assert chat.settings.settings.model_sampling == {"m": PartialSampling(temperature=0.75)}

        chat.settings.update(default_model=None)
        await section.load()
        assert slider_of(knob(section, "temperature")).value == 0  # the demo's own

    asyncio.run(look())


def test_what_was_set_for_all_models_is_shown_and_forgotten(
    chat: ChatService, models: ModelService, home: Home
) -> None:
    async def look() -> None:
        general = PartialSampling(temperature=0.9, top_p=0.5, seed=7)
        chat.settings.update(general_sampling=general)
        section = ModelSamplingSection(cast(ViewContext, context_of(chat, models)), lambda _settings: None)
        await section.load()
        assert "older version" in words_of(section)
        assert slider_of(knob(section, "temperature")).value == 0.9

        drag(knob(section, "temperature"), 0.75)  # from here on this model has values of its own
        own = replace(general, temperature=0.75)
        await until(lambda: chat.settings.settings.model_sampling == {"m": own})
        await until(lambda: "older version" not in words_of(section))
        find_control(section, "model-sampling-reset").on_click()
        await until(lambda: chat.settings.settings.model_sampling == {"m": NOTHING})
        assert slider_of(knob(section, "temperature")).value == 0.25

        write_model(home.models / "n.gguf", chat_template="{{ messages }}")
        chat.settings.update(default_model="n")
        await section.load()
        await find_control(section, "forget-general-sampling").on_click()
        assert "older version" not in words_of(section)
        assert slider_of(knob(section, "temperature")).value != 0.9
        assert chat.settings.settings.general_sampling == NOTHING

    asyncio.run(look())


def test_a_persona_says_only_what_was_chosen_for_it(chat: ChatService, models: ModelService) -> None:
    async def look() -> None:
        chat.settings.set_sampling("m", PartialSampling(top_p=0.5))
        context = context_of(chat, models)
        section = PersonasSection(cast(ViewContext, context), lambda: None)
        (add,) = [each for each in seen_of(section) if isinstance(each, ft.TextButton)]
        await cast(Any, add.on_click)()
        (dialog,) = context.dialogs
        assert "Set by you in Settings" in words_of(knob(dialog, "top_p"))
        assert "From the model file" in words_of(knob(dialog, "temperature"))

        drag(knob(dialog, "min_p"), 0.1)
        (name, _) = [each for each in seen_of(dialog) if isinstance(each, ft.TextField)]
        name.value = "Poet"
        (save,) = [each for each in seen_of(dialog) if isinstance(each, ft.FilledButton)]
        cast(Any, save.on_click)()
        await until(lambda: len(chat.personas.all("en")) == 6)
        assert chat.personas.all("en")[5].sampling == PartialSampling(min_p=0.1)

    asyncio.run(look())
