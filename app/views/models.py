"""The models screen: what is on this disk, and what there is to get."""

from __future__ import annotations

import flet as ft

from app.models.events import ModelEvent
from app.views.context import ModelsSection, ViewContext


class ModelsView(ft.Container):
    """One section at a time."""

    def __init__(self, context: ViewContext, section: ModelsSection) -> None:
        self._context = context
        super().__init__(
            ft.Text(context.t("sidebar.models")), expand=True, bgcolor=ft.Colors.SURFACE, padding=16
        )

    async def load(self) -> None:
        """Read what is on disk."""

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""

    def show_section(self, section: ModelsSection) -> None:
        """Show the other section."""
