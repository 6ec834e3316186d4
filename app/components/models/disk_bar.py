"""How full the models folder's disk is: a bar of three parts, and the same in words."""

from __future__ import annotations

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.models.local_shelf import DiskShares
from app.views.context import ViewContext

_HEIGHT = 10
_STEPS = 1000  # the bar's finest part; a part that is not empty gets at least ten


class DiskBar(ft.Container):
    """Hidden while nothing is known. The caller updates."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        super().__init__(visible=False)

    def show(self, shares: DiskShares | None) -> None:
        """Show how the disk is used; None where the system does not say."""
        self.visible = shares is not None and shares.total_bytes > 0
        if shares is None or not self.visible:
            return
        parts = (
            ("models", shares.models_bytes, ft.Colors.PRIMARY),
            ("other", shares.other_bytes, ft.Colors.OUTLINE),
            ("free", shares.free_bytes, ft.Colors.SURFACE_CONTAINER_HIGHEST),
        )
        bar = ft.Container(
            ft.Row(
                [
                    ft.Container(bgcolor=color, height=_HEIGHT, expand=_part(size, shares.total_bytes))
                    for _, size, color in parts
                    if size
                ],
                spacing=2,
            ),
            border_radius=_HEIGHT / 2,
            clip_behavior=ft.ClipBehavior.ANTI_ALIAS,
        )
        legend = ft.Row(
            [self._entry(name, size, color) for name, size, color in parts],
            wrap=True,
            spacing=2 * UNIT,
            run_spacing=4,
        )
        self.content = identified(
            ft.Column([bar, legend], spacing=UNIT, tight=True),
            "disk",
            self._context.t(
                "library.disk.words",
                models=shares.models_bytes,
                other=shares.other_bytes,
                free=shares.free_bytes,
            ),
            exclude_semantics=True,
        )

    def _entry(self, name: str, size: int, color: ft.ColorValue) -> ft.Control:
        dot = ft.Container(
            width=10,
            height=10,
            border_radius=5,
            bgcolor=color,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT) if name == "free" else None,
        )
        text = muted_text(self._context.t(f"library.disk.{name}", size=size))
        return ft.Row([dot, text], spacing=6, tight=True)


def _part(size: int, total: int) -> int:
    return max(10, round(_STEPS * size / total))
