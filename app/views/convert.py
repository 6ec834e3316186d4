"""The conversion screen: from a checkpoint on this disk to a model in the library."""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.models.events import ModelEvent
from app.views.context import ViewContext


class ConvertView(ft.Container):
    """path: what to look at first."""

    def __init__(self, context: ViewContext, path: Path | None) -> None:
        self._context = context
        self.path = path
        super().__init__(
            ft.Text(context.t("sidebar.convert")), expand=True, bgcolor=ft.Colors.SURFACE, padding=16
        )

    async def load(self) -> None:
        """Read what is on disk."""

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
