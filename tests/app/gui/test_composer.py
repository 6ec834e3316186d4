"""What is typed stays typed, also where the machine is busy and the field is told of late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flet as ft

from app.components.chat.composer import Composer
from app.home import Home
from app.models.service import ModelService
from engine.models.endpoints import Endpoints
from fakes.view_context import FakeViewContext


class _Typing:
    """A composer and a person's keyboard: the field changes at once, its events may be handled later."""

    def __init__(self, folder: Path) -> None:
        context: Any = FakeViewContext(ModelService(Home(folder), endpoints=lambda: Endpoints(())), "en")
        context.is_touch = False
        context.on_key = lambda handler: lambda: None
        self.sent: list[str] = []
        self.composer = Composer(
            context, on_send=self._send, on_stop=print, on_cancel=print, on_draft=lambda text: None
        )
        self.field: ft.TextField = self.composer._field  # noqa: SLF001 - what a person types into

    async def handle(self, *texts: str) -> None:
        """The events of changes, all of which the field has seen already."""
        on_change: Callable[[Any], Awaitable[None]] = self.field.on_change  # type: ignore[assignment]
        for text in texts:
            await on_change(SimpleNamespace(data=text))

    async def _send(self, text: str) -> None:
        self.sent.append(text)


def test_a_change_that_is_handled_late_takes_no_letter_away(tmp_path: Path) -> None:
    async def run() -> None:
        typing = _Typing(tmp_path)
        typing.field.value = "hundred"

        await typing.handle("hundr", "hundre")
        assert typing.field.value == "hundred"

        await typing.handle("hundred")
        assert typing.composer.text == typing.field.value == "hundred"
        typing.composer.dispose()

    asyncio.run(run())


def test_what_is_typed_behind_enter_stays_for_the_next_question(tmp_path: Path) -> None:
    async def run() -> None:
        typing = _Typing(tmp_path)
        typing.field.focus = _no_focus  # type: ignore[method-assign]
        await typing.handle("你好", "你好\n")
        assert (typing.sent, typing.field.value) == (["你好"], "")

        typing.field.value = "你好\n再"
        await typing.handle("你好\n再")
        assert typing.composer.text == typing.field.value == "再"
        typing.composer.dispose()

    asyncio.run(run())


async def _no_focus() -> None:
    """There is no page to move the cursor on."""
