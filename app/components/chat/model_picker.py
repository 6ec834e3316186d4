"""The model in use, in the header: its name and how far loading is; a click offers the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, text_width_px
from app.components.chat.engine_status import model_name
from app.components.chat.model_dialog import choose_model
from app.views.context import ViewContext

if TYPE_CHECKING:
    from app.chat.events import EngineState

_NAME_WIDTH = 180
_NARROW_NAME_WIDTH = 72


class ModelPicker(ft.Container):
    """`show` follows the engine; the caller updates."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._name = ft.Text(
            theme_style=ft.TextThemeStyle.LABEL_LARGE, max_lines=1, overflow=ft.TextOverflow.ELLIPSIS
        )
        self._ring = ft.ProgressRing(width=14, height=14, stroke_width=2, visible=False)
        self._sign = ft.Icon(ft.Icons.MEMORY, size=16)
        self._frame = ft.Container(self._name)
        self._is_narrow = False
        row = ft.Row(
            [self._ring, self._sign, self._frame, ft.Icon(ft.Icons.ARROW_DROP_DOWN, size=18)],
            spacing=6,
            tight=True,
        )
        self._button = ft.Container(
            # A ring that comes and goes in the tree of names costs the node around it its identifier.
            ft.Semantics(content=row, exclude_semantics=True),
            padding=ft.Padding.symmetric(horizontal=12, vertical=UNIT),
            border_radius=18,
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
            ink=True,
            on_click=context.guard(lambda: choose_model(context)),
        )
        self._node = identified(self._button, "model-picker", button=True)
        super().__init__(self._node)
        self._state = context.service.state
        self.show(self._state)

    def show(self, state: EngineState) -> None:
        """Show the model and how far it is."""
        self._state = state
        name = model_name(state, self._context.texts)
        is_busy = state.phase in ("loading", "restarting")
        has_failed = state.phase == "failed"
        self._name.value = name
        self._ring.visible = is_busy
        self._ring.value = state.progress if state.phase == "loading" else None
        self._sign.visible = not is_busy and (has_failed or not self._is_narrow)
        self._sign.icon = ft.Icons.ERROR_OUTLINE if has_failed else ft.Icons.MEMORY
        self._sign.color = ft.Colors.ERROR if has_failed else ft.Colors.ON_SURFACE_VARIANT
        limit = _NARROW_NAME_WIDTH if self._is_narrow else _NAME_WIDTH
        # The style spaces its letters, and a name that is short by a pixel loses two characters.
        name_width = text_width_px(name, 14 * self._context.settings.settings.font_scale) + len(name) + UNIT
        self._frame.width = min(limit, name_width)
        self._node.label = self._context.t("chat.models.picker_label", model=name)

    def set_narrow(self, narrow: bool) -> None:
        """Leave more room for the title; the caller updates."""
        self._is_narrow = narrow
        self._button.padding = ft.Padding.symmetric(horizontal=UNIT if narrow else 12, vertical=UNIT)
        self.show(self._state)
