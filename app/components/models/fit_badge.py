"""Whether a model runs on this machine: a small coloured mark, with the numbers in its tooltip."""

from __future__ import annotations

import flet as ft

from app.components.basics.look import UNIT
from app.models.fit_texts import fit_sentence, fit_word
from app.models.problem_kinds import problem_kind
from app.views.context import ViewContext
from engine.errors import EngineError
from engine.models.fit import Fit, Verdict

__all__ = ["badge", "fit_badge", "fit_sentence", "unusable_badge"]

_LOOKS: dict[Verdict, tuple[ft.IconData, ft.ColorValue, ft.ColorValue]] = {
    Verdict.WELL: (
        ft.Icons.CHECK_CIRCLE_OUTLINE,
        ft.Colors.PRIMARY_CONTAINER,
        ft.Colors.ON_PRIMARY_CONTAINER,
    ),
    Verdict.SLOWLY: (
        ft.Icons.HOURGLASS_BOTTOM,
        ft.Colors.TERTIARY_CONTAINER,
        ft.Colors.ON_TERTIARY_CONTAINER,
    ),
    Verdict.NO: (ft.Icons.BLOCK, ft.Colors.ERROR_CONTAINER, ft.Colors.ON_ERROR_CONTAINER),
}
_UNKNOWN = (ft.Icons.HELP_OUTLINE, ft.Colors.SURFACE_CONTAINER_HIGHEST, ft.Colors.ON_SURFACE_VARIANT)


def fit_badge(context: ViewContext, fit: Fit | None) -> ft.Control:
    """The verdict in two words; None is "not known"."""
    icon, background, foreground = _LOOKS[fit.verdict] if fit is not None else _UNKNOWN
    return badge(fit_word(fit, context.texts), icon, background, foreground, fit_sentence(fit, context.texts))


def unusable_badge(context: ViewContext, problem: EngineError) -> ft.Control:
    """Why the file can't be used, in two or three words; of a sound one, without alarm."""
    kind = problem_kind(problem)
    text = context.t(f"library.problem.{kind}")
    if kind == "other_kind":
        return badge(text, ft.Icons.BLOCK, *_UNKNOWN[1:])
    return badge(
        text, ft.Icons.BROKEN_IMAGE_OUTLINED, ft.Colors.ERROR_CONTAINER, ft.Colors.ON_ERROR_CONTAINER
    )


def badge(
    text: str,
    icon: ft.IconData,
    background: ft.ColorValue,
    foreground: ft.ColorValue,
    tooltip: str | None = None,
) -> ft.Container:
    """A small mark of one or two words."""
    return ft.Container(
        ft.Row(
            [
                ft.Icon(icon, size=14, color=foreground),
                ft.Text(text, theme_style=ft.TextThemeStyle.LABEL_MEDIUM, color=foreground),
            ],
            spacing=4,
            tight=True,
        ),
        bgcolor=background,
        border_radius=UNIT,
        padding=ft.Padding.symmetric(horizontal=UNIT, vertical=3),
        tooltip=tooltip,
    )
