"""Choosing the type of a checkpoint on a hub, while the hub takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.components.models.checkpoint_types import CheckpointTypes
from app.i18n import WindowTexts
from app.models.hub_offers import HubOffer
from app.models.type_options import TypeOption
from app.views.context import ViewContext
from engine.models.endpoints import Endpoints
from engine.models.hub import Repository
from engine.models.machine import Machine

MACHINE = Machine(8 << 30, 6 << 30, 4, None, 35_000_000_000)
TYPES = (TypeOption("q8_0", 200, None, is_recommended=True), TypeOption("q4_k_m", 100, None, False))
OFFER = HubOffer("checkpoint", "model", None, 1000)


class _Look:
    """A look at a hub that ends when the test says so."""

    made: list[_Look]

    def __init__(self, *arguments: Any) -> None:
        self.is_stopped = False
        self.may_end = asyncio.Event()
        _Look.made.append(self)

    async def read(self, machine: Machine) -> tuple[TypeOption, ...]:
        await self.may_end.wait()
        return TYPES

    def stop(self) -> None:
        self.is_stopped = True


class _Context:
    """As much of a `ViewContext` as the types need."""

    def __init__(self) -> None:
        self.texts = WindowTexts("en")
        self.t = self.texts.text
        self.models = SimpleNamespace(endpoints=lambda: Endpoints(()))
        self.tasks: list[asyncio.Task[Any]] = []

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler

    async def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        result = call(*arguments)
        return await result if asyncio.iscoroutine(result) else result

    def run(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work(*arguments)))


@pytest.fixture(autouse=True)
def look(monkeypatch: pytest.MonkeyPatch) -> None:
    _Look.made = []
    monkeypatch.setattr("app.components.models.checkpoint_types.HubLook", _Look)


def _types(context: _Context) -> CheckpointTypes:
    repository = Repository("owner/model", "0" * 40, (), is_gated=False, license=None)
    return CheckpointTypes(cast(ViewContext, context), repository, MACHINE, lambda: None, width=400)


def _dropdown(types: CheckpointTypes) -> Any:
    return types.controls[0]


@pytest.mark.parametrize(("chosen", "target"), [(None, "q8_0"), ("q4_k_m", "q4_k_m"), ("auto", "q8_0")])
def test_what_was_chosen_before_the_hub_answered_stays_where_it_is_possible(
    chosen: str | None, target: str
) -> None:
    async def run() -> str:
        context = _Context()
        types = _types(context)
        types.show(OFFER)
        await asyncio.sleep(0)
        if chosen is not None:
            _dropdown(types).on_select(SimpleNamespace(control=SimpleNamespace(value=chosen)))
        _Look.made[0].may_end.set()
        await asyncio.gather(*context.tasks)
        return types.target

    assert asyncio.run(run()) == target


def test_only_the_last_look_counts_and_none_begins_after_the_dialog_is_gone() -> None:
    async def run() -> tuple[list[bool], bool]:
        context = _Context()
        types = _types(context)
        types.show(OFFER)
        await asyncio.sleep(0)
        types.show(OFFER)
        await asyncio.sleep(0)
        types.show(OFFER)
        types.stop()
        for made in _Look.made:
            made.may_end.set()
        await asyncio.gather(*context.tasks)
        return [made.is_stopped for made in _Look.made], types.option is None

    assert asyncio.run(run()) == ([True, True], True)
