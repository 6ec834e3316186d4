"""A program that was started from an offline kit offers the kit's model by itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from app.components.chat.first_run_offer import FirstRunOffer
from app.home import Home
from app.kit.manifest import MANIFEST_NAME, UNFINISHED_NAME
from app.models.service import ModelService
from app.views.context import ViewContext
from builders.gguf_models import write_model
from builders.kits import write_kit
from engine.models.listing import LocalModel
from fakes.view_context import FakeViewContext, find_control, until, words_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit whose program seems to be the one that runs."""
    folder = tmp_path / "kit"
    write_kit(folder)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(folder / "ChatBELLE" / "chatbelle"))
    return folder


def show(models: ModelService, act: Callable[[FirstRunOffer], Any]) -> FirstRunOffer:
    """Load the card, act on it on the event loop, and wait for what the act returns to become true."""

    async def load() -> FirstRunOffer:
        offer = FirstRunOffer(cast(ViewContext, FakeViewContext(models)))
        unsubscribe = models.subscribe(
            lambda event: cast(FakeViewContext, offer._context).run(offer.on_model_event, event)  # noqa: SLF001
        )
        await offer.load()
        condition = act(offer)
        if asyncio.iscoroutine(condition):
            condition = await condition
        await until(condition or (lambda: True))
        unsubscribe()
        return offer

    return asyncio.run(load())


def local(models: ModelService) -> tuple[LocalModel, ...]:
    return models.listing().models


@pytest.mark.parametrize(("button", "place"), [("kit-install", "models"), ("kit-in-place", "in-place")])
def test_one_click_installs_the_model_and_it_can_be_used(
    models: ModelService, kit: Path, button: str, place: str
) -> None:
    async def install(offer: FirstRunOffer) -> Callable[[], bool]:
        assert "This folder comes with 贝拉" in words_of(offer)
        await find_control(offer, button).on_click()
        return lambda: "贝拉 is ready" in words_of(offer)

    show(models, install)

    (model,) = local(models)
    assert model.place == place
    assert model.expected_sha256 == model.sha256


def test_a_damaged_model_is_said_and_not_installed(models: ModelService, kit: Path) -> None:
    file = kit / "models" / "贝拉.gguf"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    async def install(offer: FirstRunOffer) -> Callable[[], bool]:
        await find_control(offer, "kit-install").on_click()
        return lambda: find_control(offer, "offer-resume") is not None

    offer = show(models, install)

    assert local(models) == ()
    assert f"{file} of the offline kit is damaged" in words_of(offer)


def test_an_unfinished_kit_is_said_and_nothing_is_offered(models: ModelService, kit: Path) -> None:
    (kit / MANIFEST_NAME).rename(kit / UNFINISHED_NAME)

    offer = show(models, lambda _offer: None)

    assert "unfinished" in words_of(offer)
    assert find_control(offer, "kit-install") is None


def test_who_has_a_model_is_offered_none(models: ModelService, kit: Path, home: Home) -> None:
    write_model(home.make(home.models) / "有了.gguf")

    assert not show(models, lambda _offer: None).visible
