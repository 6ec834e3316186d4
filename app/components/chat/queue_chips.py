"""Questions that wait for the engine, each with a button that takes it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.views.context import ViewContext

_MAX_CHARS = 60


@dataclass(frozen=True, slots=True)
class Queued:
    """A question that waits: its message id and text."""

    message_id: int
    text: str


class QueueChips(ft.Column):
    """Shows what waits; nothing when nothing does."""

    def __init__(self, context: ViewContext, on_cancel: Callable[[int], object]) -> None:
        super().__init__(spacing=4, tight=True, visible=False, controls=[])
        self._context = context
        self._on_cancel = on_cancel
        self._shown: tuple[Queued, ...] = ()

    def show(self, queued: Sequence[Queued]) -> bool:
        """Show these; returns whether they are others than before. The caller updates."""
        if tuple(queued) == self._shown:
            return False
        self._shown = tuple(queued)
        self.visible = bool(queued)
        self.controls = [self._chip(index, item) for index, item in enumerate(queued)]
        return True

    def _chip(self, index: int, item: Queued) -> ft.Control:
        text = one_line(item.text, _MAX_CHARS)
        chip = ft.Chip(
            label=ft.Text(self._context.t("chat.queue.waiting", text=text), max_lines=1),
            leading=ft.Icon(ft.Icons.SCHEDULE, size=18),
            delete_icon=ft.Icon(ft.Icons.CLOSE, size=18),
            delete_icon_tooltip=self._context.t("chat.queue.cancel"),
            on_delete=self._context.guard(lambda: self._on_cancel(item.message_id)),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=0),
        )
        return identified(chip, f"queued-{index}")


def one_line(text: str, max_chars: int) -> str:
    """The beginning of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= max_chars else flat[: max_chars - 1] + "…"
