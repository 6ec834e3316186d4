"""The list of models to choose from: the built-in demo and what is on this disk; and the way to more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import DIALOG_INSET, UNIT, muted_text
from app.components.models.fit_badge import fit_badge, unusable_badge
from app.i18n import window_size
from app.models.candidates import Candidate, read_candidates
from app.models.in_use import chosen_model
from app.views.context import ModelsSection, ViewContext
from engine.prompt import BASE

if TYPE_CHECKING:
    from app.chat.choices import ModelChoice

_WIDTH = 480


async def choose_model(context: ViewContext) -> None:
    """Ask which model is to answer; loading begins at once and in the background."""
    candidates = await context.in_thread(read_candidates, context.service, context.models)
    current = await context.in_thread(chosen_model, context.service)

    async def choose(choice: ModelChoice) -> None:
        context.close_dialog(dialog)
        await context.in_thread(context.service.choose_model, choice.key)

    tiles = [
        identified(_tile(context, candidate, current, choose), f"model-{index}")
        for index, candidate in enumerate(candidates)
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
    candidate: Candidate,
    current: ModelChoice,
    choose: Callable[[ModelChoice], object],
) -> ft.Control:
    choice = candidate.choice
    is_current = (current.key, current.path) == (choice.key, choice.path)
    name = context.t("chat.models.demo") if choice.is_demo else choice.name
    icon = ft.Icons.RADIO_BUTTON_CHECKED if is_current else ft.Icons.RADIO_BUTTON_UNCHECKED
    return ft.ListTile(
        leading=ft.Icon(icon if candidate.is_usable else ft.Icons.BLOCK),
        title=ft.Text(name, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS),
        subtitle=_about(context, candidate),
        selected=is_current,
        content_padding=ft.Padding.symmetric(horizontal=UNIT),
        on_click=context.guard(lambda: choose(choice)) if candidate.is_usable else None,
    )


def _about(context: ViewContext, candidate: Candidate) -> ft.Control | None:
    """How it does on this machine and its size; of one that can't be used, also why."""
    choice, row = candidate.choice, candidate.row
    if choice.is_demo:
        return _line(context.t("chat.models.demo_about"))
    size = window_size(choice.size_bytes) if choice.size_bytes is not None else ""
    if row is None:
        return _line(size) if size else None
    problem = row.model.problem
    mark = fit_badge(context, row.fit) if problem is None else unusable_badge(context, problem)
    facts = ft.Row(
        [mark, muted_text(size)],
        wrap=True,
        spacing=UNIT,
        run_spacing=4,
        vertical_alignment=ft.CrossAxisAlignment.CENTER,
    )
    lines: list[ft.Control] = [facts]
    if problem is not None:
        lines.append(muted_text(context.texts.error(problem)))
    elif row.model.prompt_format == BASE.name:
        lines.append(muted_text(context.t("library.prompt.base.about")))
    return ft.Container(ft.Column(lines, spacing=4, tight=True), padding=ft.Padding.only(top=4))


def _line(text: str) -> ft.Control:
    return ft.Text(text, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS)


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
