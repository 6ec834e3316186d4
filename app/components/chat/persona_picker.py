"""How the model is to behave in this conversation: a small button that offers the personas."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.personas import Persona
from app.views.context import ViewContext


class PersonaPicker(ft.Container):
    """on_choose is given a persona's id, on_adjust opens this conversation's own settings."""

    def __init__(
        self,
        context: ViewContext,
        on_choose: Callable[[str], object],
        on_adjust: Callable[[], object],
    ) -> None:
        self._context = context
        self._on_choose = on_choose
        self._on_adjust = on_adjust
        self._label = ft.Text(
            theme_style=ft.TextThemeStyle.LABEL_MEDIUM,
            color=ft.Colors.ON_SURFACE_VARIANT,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        self._dot = ft.Icon(ft.Icons.TUNE, size=14, color=ft.Colors.PRIMARY, visible=False)
        self._menu = ft.PopupMenuButton(
            content=ft.Container(
                ft.Row(
                    [
                        ft.Icon(ft.Icons.PERSON_OUTLINE, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                        self._label,
                        self._dot,
                        ft.Icon(ft.Icons.ARROW_DROP_DOWN, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                    ],
                    spacing=4,
                    tight=True,
                ),
                padding=ft.Padding.symmetric(horizontal=UNIT, vertical=UNIT),
            ),
            tooltip=context.t("chat.persona.tooltip"),
            padding=0,
        )
        self._node = identified(self._menu, "persona")
        super().__init__(self._node)

    def show(self, personas: tuple[Persona, ...], chosen: str, *, is_adjusted: bool) -> None:
        """Offer these, with one of them chosen; is_adjusted: this conversation has settings of its own."""
        current = next((persona for persona in personas if persona.id == chosen), personas[0])
        self._label.value = current.name
        self._dot.visible = is_adjusted
        t, guard = self._context.t, self._context.guard
        items = [self._item(persona, persona.id == current.id) for persona in personas]
        adjust = ft.PopupMenuItem(
            t("chat.persona.adjust"), icon=ft.Icons.TUNE, on_click=guard(self._on_adjust)
        )
        self._menu.items = [*items, ft.PopupMenuItem(), adjust]

    def _item(self, persona: Persona, is_chosen: bool) -> ft.PopupMenuItem:
        return ft.PopupMenuItem(
            persona.name,
            checked=is_chosen,
            on_click=self._context.guard(lambda: self._on_choose(persona.id)),
        )
