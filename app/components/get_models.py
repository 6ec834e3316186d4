"""What there is to get: the second half of the models screen."""

from __future__ import annotations

import flet as ft

from app.models.events import ModelEvent
from app.views.context import ViewContext


class GetModels(ft.Container):
    """Filled by `load`."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        super().__init__()

    async def load(self) -> None:
        """Read what can be shown without a network."""

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
