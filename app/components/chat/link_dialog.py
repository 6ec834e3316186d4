"""Where a link leads, before it is opened in the system's browser: nothing is opened or fetched by itself."""

from __future__ import annotations

import re

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import UNIT, selectable
from app.views.context import ViewContext

_WIDTH = 480


def show_link(context: ViewContext, address: str) -> None:
    """Show an address; it can be copied, and opened if it is one of the web or of mail."""
    is_safe = is_safe_address(address)
    explanation = "chat.link.explanation" if is_safe else "chat.link.unsafe"

    def copy() -> None:
        context.close_dialog(dialog)
        context.copy(address)

    actions: list[ft.Control] = [
        cancel_button(context, lambda: context.close_dialog(dialog)),
        ft.TextButton(context.t("chat.link.copy"), on_click=context.guard(copy)),
    ]
    if is_safe:
        # The client itself opens it, within the click: a browser would stop a window that comes later.
        actions.append(
            ft.FilledButton(
                context.t("chat.link.open"),
                url=ft.Url(address, target=ft.UrlTarget.BLANK),
                on_click=context.guard(lambda: context.close_dialog(dialog)),
            )
        )
    dialog = ft.AlertDialog(
        title=ft.Text(context.t("chat.link.title")),
        content=ft.Container(
            ft.Column(
                [
                    identified(selectable(ft.Text(address, max_lines=8)), "link-address"),
                    ft.Text(context.t(explanation), color=ft.Colors.ON_SURFACE_VARIANT),
                ],
                tight=True,
                spacing=UNIT,
            ),
            width=_WIDTH,
        ),
        actions=actions,
    )
    context.open_dialog(dialog)


def is_safe_address(address: str) -> bool:
    """Whether a link may be offered for opening: web and mail only, nothing that runs or reads files."""
    return bool(re.match(r"(?:https?://|mailto:)\S", address, re.IGNORECASE)) and not re.search(
        r"[\x00-\x20\x7f\u202a-\u202e\u2066-\u2069]", address
    )
