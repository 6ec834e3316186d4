"""How much of the model's context a conversation fills: a small ring with the numbers on it in words."""

from __future__ import annotations

import flet as ft

from app.components.basics.identified import identified
from app.views.context import ViewContext

_NEARLY_FULL = 0.85


class ContextMeter(ft.Container):
    """Nothing until there is something to measure; `show` changes it, the caller updates."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._ring = ft.ProgressRing(
            width=18, height=18, stroke_width=3, value=0.0, bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST
        )
        self._node = identified(self._ring, "context-meter", "", exclude_semantics=True)
        super().__init__(self._node, width=40, height=40, alignment=ft.Alignment.CENTER, visible=False)

    def show(self, use: tuple[int, int] | None) -> None:
        """Show (used, size) in tokens, or nothing."""
        self.visible = use is not None
        if use is None:
            return
        used, size = use
        share = min(1.0, used / size) if size > 0 else 0.0
        self._ring.value = share
        self._ring.color = ft.Colors.TERTIARY if share > _NEARLY_FULL else ft.Colors.PRIMARY
        text = self._context.t("chat.context.use", used=used, size=size, percent=round(100 * share))
        self.tooltip = text
        self._node.label = text
