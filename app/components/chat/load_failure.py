"""Why a model could not be loaded, in plain words, and what else can be done."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, muted_text, selectable
from app.components.chat.model_dialog import choose_model
from app.components.work.job_text import error_text
from app.views.context import ViewContext
from engine.errors import NotEnoughMemory


class LoadFailure(ft.Container):
    """A card above the prompt; hidden while all is well. The caller updates.

    on_smaller_context is given the number of tokens that would fit. on_anyway: load without regard to memory.
    """

    def __init__(
        self,
        context: ViewContext,
        *,
        on_demo: Callable[[], object],
        on_again: Callable[[], object],
        on_smaller_context: Callable[[int], object],
        on_anyway: Callable[[], object],
    ) -> None:
        self._context = context
        self._n_tokens = 0
        t = context.t
        self._reason = ft.Text()
        self._demo = _button(context, "chat.failure.demo", on_demo, "failure-demo")
        self._smaller_text = ft.Text()
        self._smaller = identified(
            ft.FilledTonalButton(
                self._smaller_text, on_click=context.guard(lambda: on_smaller_context(self._n_tokens))
            ),
            "failure-context",
        )
        other = _button(context, "chat.failure.other", lambda: choose_model(context), "failure-other")
        again = _button(context, "chat.failure.again", on_again, "failure-again")
        self._anyway = _button(context, "chat.failure.anyway", on_anyway, "failure-anyway")
        self._warning = muted_text(t("chat.failure.slow"))
        sign = ft.Icon(ft.Icons.ERROR_OUTLINE, color=ft.Colors.ERROR, size=20)
        title = ft.Text(t("chat.failure.title"), theme_style=ft.TextThemeStyle.TITLE_SMALL)
        buttons = ft.Row(
            [self._smaller, self._demo, other, again, self._anyway],
            spacing=UNIT,
            run_spacing=UNIT,
            wrap=True,
        )
        heading = ft.Row([sign, title], spacing=UNIT)
        card = ft.Container(
            ft.Column([heading, selectable(self._reason), buttons, self._warning], spacing=UNIT, tight=True),
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
            border=ft.Border.all(1, ft.Colors.ERROR),
            border_radius=16,
            padding=2 * UNIT,
        )
        super().__init__(
            centred(identified(card, "load-failure"), padding=ft.Padding(16, 0, 16, UNIT)), visible=False
        )

    def show(self, error: Exception | None, *, offers_demo: bool) -> None:
        """Show why loading failed, None for nothing; offers_demo: it is another model that failed."""
        self.visible = error is not None
        self._reason.value = error_text(error, self._context.texts) if error is not None else ""
        self._demo.visible = offers_demo
        self._anyway.visible = self._warning.visible = isinstance(error, NotEnoughMemory)
        smaller = error.smaller_context_tokens if isinstance(error, NotEnoughMemory) else None
        self._smaller.visible = smaller is not None
        if smaller is not None:
            self._n_tokens = smaller
            self._smaller_text.value = self._context.t("chat.failure.smaller", n=smaller)


def _button(context: ViewContext, key: str, on_click: Callable[[], object], identifier: str) -> ft.Semantics:
    return identified(ft.TextButton(context.t(key), on_click=context.guard(on_click)), identifier)
