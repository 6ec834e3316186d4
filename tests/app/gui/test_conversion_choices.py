"""What a conversion becomes, while the disk is slow and a person is quick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from app.components.convert.conversion_choices import ConversionChoices
from app.i18n import WindowTexts
from app.models.conversion import Draft
from app.models.inspection import CheckpointFacts, Given, Inspection
from app.models.type_options import TypeOption
from app.views.context import ViewContext

TYPES = (TypeOption("q8_0", 200, None, is_recommended=True), TypeOption("q4_k_m", 100, None, False))


class _Context:
    """As much of a `ViewContext` as the choices need; what may wait for the disk waits for `disk`."""

    def __init__(self, folder: Path, free_bytes: int) -> None:
        self.texts = WindowTexts("en")
        self.t = self.texts.text
        self.is_narrow = True
        self.page = SimpleNamespace(width=400)
        library = SimpleNamespace(folder=folder, free_bytes=lambda: free_bytes)
        self.models = SimpleNamespace(library=library, jobs=SimpleNamespace(all=()))
        self.disk = asyncio.Event()
        self.disk.set()

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler

    async def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        await self.disk.wait()
        return call(*arguments)


def _choices(context: _Context, folder: Path) -> tuple[ConversionChoices, Draft]:
    given = Given(folder / "BELLE")
    facts = CheckpointFacts("", "bloom", 1, 1, (), (), "none", "", "", None, TYPES)
    draft = Draft(given, inspection=Inspection(given, facts=facts))
    return ConversionChoices(cast(ViewContext, context), draft, facts, lambda name: None), draft


def _field(choices: ConversionChoices) -> Any:
    return choices._name  # noqa: SLF001 - what a person types into


def _start(choices: ConversionChoices) -> Any:
    return choices._start  # noqa: SLF001 - what a person presses


async def _type(choices: ConversionChoices, text: str) -> None:
    _field(choices).value = text
    await _field(choices).on_change()


def test_what_is_typed_while_the_disk_is_looked_at_stays(tmp_path: Path) -> None:
    async def run() -> tuple[str, str | None]:
        context = _Context(tmp_path, 1000)
        choices, draft = _choices(context, tmp_path)
        await choices.check()
        assert _field(choices).value == "BELLE-q8_0"
        context.disk.clear()
        looking = asyncio.create_task(choices.check())
        await asyncio.sleep(0)
        typing = asyncio.create_task(_type(choices, "mine"))
        await asyncio.sleep(0)
        context.disk.set()
        await asyncio.gather(looking, typing)
        return _field(choices).value, draft.name

    assert asyncio.run(run()) == ("mine", "mine")


def test_another_name_makes_no_room_on_the_disk(tmp_path: Path) -> None:
    async def run() -> tuple[bool, bool]:
        choices, draft = _choices(_Context(tmp_path, 150), tmp_path)
        await _type(choices, "mine")
        is_refused = _start(choices).disabled
        draft.type_name = "q4_k_m"
        await choices.check()
        return is_refused, _start(choices).disabled

    assert asyncio.run(run()) == (True, False)
