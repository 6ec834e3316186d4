"""Small questions: a confirmation, and one line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from app.views.context import ViewContext

_WIDTH = 400


def ask_confirmation(
    context: ViewContext,
    title: str,
    text: str,
    action: str,
    on_confirm: Callable[[], Any],
    *,
    keep: str | None = None,
    on_keep: Callable[[], Any] = lambda: None,
) -> None:
    """Ask before something that can't be undone; `on_confirm` may be a coroutine function.

    keep: what the other button is called where "Cancel" would be unclear. on_keep: called when the dialog is
    closed in any other way.
    """
    is_confirmed = False

    async def confirm() -> None:
        nonlocal is_confirmed
        is_confirmed = True
        context.close_dialog(dialog)
        context.run(on_confirm)

    def dismissed() -> None:
        if not is_confirmed:
            on_keep()

    dialog = ft.AlertDialog(
        title=ft.Text(title),
        content=ft.Container(ft.Text(text), width=_WIDTH),
        actions=[
            cancel_button(context, lambda: context.close_dialog(dialog), keep),
            ft.FilledButton(
                action,
                on_click=context.guard(confirm),
                style=ft.ButtonStyle(bgcolor=ft.Colors.ERROR, color=ft.Colors.ON_ERROR),
            ),
        ],
        on_dismiss=context.guard(dismissed),
    )
    context.open_dialog(dialog)


def ask_text(
    context: ViewContext,
    title: str,
    label: str,
    value: str,
    on_answer: Callable[[str], Any],
    *,
    suggestions: tuple[str, ...] = (),
) -> None:
    """Ask for one line; Enter accepts it. Suggestions are offered as chips below the field."""

    async def accept() -> None:
        context.close_dialog(dialog)
        context.run(on_answer, field.value or "")

    def choose(text: str) -> Callable[[], None]:
        def chosen() -> None:
            field.value = text
            field.update()

        return chosen

    field = ft.TextField(value=value, label=label, autofocus=True, on_submit=context.guard(accept))
    chips = [ft.Chip(ft.Text(text), on_click=context.guard(choose(text))) for text in suggestions]
    rows: list[ft.Control] = [field]
    if chips:
        rows.append(ft.Row(list(chips), wrap=True, spacing=8, run_spacing=8))
    dialog = ft.AlertDialog(
        title=ft.Text(title),
        content=ft.Container(
            ft.Column(rows, tight=True, spacing=16, horizontal_alignment=ft.CrossAxisAlignment.STRETCH),
            width=_WIDTH,
        ),
        actions=[
            cancel_button(context, lambda: context.close_dialog(dialog)),
            ft.FilledButton(context.t("gui.ok"), on_click=context.guard(accept)),
        ],
    )
    context.open_dialog(dialog)


def cancel_button(context: ViewContext, close: Callable[[], None], name: str | None = None) -> ft.TextButton:
    """The button that changes nothing."""
    return ft.TextButton(name or context.t("gui.cancel"), on_click=context.guard(close))
