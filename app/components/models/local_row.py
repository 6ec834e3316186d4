"""One model of this disk in the list: what it is, how it does here, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.models.fit_badge import fit_badge, unusable_badge
from app.i18n import Texts, window_size
from app.models.local_shelf import ShelfRow
from app.models.local_texts import about_text, facts, problem_text
from app.views.context import ViewContext
from engine.errors import NotAChatModel


@dataclass(frozen=True, slots=True)
class RowAction:
    """An entry of a row's menu."""

    key: str
    icon: ft.IconData
    on_click: Callable[[], object]


class LocalRow(ft.Container):
    """number: its place in the list, 0 is the demo. moved_from: where the file was before."""

    def __init__(
        self,
        context: ViewContext,
        row: ShelfRow,
        number: int,
        *,
        is_in_use: bool,
        moved_from: Path | None,
        on_use: Callable[[], object],
        actions: Sequence[RowAction],
    ) -> None:
        self._context = context
        self._row = row
        self._number = number
        texts = context.texts
        about: list[ft.Control] = [_name(row.model.name)]
        if sentence := about_text(row, texts):
            about.append(ft.Text(sentence, theme_style=ft.TextThemeStyle.BODY_MEDIUM))
        if problem := problem_text(row, texts):
            about.append(_sign(problem, *_problem_look(row)))
        if moved_from is not None:
            moved = context.t("library.moved", path=str(moved_from))
            about.append(_sign(moved, ft.Icons.DRIVE_FILE_MOVE_OUTLINE, ft.Colors.ON_SURFACE_VARIANT))
        about.append(self._facts(texts))
        if row.is_split:
            about.append(self._files())
        super().__init__(
            identified(
                row_layout(
                    about,
                    use_control(context, number, is_in_use, on_use, is_possible=row.model.problem is None),
                    _menu(context, number, actions),
                ),
                f"local-{number}",
            )
        )
        dress(self, is_in_use=is_in_use)

    def _facts(self, texts: Texts) -> ft.Control:
        row, context = self._row, self._context
        problem = row.model.problem
        mark = unusable_badge(context, problem) if problem is not None else fit_badge(context, row.fit)
        return ft.Row(
            [mark, muted_text(" · ".join(facts(row, texts)))],
            wrap=True,
            spacing=UNIT,
            run_spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.CENTER,
        )

    def _files(self) -> ft.Control:
        """The second level: the files of a split model, behind a button."""
        row, context = self._row, self._context
        files = ft.Column(
            [
                muted_text(f"{part.name} · {window_size(size)}")
                for part, size in zip(row.model.parts, row.part_bytes, strict=True)
            ],
            spacing=2,
            tight=True,
            visible=False,
        )
        button = ft.TextButton(context.t("library.files", n=len(row.model.parts)), icon=ft.Icons.EXPAND_MORE)

        def toggle() -> None:
            files.visible = not files.visible
            button.icon = ft.Icons.EXPAND_LESS if files.visible else ft.Icons.EXPAND_MORE
            refresh(self)

        button.on_click = context.guard(toggle)
        column = ft.Column(
            [
                identified(button, f"local-files-{self._number}"),
                ft.Container(files, padding=ft.Padding.only(left=12, bottom=4)),
            ],
            spacing=0,
            tight=True,
        )
        return ft.Container(column, margin=ft.Margin.only(left=-12))


def demo_row(context: ViewContext, *, is_in_use: bool, on_use: Callable[[], object]) -> ft.Container:
    """The built-in demo, always the first."""
    t = context.t
    about: list[ft.Control] = [
        _name(t("chat.models.demo")),
        ft.Text(t("library.demo.about"), theme_style=ft.TextThemeStyle.BODY_MEDIUM),
        muted_text(t("library.demo.facts")),
    ]
    row = ft.Container(
        identified(row_layout(about, use_control(context, 0, is_in_use, on_use, is_possible=True)), "local-0")
    )
    dress(row, is_in_use=is_in_use)
    return row


def row_layout(about: Sequence[ft.Control], *actions: ft.Control) -> ft.Control:
    """What it is on the left, what one can do on the right; below each other where there is no room."""
    return ft.ResponsiveRow(
        [
            ft.Column(list(about), spacing=6, tight=True, col={"xs": 12, "sm": 9}),
            ft.Row(list(actions), spacing=4, alignment=ft.MainAxisAlignment.END, col={"xs": 12, "sm": 3}),
        ],
        spacing=UNIT,
        run_spacing=4,
    )


def use_control(
    context: ViewContext, number: int, is_in_use: bool, on_use: Callable[[], object], *, is_possible: bool
) -> ft.Control:
    """The button, or the mark of the model that answers now."""
    if is_in_use:
        mark = ft.Row(
            [
                ft.Icon(ft.Icons.CHECK, size=18, color=ft.Colors.PRIMARY),
                ft.Text(
                    context.t("library.in_use"),
                    theme_style=ft.TextThemeStyle.LABEL_LARGE,
                    color=ft.Colors.PRIMARY,
                ),
            ],
            spacing=4,
            tight=True,
        )
        return identified(
            ft.Container(mark, padding=ft.Padding.symmetric(vertical=10, horizontal=UNIT)), f"in-use-{number}"
        )
    button = ft.FilledTonalButton(context.t("library.use"), on_click=context.guard(on_use))
    return identified(button, f"use-{number}", visible=is_possible)


def dress(container: ft.Container, *, is_in_use: bool = False) -> None:
    """The look of every row."""
    container.padding = ft.Padding(2 * UNIT, 12, UNIT, 12)
    container.border_radius = 16
    container.bgcolor = ft.Colors.SURFACE_CONTAINER_LOW
    container.border = ft.Border.all(1, ft.Colors.PRIMARY if is_in_use else ft.Colors.SURFACE_CONTAINER_LOW)


def _name(text: str) -> ft.Text:
    return ft.Text(
        text, theme_style=ft.TextThemeStyle.TITLE_MEDIUM, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS
    )


def _problem_look(row: ShelfRow) -> tuple[ft.IconData, ft.ColorValue]:
    """Something sound that is no chat model is no error."""
    if isinstance(row.model.problem, NotAChatModel):
        return ft.Icons.INFO_OUTLINE, ft.Colors.ON_SURFACE_VARIANT
    return ft.Icons.ERROR_OUTLINE, ft.Colors.ERROR


def _sign(text: str, icon: ft.IconData, color: ft.ColorValue) -> ft.Control:
    return ft.Row(
        [
            ft.Icon(icon, size=16, color=color),
            ft.Text(text, theme_style=ft.TextThemeStyle.BODY_SMALL, color=color, expand=True),
        ],
        spacing=6,
        vertical_alignment=ft.CrossAxisAlignment.START,
    )


def _menu(context: ViewContext, number: int, actions: Sequence[RowAction]) -> ft.Control:
    menu = ft.PopupMenuButton(
        icon=ft.Icons.MORE_VERT,
        tooltip=context.t("library.more"),
        items=[
            ft.PopupMenuItem(context.t(action.key), icon=action.icon, on_click=context.guard(action.on_click))
            for action in actions
        ],
    )
    return identified(menu, f"local-more-{number}")
