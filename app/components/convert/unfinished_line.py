"""The line that tells of unfinished work on the source that was chosen, with the way to it."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.views.context import ViewContext


def unfinished_line(context: ViewContext, on_show: Callable[[], object]) -> ft.Control:
    """The work itself is not shown at once: the same source may be wanted as another type."""
    show = ft.TextButton(context.t("job.show"), on_click=context.guard(on_show))
    line = ft.Row(
        [
            ft.Icon(ft.Icons.INFO_OUTLINE, size=18, color=ft.Colors.ON_SURFACE_VARIANT),
            ft.Text(context.t("convert.unfinished"), expand=True),
            identified(show, "show-unfinished"),
        ],
        spacing=UNIT,
    )
    return ft.Container(identified(line, "unfinished"), padding=ft.Padding.symmetric(horizontal=4))
