"""What components use of a `ViewContext`, without a page: dialogs are kept, handlers called as they are."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flet as ft

from app.chat.events import EngineState
from app.i18n import WindowTexts
from app.models.service import ModelService
from app.settings import Settings
from convert.i18n import Language


class FakeViewContext:
    """Made on an event loop. dialogs: all that were opened, also closed ones."""

    def __init__(self, models: ModelService, language: Language = "en") -> None:
        self.models = models
        self.language = language
        self.texts = WindowTexts(language)
        self.t = self.texts.text
        self.page = SimpleNamespace(width=1280, web=True, platform=None)
        self.is_web = self.in_browser = True
        self.is_narrow = self.is_phone = self.is_touch = False
        self.service = SimpleNamespace(state=EngineState())
        self.settings = SimpleNamespace(settings=Settings())
        self.dialogs: list[Any] = []
        self.used: list[Path | None] = []
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler

    def run(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_soon_threadsafe(self._start, work, arguments)

    async def in_thread(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(call, *arguments, **options)

    def open_dialog(self, dialog: Any) -> None:
        dialog.open = True
        self.dialogs.append(dialog)

    def close_dialog(self, dialog: Any) -> None:
        dialog.open = False

    def use_model(self, path: Path | None) -> None:
        self.used.append(path)

    def open_models(self, section: str = "local") -> None:
        pass

    def toggle_sidebar(self) -> None:
        pass

    def _start(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        result = work(*arguments)
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        task.result()  # what went wrong is said, if only on the error stream


async def until(condition: Callable[[], Any]) -> None:
    """Let the event loop work until `condition` is true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def find_control(root: ft.Control, identifier: str) -> Any:
    """The control behind `identified(control, identifier)`, None where it is not to be seen."""
    for node in seen_of(root):
        if isinstance(node, ft.Semantics) and node.identifier == identifier:
            return node.content
    return None


def seen_of(root: ft.Control) -> list[Any]:
    """All controls in a tree that are to be seen, from the outside in."""
    if not root.visible:
        return []
    found: list[Any] = [root]
    for name in ("title", "subtitle", "content", "controls", "actions", "label"):
        inner = getattr(root, name, None)
        for child in inner if isinstance(inner, list) else [inner]:
            if isinstance(child, ft.Control):
                found += seen_of(child)
    return found


def words_of(root: ft.Control) -> str:
    """What is written on a tree of controls, one text a line."""
    texts = [getattr(node, name, None) for node in seen_of(root) for name in ("value", "content", "label")]
    return "\n".join(text for text in texts if isinstance(text, str))
