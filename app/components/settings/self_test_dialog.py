"""The check of this installation: its steps as they are taken, and a report to copy.

It runs in a process of its own, so that the window goes on whatever comes of it.
"""

from __future__ import annotations

import asyncio

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.basics.refresh import refresh
from app.self_test.child import SelfTest
from app.self_test.report import headline, report_text, without_private
from app.self_test.steps import STEP_NAMES, Report, State, StepEnded, StepStarted
from app.views.context import ViewContext

_WIDTH = 520
_ICON_SIZE = 20
_ICONS: dict[State, tuple[ft.IconData, ft.ColorValue]] = {
    "ok": (ft.Icons.CHECK_CIRCLE_OUTLINE, ft.Colors.PRIMARY),
    "failed": (ft.Icons.ERROR_OUTLINE, ft.Colors.ERROR),
    "skipped": (ft.Icons.REMOVE_CIRCLE_OUTLINE, ft.Colors.OUTLINE),
}


class SelfTestDialog(ft.AlertDialog):
    """Begins with `run`; closing it ends the check."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._test = SelfTest(context.texts)
        self._report: Report | None = None
        self._rows = {name: _StepRow(context, name) for name in STEP_NAMES}
        self._headline = ft.Text(context.t("self-test.under_way"), theme_style=ft.TextThemeStyle.BODY_MEDIUM)
        self._copy = ft.OutlinedButton(
            context.t("self-test.copy"),
            icon=ft.Icons.COPY,
            disabled=True,
            on_click=context.guard(self._copied),
        )
        close = ft.TextButton(context.t("self-test.close"), on_click=context.guard(self._close))
        steps = ft.Column([*self._rows.values()], spacing=UNIT, tight=True)
        super().__init__(
            title=ft.Text(context.t("self-test.check")),
            content=ft.Container(
                ft.Column(
                    [identified(self._headline, "self-test-result"), steps],
                    spacing=2 * UNIT,
                    tight=True,
                ),
                width=_WIDTH,
            ),
            scrollable=True,
            actions=[identified(self._copy, "self-test-copy"), identified(close, "self-test-close")],
            on_dismiss=context.guard(self._test.stop),
        )

    async def run(self) -> None:
        """Take all steps, and show each; the end of the program ends them, too."""
        try:
            await self._context.in_thread(self._follow)
        except asyncio.CancelledError:
            self._test.stop()
            raise

    def _follow(self) -> None:
        for event in self._test.events():
            self._context.run(self._show, event)

    def _show(self, event: StepStarted | StepEnded | Report) -> None:
        match event:
            case StepStarted():
                self._rows[event.name].begin()
            case StepEnded():
                self._rows[event.name].end(event)
            case Report():
                self._report = event
                self._headline.value = headline(event, self._context.texts)
                self._copy.disabled = False
        refresh(self)

    def _copied(self) -> None:
        if self._report is not None:
            self._context.copy(report_text(self._report, self._context.texts))

    def _close(self) -> None:
        self._test.stop()
        self._context.close_dialog(self)


class _StepRow(ft.Row):
    """One step; what was found is written below its name, with what to do where it failed."""

    def __init__(self, context: ViewContext, name: str) -> None:
        self._mark = ft.Container(width=_ICON_SIZE, height=_ICON_SIZE)
        self._about = ft.Text(visible=False, selectable=True, theme_style=ft.TextThemeStyle.BODY_SMALL)
        title = ft.Text(context.t(f"self-test.step.{name}"), theme_style=ft.TextThemeStyle.BODY_MEDIUM)
        super().__init__(
            [self._mark, ft.Column([title, self._about], spacing=2, tight=True, expand=True)],
            spacing=12,
            vertical_alignment=ft.CrossAxisAlignment.START,
        )

    def begin(self) -> None:
        """Under way."""
        self._mark.content = ft.ProgressRing(stroke_width=2)

    def end(self, step: StepEnded) -> None:
        """It ended so."""
        icon, color = _ICONS[step.state]
        self._mark.content = ft.Icon(icon, size=_ICON_SIZE, color=color)
        self._about.value = without_private(" ".join(filter(None, (step.detail, step.advice))))
        self._about.visible = True


def open_self_test(context: ViewContext) -> None:
    """Open the dialog, and begin."""
    dialog = SelfTestDialog(context)
    context.open_dialog(dialog)
    context.run(dialog.run)
