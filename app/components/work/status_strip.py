"""The strip below every screen while there is long work: what is done, how far it is, pause and cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import flet as ft

from app.components.basics.dialogs import ask_confirmation
from app.components.basics.identified import identified
from app.components.basics.look import UNIT
from app.components.work.job_text import job_text, short_text
from app.models.jobs import Job
from app.views.context import ViewContext

_ORDER = ("running", "queued", "failed", "paused")


class StatusStrip(ft.Container):
    """Shows the most interesting job and how many others there are; hidden when there is none."""

    def __init__(self, context: ViewContext, on_open: Callable[[], object]) -> None:
        self._context = context
        self._job: Job | None = None
        t = context.t
        self._text = ft.Text(
            theme_style=ft.TextThemeStyle.BODY_SMALL,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
            expand=True,
        )
        self._others = ft.Text(theme_style=ft.TextThemeStyle.LABEL_MEDIUM, color=ft.Colors.ON_SURFACE_VARIANT)
        self._node = identified(self._text, "strip", "", exclude_semantics=True, expand=True)
        self._bar = ft.ProgressBar(height=2, bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST)
        self._pause = self._button("strip.pause", ft.Icons.PAUSE, self._pause_job, "strip-pause")
        self._resume = self._button("strip.resume", ft.Icons.PLAY_ARROW, self._resume_job, "strip-resume")
        self._again = self._button("jobs.again", ft.Icons.REFRESH, self._resume_job, "strip-again")
        self._cancel = self._button("strip.cancel", ft.Icons.CLOSE, self._ask_cancel, "strip-cancel")
        row = ft.Row(
            [
                ft.Container(
                    ft.Row([self._node, self._others], spacing=UNIT),
                    on_click=context.guard(on_open),
                    tooltip=t("strip.open"),
                    ink=True,
                    expand=True,
                    border_radius=UNIT,
                    padding=ft.Padding.symmetric(horizontal=UNIT, vertical=6),
                ),
                self._pause,
                self._resume,
                self._again,
                self._cancel,
            ],
            spacing=0,
        )
        super().__init__(
            ft.Column([self._bar, ft.Container(row, padding=ft.Padding(UNIT, 0, UNIT, 2))], spacing=0),
            bgcolor=ft.Colors.SURFACE_CONTAINER,
            visible=False,
        )

    def show(self, jobs: Iterable[Job]) -> None:
        """Show these jobs; finished ones are none of the strip's business. The caller updates."""
        open_jobs = sorted((job for job in jobs if job.state in _ORDER), key=_importance)
        self._job = open_jobs[0] if open_jobs else None
        self.visible = self._job is not None
        if self._job is not None:
            self._show_job(self._job, len(open_jobs) - 1)

    def _show_job(self, job: Job, n_others: int) -> None:
        text = job_text(job, self._context.texts)
        self._node.label = text
        self._text.value = short_text(job, self._context.texts) if self._context.is_narrow else text
        self._others.value = self._context.t("strip.more", n=n_others) if n_others else ""
        is_at_work = job.state == "running" and not job.is_stopping
        is_failed = job.state == "failed"
        self._bar.value = job.share if job.share is not None else (None if is_at_work else float(is_failed))
        self._bar.color = ft.Colors.ERROR if is_failed else ft.Colors.PRIMARY
        self._pause.visible = job.is_active and not job.is_stopping
        self._resume.visible = job.state == "paused"
        self._again.visible = is_failed

    async def _pause_job(self) -> None:
        if self._job is not None:
            await self._context.in_thread(self._context.models.jobs.pause, self._job.id)

    async def _resume_job(self) -> None:
        if self._job is not None:
            await self._context.in_thread(self._context.models.jobs.resume, self._job.id)

    def _ask_cancel(self) -> None:
        if self._job is not None:
            ask_cancel(self._context, self._job)

    def _button(
        self, key: str, icon: ft.IconData, on_click: Callable[[], object], identifier: str
    ) -> ft.Semantics:
        button = ft.IconButton(
            icon, icon_size=18, tooltip=self._context.t(key), on_click=self._context.guard(on_click)
        )
        return identified(button, identifier)


def ask_cancel(context: ViewContext, job: Job) -> None:
    """Cancel a job; asks first where something would be lost."""

    async def cancel() -> None:
        await context.in_thread(context.models.jobs.cancel, job.id)

    if not job.record.done_bytes:
        context.run(cancel)
        return
    t, kind = context.t, "" if job.is_active else "_stopped"
    ask_confirmation(
        context,
        t("strip.cancel_title", title=job.title),
        t(f"strip.cancel_text{kind}"),
        t("strip.cancel_action"),
        cancel,
        keep=t(f"strip.cancel_keep{kind}"),
    )


def _importance(job: Job) -> tuple[int, float]:
    return _ORDER.index(job.state), job.record.created_s
