"""What is on this disk already is not got again: the dialogs say so, and offer to chat with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flet as ft
import pytest

from app.components.models.get_dialog import GetDialog
from app.components.models.hub_dialog import HubDialog
from app.home import Home
from app.models.hub_offers import repository_offers
from app.models.service import ModelService
from app.models.stock import take_stock
from app.views.context import ViewContext
from builders.gguf_models import write_model
from builders.sparse_models import SparseShape, write_sparse_model
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.hub import Repository
from engine.models.machine import Machine
from fakes.view_context import FakeViewContext, find_control, seen_of, until, words_of

MACHINE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)
MODEL = "belle-7b-2m"
REPO = "BelleGroup/BELLE-7B-2M"
Q8 = SparseShape("bloom", 64, 4, 2, 256, 1000, "Q8_0")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ModelService]:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints(()), machine=lambda: MACHINE)
    service.home.make(service.home.models)
    yield service
    service.close()


def look(dialog: Any) -> tuple[str, bool]:
    """What the button says, and whether the dialog says that the model is here."""
    return find_control(dialog, "get-start").content, "It is on this computer already" in words_of(dialog)


def test_a_type_of_the_catalogs_model_that_is_here_is_chatted_with(service: ModelService) -> None:
    path = write_sparse_model(service.home.models / "belle.gguf", Q8)
    service.library.note(path, source=REPO, catalog_id=MODEL)

    async def run() -> None:
        context = FakeViewContext(service)
        stock = take_stock(service)
        offer = next(offer for offer in stock.offers if offer.model.id == MODEL)
        dialog: Any = GetDialog(cast(ViewContext, context), offer, stock)
        context.open_dialog(dialog)
        assert offer.chosen.name != "q8_0"
        assert look(dialog) == ("Get it", False)

        find_control(dialog, "type-q8_0").on_click()
        assert look(dialog) == ("Chat with it", True)
        await find_control(dialog, "get-start").on_click()

        assert not dialog.open
        assert context.used == [path]
        assert service.jobs.all == ()

    asyncio.run(run())


def test_a_file_of_a_repository_that_is_here_is_chatted_with(service: ModelService) -> None:
    path = write_model(service.home.models / "a.gguf")
    service.library.note(path, source="some/repo/a.gguf")
    repository = Repository(
        "some/repo",
        "0" * 40,
        tuple(RemoteFile("some/repo", "0" * 40, name, 1000, "1" * 64) for name in ("a.gguf", "b.gguf")),
        is_gated=False,
        license=None,
    )

    async def run() -> None:
        context = FakeViewContext(service)
        local = service.listing().models
        view = cast(ViewContext, context)
        dialog: Any = HubDialog(view, repository, repository_offers(repository), None, MACHINE, local)
        context.open_dialog(dialog)
        assert look(dialog) == ("Chat with it", True)

        find_control(dialog, "hub-offer-1").on_click()
        assert look(dialog) == ("Get it", False)
        find_control(dialog, "hub-offer-0").on_click()
        await find_control(dialog, "get-start").on_click()

        await until(lambda: context.used)
        assert context.used == [path]
        assert service.jobs.all == ()

    asyncio.run(run())


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_checkpoint_is_here_only_as_the_type_it_became(service: ModelService, *, is_sound: bool) -> None:
    path = write_sparse_model(service.home.models / "belle.gguf", Q8)
    service.library.note(path, source="some/repo", expected_sha256=None if is_sound else "0" * 64)
    if not is_sound:
        path.write_bytes(path.read_bytes()[:300])
    repository = Repository(
        "some/repo",
        "0" * 40,
        (RemoteFile("some/repo", "0" * 40, "model.safetensors", 1000, "1" * 64),),
        is_gated=False,
        license=None,
    )

    async def run() -> None:
        context = FakeViewContext(service)
        view, local = cast(ViewContext, context), service.listing().models
        dialog: Any = HubDialog(view, repository, repository_offers(repository), None, MACHINE, local)
        context.open_dialog(dialog)
        assert look(dialog) == ("Get it", False)

        types = next(each for each in seen_of(dialog) if isinstance(each, ft.Dropdown))
        types.on_select(SimpleNamespace(control=SimpleNamespace(value="q8_0")))
        assert look(dialog) == (("Chat with it", True) if is_sound else ("Get it", False))
        dialog.on_dismiss()

    asyncio.run(run())


def test_enter_in_the_key_field_is_the_button(service: ModelService) -> None:
    async def run() -> None:
        context = FakeViewContext(service)
        stock = take_stock(service)
        offer = next(offer for offer in stock.offers if offer.key)
        dialog: Any = GetDialog(cast(ViewContext, context), offer, stock)
        context.open_dialog(dialog)
        field = find_control(dialog, "key-file")
        field.value = "/nowhere/key.pth"

        await field.on_submit()

        assert "/nowhere/key.pth" in field.error
        assert dialog.open

    asyncio.run(run())
