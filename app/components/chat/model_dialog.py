"""The list of models to choose from: the built-in demo and what is on this disk; and the way to more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT
from app.i18n import window_size
from app.views.context import ModelsSection, ViewContext

if TYPE_CHECKING:
    from app.chat.choices import ModelChoice

_WIDTH = 480


async def choose_model(context: ViewContext) -> None:
    """Ask which model is to answer; loading begins at once and in the background."""
    models = await context.in_thread(context.service.models)
    current = context.service.state.model

    async def choose(choice: ModelChoice) -> None:
        context.close_dialog(dialog)
        await context.in_thread(context.service.choose_model, choice.key)

    tiles = [
        identified(_tile(context, choice, current, choose), f"model-{index}")
        for index, choice in enumerate(models)
    ]
    dialog = ft.AlertDialog(
        title=ft.Text(context.t("chat.models.title")),
        scrollable=True,
        inset_padding=DIALOG_INSET,
        content=ft.Container(
            ft.Column(
                [*tiles, _places(context, lambda: context.close_dialog(dialog))], tight=True, spacing=4
            ),
            width=_WIDTH,
        ),
        actions=[
            ft.TextButton(
                context.t("gui.close"), on_click=context.guard(lambda: context.close_dialog(dialog))
            )
        ],
    )
    context.open_dialog(dialog)


def _tile(
    context: ViewContext,
    choice: ModelChoice,
    current: ModelChoice | None,
    choose: object,
) -> ft.Control:
    is_current = current is not None and current.key == choice.key
    name = context.t("chat.models.demo") if choice.is_demo else choice.name
    about = context.t("chat.models.demo_about") if choice.is_demo else _about(choice)
    return ft.ListTile(
        leading=ft.Icon(ft.Icons.RADIO_BUTTON_CHECKED if is_current else ft.Icons.RADIO_BUTTON_UNCHECKED),
        title=ft.Text(name, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS),
        subtitle=ft.Text(about, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS) if about else None,
        selected=is_current,
        content_padding=ft.Padding.symmetric(horizontal=UNIT),
        on_click=context.guard(lambda: choose(choice)),  # type: ignore[operator]
    )


def _about(choice: ModelChoice) -> str:
    return window_size(choice.size_bytes) if choice.size_bytes is not None else ""


def _places(context: ViewContext, close: Callable[[], None]) -> ft.Control:
    """Where more models come from, and where those on this disk are looked after."""

    def open_models(section: ModelsSection) -> None:
        close()
        context.open_models(section)

    more = ft.TextButton(
        context.t("chat.models.get_more"),
        icon=ft.Icons.DOWNLOAD,
        on_click=context.guard(lambda: open_models("get")),
    )
    manage = ft.TextButton(
        context.t("chat.models.manage"),
        icon=ft.Icons.TUNE,
        on_click=context.guard(lambda: open_models("local")),
    )
    return ft.Container(
        ft.Row(
            [identified(more, "models-get"), identified(manage, "models-manage")],
            wrap=True,
            spacing=UNIT,
            run_spacing=0,
        ),
        padding=ft.Padding.only(top=UNIT),
    )
