"""That a model only continues a text, said before and while it first does, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, selectable
from app.components.basics.refresh import refresh
from app.components.chat.model_dialog import choose_model
from app.components.models.prompt_format_dialog import choose_prompt_format
from app.models.local_shelf import read_shelf
from app.views.context import ViewContext
from engine.prompt import BASE

if TYPE_CHECKING:
    from app.chat.events import EngineState


class BaseModelNotice(ft.Container):
    """A card above the prompt; hidden for models that chat, and for those that continue text by choice.

    What is not loaded yet is looked up on the disk, once. The caller updates.
    """

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._state: EngineState | None = None
        self._has_begun = False
        self._looked_up: dict[Path, bool | None] = {}  # None: under way
        t = context.t
        sign = ft.Icon(ft.Icons.INFO_OUTLINE, color=ft.Colors.PRIMARY, size=20)
        about = selectable(
            ft.Text(t("chat.base.about"), theme_style=ft.TextThemeStyle.BODY_MEDIUM), expand=True
        )
        buttons = ft.Row(
            [
                _button(context, "library.action.prompt_format", self._choose_format, "base-format"),
                _button(context, "chat.failure.other", lambda: choose_model(context), "base-other"),
            ],
            wrap=True,
            spacing=UNIT,
            run_spacing=0,
        )
        card = ft.Container(
            ft.Column(
                [
                    ft.Row([sign, about], spacing=UNIT, vertical_alignment=ft.CrossAxisAlignment.START),
                    buttons,
                ],
                spacing=4,
                tight=True,
            ),
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
            border_radius=16,
            padding=ft.Padding(2 * UNIT, 12, 2 * UNIT, UNIT),
        )
        super().__init__(
            centred(identified(card, "base-model"), padding=ft.Padding(16, 0, 16, UNIT)), visible=False
        )

    def show(self, state: EngineState, *, has_begun: bool) -> None:
        """Follow the engine's state, with the model that would be loaded where none is. has_begun: a second
        question was asked, so what the model does was seen.
        """
        self._state, self._has_begun = state, has_begun
        self.visible = not has_begun and state.phase != "failed" and self._is_base(state)

    def _is_base(self, state: EngineState) -> bool:
        """Whether the model only continues text, and nobody chose that."""
        model = state.model
        if model is None or model.is_demo or model.path is None:
            return False
        chosen = self._context.settings.settings.prompt_formats.get(model.key)
        if state.info is not None:
            return state.info.is_base and chosen != BASE.name
        if chosen is not None:
            return False
        if model.path not in self._looked_up:
            self._looked_up[model.path] = None
            self._context.run(self._look_up, model.path)
        return self._looked_up[model.path] is True

    async def _look_up(self, path: Path) -> None:
        listing = await self._context.in_thread(self._context.models.listing)
        model = listing.at(path)
        self._looked_up[path] = model is not None and model.prompt_format == BASE.name
        self._show_again()

    def _show_again(self) -> None:
        if self._state is not None:
            self.show(self._state, has_begun=self._has_begun)
            refresh(self)

    async def _choose_format(self) -> None:
        state = self._state
        if state is None or state.model is None or state.model.path is None:
            return
        path, context = state.model.path.absolute(), self._context
        shelf = await context.in_thread(read_shelf, context.models, state)
        row = next((row for row in shelf.rows if path in row.model.parts), None)
        if row is None:  # it went away, or is none of those that are kept track of
            context.open_models("local")
            return
        await choose_prompt_format(context, row, on_changed=self._show_again)


def _button(context: ViewContext, key: str, on_click: Callable[[], object], identifier: str) -> ft.Semantics:
    return identified(ft.TextButton(context.t(key), on_click=context.guard(on_click)), identifier)
