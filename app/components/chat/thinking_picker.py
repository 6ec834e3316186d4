"""Whether the model thinks before it answers in this conversation: a small button with what it can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.views.context import ViewContext
from engine.types import ModelInfo, Thinking

_ICONS: dict[Thinking, ft.IconData] = {
    "automatic": ft.Icons.PSYCHOLOGY_OUTLINED,
    "on": ft.Icons.PSYCHOLOGY,
    "off": ft.Icons.BOLT,
}
BUDGETS: tuple[int | None, ...] = (None, 512, 2_048, 8_192)


class ThinkingPicker(ft.Container):
    """Seen only where the loaded model thinks. on_choose, on_budget: are given what was chosen."""

    def __init__(
        self,
        context: ViewContext,
        on_choose: Callable[[Thinking], object],
        on_budget: Callable[[int | None], object],
    ) -> None:
        self._context = context
        self._on_choose = on_choose
        self._on_budget = on_budget
        self._icon = ft.Icon(ft.Icons.PSYCHOLOGY_OUTLINED, size=18, color=ft.Colors.ON_SURFACE_VARIANT)
        self._label = ft.Text(
            theme_style=ft.TextThemeStyle.LABEL_MEDIUM,
            color=ft.Colors.ON_SURFACE_VARIANT,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        self._menu = ft.PopupMenuButton(
            content=ft.Container(
                ft.Row(
                    [
                        self._icon,
                        self._label,
                        ft.Icon(ft.Icons.ARROW_DROP_DOWN, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                    ],
                    spacing=4,
                    tight=True,
                ),
                padding=ft.Padding.symmetric(horizontal=UNIT, vertical=UNIT),
            ),
            padding=0,
        )
        super().__init__(identified(self._menu, "thinking"), visible=False)

    def show(self, info: ModelInfo | None, thinking: Thinking, budget: int | None) -> None:
        """Offer what this model can do, with what is chosen; the caller updates."""
        can_switch = info is not None and info.can_switch_thinking
        self.visible = info is not None and (info.thinks or can_switch)
        if not self.visible:
            return
        t = self._context.t
        self._icon.icon = _ICONS[thinking if can_switch else "automatic"]
        is_on = thinking == "on" and can_switch
        self._icon.color = self._label.color = ft.Colors.PRIMARY if is_on else ft.Colors.ON_SURFACE_VARIANT
        key = f"chat.thinking.{thinking}" if can_switch else "chat.thinking.budget"
        self._label.value = t(key)
        self._menu.tooltip = t("chat.thinking.tooltip", choice=t(key)) if can_switch else t(key)
        self._menu.items = [
            *(self._choices(thinking) if can_switch else []),
            *(self._budget(each, each == budget) for each in _with(budget)),
        ]

    def set_narrow(self, narrow: bool) -> None:
        """Show the sign alone; the caller updates."""
        self._label.visible = not narrow

    def _choices(self, chosen: Thinking) -> list[ft.PopupMenuItem]:
        items = [
            ft.PopupMenuItem(
                self._context.t(f"chat.thinking.{each}_about"),
                checked=each == chosen,
                on_click=self._context.guard(lambda each=each: self._on_choose(each)),
            )
            for each in get_args(Thinking)
        ]
        return [*items, ft.PopupMenuItem()]

    def _budget(self, n_tokens: int | None, is_chosen: bool) -> ft.PopupMenuItem:
        key = "chat.thinking.no_limit" if n_tokens is None else "chat.thinking.limit"
        return ft.PopupMenuItem(
            self._context.t(key, n=n_tokens or 0),
            checked=is_chosen,
            on_click=self._context.guard(lambda: self._on_budget(n_tokens)),
        )


def _with(budget: int | None) -> list[int | None]:
    """The budgets to offer, one that came from elsewhere among them."""
    numbers = sorted({each for each in (*BUDGETS, budget) if each is not None})
    return [None, *numbers]
