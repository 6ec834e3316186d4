"""Why a model could not be loaded, in plain words, and what else can be done."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.identified import identified
from app.components.look import UNIT, centred
from app.components.model_dialog import choose_model
from app.views.context import ViewContext


class LoadFailure(ft.Container):
    """A card above the prompt; hidden while all is well. The caller updates."""

    def __init__(self, context: ViewContext, on_demo: Callable[[], object]) -> None:
        self._context = context
        t = context.t
        self._reason = ft.Text(color=ft.Colors.ON_ERROR_CONTAINER, selectable=True)
        self._demo = identified(
            ft.FilledButton(t("chat.failure.demo"), on_click=context.guard(on_demo)), "failure-demo"
        )
        other = ft.TextButton(
            t("chat.failure.other"),
            style=ft.ButtonStyle(color=ft.Colors.ON_ERROR_CONTAINER),
            on_click=context.guard(lambda: choose_model(context)),
        )
        title = ft.Text(
            t("chat.failure.title"),
            theme_style=ft.TextThemeStyle.TITLE_SMALL,
            color=ft.Colors.ON_ERROR_CONTAINER,
        )
        card = ft.Container(
            ft.Column(
                [
                    ft.Row(
                        [ft.Icon(ft.Icons.ERROR_OUTLINE, color=ft.Colors.ON_ERROR_CONTAINER, size=20), title],
                        spacing=UNIT,
                    ),
                    self._reason,
                    ft.Row([self._demo, identified(other, "failure-other")], spacing=UNIT, wrap=True),
                ],
                spacing=UNIT,
                tight=True,
            ),
            bgcolor=ft.Colors.ERROR_CONTAINER,
            border_radius=16,
            padding=2 * UNIT,
        )
        super().__init__(
            centred(identified(card, "load-failure"), padding=ft.Padding(16, 0, 16, UNIT)),
            visible=False,
        )

    def show(self, reason: str | None, *, offers_demo: bool) -> None:
        """Show a reason, None for none; offers_demo: it is another model that failed."""
        self.visible = reason is not None
        self._reason.value = reason or ""
        self._demo.visible = offers_demo
