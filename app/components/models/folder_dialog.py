"""Look for models in another folder too."""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.components.basics.dialogs import cancel_button
from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.basics.path_field import PathField
from app.home import Home
from app.models.added_folders import folder_problem
from app.views.context import ViewContext

_WIDTH = 460


def ask_folder(context: ViewContext) -> None:
    """Ask for the folder; its models are listed, and stay where they are."""
    models = context.models

    async def accept() -> None:
        path = field.path
        problem = await context.in_thread(_problem, path, models.home)
        if path is None or problem is not None:
            field.show_error(
                context.t(problem or "library.path.empty", path=str(path), data=models.home.root)
            )
            return
        await context.in_thread(models.add_folder, path)
        context.close_dialog(dialog)

    field = PathField(
        context,
        context.t("library.folder.path"),
        "folder-path",
        kind="folder",
        on_change=lambda: None,
        on_submit=accept,
    )
    add = ft.FilledButton(context.t("library.folder.add"), on_click=context.guard(accept))
    dialog = ft.AlertDialog(
        title=ft.Text(context.t("library.folder.title")),
        inset_padding=DIALOG_INSET,
        content=ft.Container(
            ft.Column(
                [muted_text(context.t("library.folder.about")), field],
                tight=True,
                spacing=2 * UNIT,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            width=_WIDTH,
        ),
        actions=[
            cancel_button(context, lambda: context.close_dialog(dialog)),
            identified(add, "folder-add"),
        ],
    )
    context.open_dialog(dialog)


def _problem(path: Path | None, home: Home) -> str | None:
    """The key of the sentence that says what is wrong with it."""
    return "library.path.empty" if path is None else folder_problem(path, home)
