"""The list of models to choose from: the built-in demo and what is in the models folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flet as ft

from app.components.identified import identified
from app.components.look import UNIT, muted_text
from app.views.context import ViewContext
from convert.i18n import size_text

if TYPE_CHECKING:
    from app.chat.choices import ModelChoice

_WIDTH = 480


async def choose_model(context: ViewContext) -> None:
    """Ask which model is to answer; loading begins at once and in the background."""
    models = await context.in_thread(context.service.models)
    current = context.service.state.model

    def choose(choice: ModelChoice) -> None:
        context.close_dialog(dialog)
        context.service.choose_model(choice.key)

    tiles = [
        identified(_tile(context, choice, current, choose), f"model-{index}")
        for index, choice in enumerate(models)
    ]
    dialog = ft.AlertDialog(
        title=ft.Text(context.t("chat.models.title")),
        scrollable=True,
        content=ft.Container(
            ft.Column([*tiles, _folder_note(context)], tight=True, spacing=4),
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
    return size_text(choice.size_bytes) if choice.size_bytes is not None else ""


def _folder_note(context: ViewContext) -> ft.Control:
    folder = str(context.service.models_folder)

    copy = ft.IconButton(
        ft.Icons.CONTENT_COPY,
        icon_size=16,
        tooltip=context.t("chat.models.copy_folder"),
        on_click=context.guard(lambda: context.copy(folder)),
    )
    return ft.Container(
        ft.Column(
            [
                muted_text(context.t("chat.models.folder_note")),
                ft.Row([muted_text(folder, expand=True, selectable=True), copy]),
            ],
            spacing=0,
            tight=True,
        ),
        padding=ft.Padding.only(left=UNIT, right=UNIT, top=UNIT),
    )
