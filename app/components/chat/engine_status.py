"""The engine's state in words: the line under the prompt, also read out by screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import muted_text
from app.i18n import Texts
from app.views.context import ViewContext

if TYPE_CHECKING:
    from app.chat.events import EngineState


def status_text(state: EngineState, texts: Texts, conversation_id: int | None) -> str:
    """What the engine does now, as seen from a conversation."""
    name = model_name(state, texts)
    if state.phase == "loading":
        if state.progress is None:
            return texts.text("chat.status.loading", model=name)
        return texts.text("chat.status.loading_progress", model=name, percent=round(state.progress * 100))
    if state.phase in ("failed", "restarting"):
        return texts.text(f"chat.status.{state.phase}", model=name)
    if state.answering is not None:
        if state.answering != conversation_id:
            return texts.text("chat.status.elsewhere")
        doing = "reading" if state.reading_prompt else "thinking" if state.thinking else "answering"
        return texts.text(f"chat.status.{doing}")
    if state.phase == "ready" and state.info is not None and state.info.is_base:
        return texts.text("chat.status.ready_base", model=name)
    return texts.text(f"chat.status.{state.phase}", model=name)


def model_name(state: EngineState, texts: Texts) -> str:
    """The model's name as people read it."""
    if state.model is None:
        return texts.text("chat.models.none")
    return texts.text("chat.models.demo") if state.model.is_demo else state.model.name


class EngineStatus(ft.Container):
    """One line; `show` changes it on the screen."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._text = muted_text("", max_lines=1, overflow=ft.TextOverflow.ELLIPSIS)
        self._node = identified(self._text, "status", "", exclude_semantics=True, live_region=True)
        super().__init__(self._node)

    def show(self, text: str) -> None:
        """Say this; the caller updates."""
        self._text.value = text
        self._node.label = text

    @property
    def text(self) -> str:
        """What is said."""
        return self._text.value
