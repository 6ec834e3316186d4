"""A conversation before its first question: what this is, which model answers, examples, honest limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, muted_text, selectable
from app.components.chat.engine_status import model_name
from app.components.chat.first_run_offer import FirstRunOffer
from app.views.context import ViewContext

if TYPE_CHECKING:
    from app.chat.events import EngineState
    from app.models.events import ModelEvent

_EXAMPLES: tuple[tuple[str, ft.IconData], ...] = (
    ("code", ft.Icons.CODE),
    ("translate", ft.Icons.TRANSLATE),
    ("ideas", ft.Icons.LIGHTBULB_OUTLINE),
    ("poem", ft.Icons.EDIT_NOTE),
    ("summary", ft.Icons.SHORT_TEXT),
    ("feeling", ft.Icons.SENTIMENT_SATISFIED),
)
_DEMO_EXAMPLES: tuple[tuple[str, ft.IconData], ...] = (
    ("app", ft.Icons.CHAT_BUBBLE_OUTLINE),
    ("privacy", ft.Icons.LOCK_OUTLINE),
    ("memory", ft.Icons.MEMORY),
    ("model", ft.Icons.DOWNLOAD),
    ("words", ft.Icons.TRANSLATE),
    ("sampling", ft.Icons.TUNE),
)


class EmptyState(ft.Container):
    """on_choose is given an example's text. `show` follows the model, the caller updates."""

    def __init__(self, context: ViewContext, on_choose: Callable[[str], object]) -> None:
        self._context = context
        self._on_choose = on_choose
        self._shown: tuple[bool, str] | None = None
        self._offer = FirstRunOffer(context)
        self._column = ft.Column(
            spacing=3 * UNIT, scroll=ft.ScrollMode.AUTO, horizontal_alignment=ft.CrossAxisAlignment.CENTER
        )
        super().__init__(self._column, expand=True)
        self.show(context.service.state)
        context.run(self._offer.load)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        self._offer.on_model_event(event)

    def show(self, state: EngineState) -> None:
        """Show the model in use."""
        is_demo = state.model is None or state.model.is_demo
        shown = (is_demo, model_name(state, self._context.texts))
        if shown == self._shown:
            return
        self._shown = shown
        self._offer.set_demo(is_demo)
        examples = _DEMO_EXAMPLES if is_demo else _EXAMPLES
        group = "demo" if is_demo else "example"
        self._column.controls = [
            centred(self._heading(is_demo, shown[1])),
            self._offer,
            centred(
                ft.ResponsiveRow(
                    [self._card(group, index, name, icon) for index, (name, icon) in enumerate(examples)],
                    spacing=12,
                    run_spacing=12,
                )
            ),
            centred(self._notes(is_demo)),
            ft.Container(height=UNIT),
        ]

    def _heading(self, is_demo: bool, name: str) -> ft.Control:
        t = self._context.t
        about = t("chat.empty.demo_about") if is_demo else t("chat.empty.about")
        return ft.Container(
            ft.Column(
                [
                    ft.Image(src="icon.svg", width=56, height=56, exclude_from_semantics=True),
                    ft.Text(
                        t("chat.empty.title"),
                        theme_style=ft.TextThemeStyle.HEADLINE_SMALL,
                        text_align=ft.TextAlign.CENTER,
                    ),
                    ft.Text(about, text_align=ft.TextAlign.CENTER, color=ft.Colors.ON_SURFACE_VARIANT),
                    identified(
                        muted_text(t("chat.empty.model", model=name), text_align=ft.TextAlign.CENTER),
                        "model-in-use",
                    ),
                ],
                horizontal_alignment=ft.CrossAxisAlignment.CENTER,
                spacing=UNIT,
            ),
            alignment=ft.Alignment.TOP_CENTER,
            padding=ft.Padding.only(top=5 * UNIT),
        )

    def _card(self, group: str, index: int, name: str, icon: ft.IconData) -> ft.Control:
        t = self._context.t
        text = t(f"chat.{group}.{name}")
        card = ft.Container(
            ft.Column(
                [
                    ft.Row(
                        [
                            ft.Icon(icon, size=18, color=ft.Colors.PRIMARY),
                            ft.Text(
                                t(f"chat.{group}.{name}_title"), theme_style=ft.TextThemeStyle.LABEL_LARGE
                            ),
                        ],
                        spacing=UNIT,
                    ),
                    ft.Text(
                        text,
                        theme_style=ft.TextThemeStyle.BODY_MEDIUM,
                        color=ft.Colors.ON_SURFACE_VARIANT,
                        max_lines=3,
                        overflow=ft.TextOverflow.ELLIPSIS,
                    ),
                ],
                spacing=6,
                tight=True,
            ),
            padding=14,
            height=96 if group == "demo" else 116,
            border_radius=16,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
            bgcolor=ft.Colors.SURFACE_CONTAINER_LOWEST,
            ink=True,
            alignment=ft.Alignment.TOP_LEFT,
            on_click=self._context.guard(lambda: self._on_choose(text)),
        )
        return identified(card, f"example-{index}", button=True, col={"xs": 12, "sm": 6, "md": 4})

    def _notes(self, is_demo: bool) -> ft.Control:
        t = self._context.t
        keys = ("chat.empty.private",) if is_demo else ("chat.empty.limits", "chat.empty.private")
        return ft.Column(
            [
                ft.Row(
                    [
                        ft.Icon(ft.Icons.INFO_OUTLINE, size=16, color=ft.Colors.ON_SURFACE_VARIANT),
                        selectable(muted_text(t(key)), expand=True),
                    ],
                    vertical_alignment=ft.CrossAxisAlignment.START,
                    spacing=UNIT,
                )
                for key in keys
            ],
            spacing=UNIT,
            tight=True,
        )
