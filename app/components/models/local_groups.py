"""What stands between the rows of local models: the disk, the headings of places, what is missing, and the
ways to a first model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.models.disk_bar import DiskBar
from app.components.models.folder_dialog import ask_folder
from app.components.models.local_row import dress, row_layout
from app.models.local_shelf import Shelf, ShelfGroup
from app.views.context import ViewContext
from engine.models.listing import MissingModel


def disk_card(context: ViewContext, disk: DiskBar) -> ft.Control:
    """How full the disk is, and where the models folder is."""
    folder = context.models.library.folder
    path = ft.Row(
        [
            muted_text(
                context.t("library.disk.folder", path=str(folder)),
                expand=True,
                max_lines=2,
                overflow=ft.TextOverflow.ELLIPSIS,
                tooltip=str(folder),
            ),
            ft.IconButton(
                ft.Icons.CONTENT_COPY,
                icon_size=16,
                tooltip=context.t("library.copy"),
                on_click=context.guard(lambda: context.copy(str(folder))),
            ),
        ],
        spacing=4,
    )
    return ft.Container(
        ft.Column([ft.Container(disk, padding=ft.Padding.only(right=UNIT)), path], spacing=4, tight=True),
        padding=ft.Padding(2 * UNIT, 2 * UNIT, UNIT, UNIT),
        border_radius=16,
        border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
    )


def list_heading(context: ViewContext, shelf: Shelf) -> ft.Control:
    """How many models there are, and the way to look in more places."""
    n = len(shelf.rows)
    text = context.t("library.count.none")
    if n:
        text = context.t(
            "library.count.one" if n == 1 else "library.count.many",
            n=n,
            size=sum(row.model.size_bytes for row in shelf.rows),
        )
    add = ft.TextButton(
        context.t("library.folder.button"),
        icon=ft.Icons.CREATE_NEW_FOLDER_OUTLINED,
        on_click=context.guard(lambda: ask_folder(context)),
    )
    count = ft.Text(text, theme_style=ft.TextThemeStyle.TITLE_SMALL, color=ft.Colors.PRIMARY)
    row = ft.Row(
        # Other folders than its own are closed to an app of a phone.
        [count, identified(add, "add-folder", visible=not context.is_phone)],
        alignment=ft.MainAxisAlignment.SPACE_BETWEEN,
        vertical_alignment=ft.CrossAxisAlignment.CENTER,
        spacing=UNIT,
        run_spacing=0,
        wrap=True,
        expand=True,
    )
    return ft.Container(
        ft.Row([row]),  # for the whole width, which a row that wraps would not take
        padding=ft.Padding(left=4, top=UNIT, right=0, bottom=0),
    )


def group_heading(context: ViewContext, group: ShelfGroup, number: int) -> Sequence[ft.Control]:
    """The models folder needs none while it can be read; an added one, the number-th, says which it is, and
    can be left.
    """
    if group.kind == "models":
        is_whole = group.state != "unreadable"
        return () if is_whole else (_under_title(context.t("library.models.unreadable")),)
    if group.folder is None:
        icon = ft.Icons.CLOUD_OUTLINED if group.kind == "hf-cache" else ft.Icons.PLACE_OUTLINED
        return (place_title(context.t(f"library.group.{group.kind}"), icon),)
    folder = group.folder

    async def leave() -> None:
        await context.in_thread(context.models.remove_folder, folder)

    stop = ft.TextButton(context.t("library.folder.leave"), on_click=context.guard(leave))
    parts: list[ft.Control] = [
        ft.Row(
            [
                ft.Container(
                    place_title(str(folder), ft.Icons.FOLDER_OUTLINED),
                    expand=True,
                ),
                identified(stop, f"leave-folder-{number}"),
            ]
        )
    ]
    if not group.rows:
        key = "empty" if group.state == "readable" else group.state
        parts.append(_under_title(context.t(f"library.folder.{key}")))
    return (ft.Column(parts, spacing=0, tight=True),)


def _under_title(text: str) -> ft.Control:
    return ft.Container(muted_text(text), padding=ft.Padding.only(left=4))


def missing_row(
    context: ViewContext, gone: MissingModel, number: int, on_forget: Callable[[], object]
) -> ft.Control:
    """A model that is not where it was any more."""
    forget = ft.OutlinedButton(
        context.t("library.action.forget"),
        on_click=context.guard(on_forget),
    )
    about: list[ft.Control] = [
        ft.Text(gone.name, theme_style=ft.TextThemeStyle.TITLE_MEDIUM, max_lines=2),
        muted_text(context.t("library.missing.about", path=str(gone.path), size_bytes=gone.size_bytes)),
    ]
    row = ft.Container(
        identified(row_layout(about, identified(forget, f"forget-{number}")), f"missing-{number}")
    )
    dress(row)
    return row


def empty_card(context: ViewContext) -> ft.Control:
    """Before the first model: the ways to one."""
    t = context.t
    get = ft.FilledButton(
        t("library.empty.get"),
        icon=ft.Icons.DOWNLOAD,
        on_click=context.guard(lambda: context.open_models("get")),
    )
    convert = ft.OutlinedButton(
        t("library.empty.convert"),
        icon=ft.Icons.AUTORENEW,
        on_click=context.guard(lambda: context.open_convert(None)),
    )
    return identified(
        ft.Container(
            ft.Column(
                [
                    ft.Icon(ft.Icons.INVENTORY_2_OUTLINED, size=40, color=ft.Colors.PRIMARY),
                    ft.Text(
                        t("library.empty.title"),
                        theme_style=ft.TextThemeStyle.TITLE_MEDIUM,
                        text_align=ft.TextAlign.CENTER,
                    ),
                    ft.Text(
                        t("library.empty.about"),
                        text_align=ft.TextAlign.CENTER,
                        color=ft.Colors.ON_SURFACE_VARIANT,
                    ),
                    ft.Row(
                        [
                            identified(get, "empty-get"),
                            identified(convert, "empty-convert"),
                        ],
                        wrap=True,
                        spacing=UNIT,
                        run_spacing=UNIT,
                        alignment=ft.MainAxisAlignment.CENTER,
                    ),
                ],
                spacing=12,
                horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            ),
            padding=4 * UNIT,
            alignment=ft.Alignment.CENTER,
        ),
        "local-empty",
    )


def place_title(text: str, icon: ft.IconData) -> ft.Control:
    """The heading of a place."""
    return ft.Container(
        ft.Row(
            [
                ft.Icon(icon, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
                ft.Text(
                    text,
                    theme_style=ft.TextThemeStyle.TITLE_SMALL,
                    max_lines=2,
                    overflow=ft.TextOverflow.ELLIPSIS,
                    expand=True,
                ),
            ],
            spacing=UNIT,
        ),
        padding=ft.Padding(4, 0, 0, 0),
    )
