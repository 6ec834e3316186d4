"""The page's frame: what a click shows at once, and what is kept of it for the next start."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.chat.service import ChatService
from app.home import Home
from app.models.service import ModelService
from app.settings_file import SettingsNotSaved
from app.views.shell import Shell, Surroundings
from engine.models.endpoints import Endpoints
from fakes.chat_service import FakeChatService
from fakes.view_context import until


class SlowSettings:
    """Settings whose way to the disk waits until `is_written` is set."""

    def __init__(self, service: FakeChatService, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_written = threading.Event()
        self.written: list[dict[str, Any]] = []
        self._update = service.settings.update
        monkeypatch.setattr(service.settings, "update", self.update)

    def update(self, **changes: Any) -> Any:
        assert self.is_written.wait(20)
        self.written.append(changes)
        return self._update(**changes)


def _page() -> Any:
    return SimpleNamespace(web=True, width=1280, platform=None)


def _typing_page(said: list[str]) -> Any:
    """said: what snack bars say on it."""
    return SimpleNamespace(
        web=True, width=1280, platform=None, show_dialog=lambda bar: said.append(bar.content.value)
    )


async def _stay() -> None:
    """Nobody quits here."""


def test_the_sidebar_moves_while_the_disk_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeChatService(tmp_path, "")
    models = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))
    disk = SlowSettings(service, monkeypatch)

    async def run() -> list[bool]:
        around = Surroundings(
            cast(ChatService, service), models, tmp_path, "en", print, print, _stay, in_window=False
        )
        shell = Shell(_page(), around)
        monkeypatch.setattr(shell._stack, "update", lambda: None)  # noqa: SLF001 - it is on no page
        seen = []
        for _ in range(3):
            shell.toggle_sidebar()
            seen.append(shell._sidebar.visible)  # noqa: SLF001 - what a person sees
        disk.is_written.set()
        while len(disk.written) < 3:
            await asyncio.sleep(0.01)
        return seen

    try:
        assert asyncio.run(run()) == [False, True, False]
    finally:
        models.close()
    assert disk.written == [{"sidebar_open": False}, {"sidebar_open": True}, {"sidebar_open": False}]


def test_a_question_is_asked_though_the_settings_can_not_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = FakeChatService(tmp_path, "")
    models = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))
    service.settings.update(new_draft="鹦鹉会")
    said: list[str] = []

    def refuse(**changes: Any) -> Any:
        raise SettingsNotSaved(tmp_path / "settings.json", "No space left on device")

    async def run() -> None:
        around = Surroundings(
            cast(ChatService, service), models, tmp_path, "en", print, print, _stay, in_window=False
        )
        shell = Shell(_typing_page(said), around)
        monkeypatch.setattr(shell, "open_conversation", lambda *_, **__: None)
        monkeypatch.setattr(service.settings, "update", refuse)
        await shell._chat._send("鹦鹉会说话吗？")  # noqa: SLF001 - what Enter does
        await until(lambda: said)

    try:
        asyncio.run(run())
    finally:
        models.close()
    (listed,) = service.history.conversations.page().conversations
    asked, *_ = service.history.messages.path(listed.id)
    assert asked.message.text == "鹦鹉会说话吗？"
    assert "No space left on device" in said[0]


def test_a_tab_without_a_draft_leaves_that_of_another_one(tmp_path: Path) -> None:
    service = FakeChatService(tmp_path, "")
    models = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))

    async def run() -> None:
        around = Surroundings(
            cast(ChatService, service), models, tmp_path, "en", print, print, _stay, in_window=False
        )
        shell = Shell(_typing_page([]), around)
        await shell._chat._load(None, None, False)  # noqa: SLF001 - as the shell does when it starts
        service.settings.update(new_draft="of the other tab")
        shell.dispose()

    try:
        asyncio.run(run())
    finally:
        models.close()
    assert service.settings.settings.new_draft == "of the other tab"
