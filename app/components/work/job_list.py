"""Long work on models: a card for each job, with how far it is and what can be done about it.

A job's card is changed in place, five times a second while it works; the list only when jobs come and go.
"""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.work.job_text import amount_text, ending_text, job_detail
from app.components.work.status_strip import ask_cancel
from app.models.errands import Errand, Get, Import, Verify
from app.models.events import JobChanged, ModelEvent
from app.models.jobs import Job
from app.views.context import ViewContext

_ICONS: dict[type[Errand], ft.IconData] = {
    Get: ft.Icons.DOWNLOAD,
    Import: ft.Icons.DRIVE_FOLDER_UPLOAD_OUTLINED,
    Verify: ft.Icons.VERIFIED_OUTLINED,
}


class JobList(ft.Column):
    """Every unfinished job and those that ended in this run, oldest first; hidden when there is none."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._cards: dict[str, JobCard] = {}
        super().__init__(spacing=UNIT, visible=False, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)
        self.show()

    def show(self) -> None:
        """Show the jobs as they are now; the caller updates."""
        jobs = {job.id: job for job in self._context.models.jobs.all}
        self._cards = {id: card for id, card in self._cards.items() if id in jobs}
        for number, job in enumerate(jobs.values()):
            card = self._cards.get(job.id)
            if card is None or card.number != number:
                self._cards[job.id] = JobCard(self._context, job, number)
            else:
                card.show(job)
        self.controls = [self._cards[id] for id in jobs]
        self.visible = bool(jobs)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if not isinstance(event, JobChanged):
            return
        card = self._cards.get(event.job.id)
        if card is None or event.job.state == "removed":
            self.show()
            refresh(self)
        else:
            # What is told may be older than what is shown, so that the job itself is asked.
            card.show(self._context.models.jobs.find(event.job.id) or event.job)
            refresh(card)


class JobCard(ft.Container):
    """One job. number: its place in the list."""

    def __init__(self, context: ViewContext, job: Job, number: int) -> None:
        self.number = number
        self._context = context
        self._job = job
        t = context.t
        self._title = ft.Text(
            theme_style=ft.TextThemeStyle.TITLE_SMALL,
            max_lines=2,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        self._sentence = ft.Text(theme_style=ft.TextThemeStyle.BODY_SMALL)
        self._amount = muted_text("", max_lines=1, overflow=ft.TextOverflow.ELLIPSIS)
        self._icon = ft.Icon(_ICONS[type(job.errand)], size=20)
        self._bar = ft.ProgressBar(height=4, border_radius=2, bgcolor=ft.Colors.SURFACE_CONTAINER_HIGHEST)
        # A bar that comes and goes in the tree of names costs the node around it its identifier.
        self._bar_place = ft.Container(
            ft.Semantics(content=self._bar, exclude_semantics=True), padding=ft.Padding.only(right=UNIT)
        )
        self._pause = self._icon_button("strip.pause", ft.Icons.PAUSE, self._pause_job, "job-pause")
        self._resume = self._icon_button("strip.resume", ft.Icons.PLAY_ARROW, self._resume_job, "job-resume")
        self._cancel = self._icon_button("strip.cancel", ft.Icons.CLOSE, self._cancel_job, "job-cancel")
        self._dismiss = self._icon_button("jobs.dismiss", ft.Icons.CLOSE, self._dismiss_job, "job-dismiss")
        self._again = self._button(
            ft.TextButton(t("jobs.again"), icon=ft.Icons.REFRESH), self._resume_job, "job-again"
        )
        self._use = self._button(
            ft.FilledTonalButton(t("job.chat"), icon=ft.Icons.CHAT_OUTLINED), self._use_model, "job-use"
        )
        self._actions = ft.Row([self._again, self._use], alignment=ft.MainAxisAlignment.END, spacing=UNIT)
        super().__init__(
            identified(self._content(), f"job-{number}"),
            padding=ft.Padding(2 * UNIT, 12, UNIT, 12),
            border_radius=16,
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
        )
        self.show(job)

    def show(self, job: Job) -> None:
        """Show the job as it is now; the caller updates."""
        self._job = job
        texts = self._context.texts
        ending = ending_text(job, texts)
        self._title.value = job.title
        self._sentence.value = ending or job_detail(job, texts)
        is_failed, is_done = job.state == "failed", job.state == "done"
        self._sentence.color = ft.Colors.ERROR if is_failed else ft.Colors.ON_SURFACE_VARIANT
        self._sentence.max_lines = None if ending else 3
        self._amount.value = amount_text(job, texts)
        self._icon.icon = (
            ft.Icons.ERROR_OUTLINE
            if is_failed
            else ft.Icons.CHECK_CIRCLE_OUTLINE
            if is_done
            else _ICONS[type(job.errand)]
        )
        self._icon.color = ft.Colors.ERROR if is_failed else ft.Colors.PRIMARY
        is_at_work = job.state == "running" and not job.is_stopping
        self._amount.visible = is_at_work  # also while it is empty, so that nothing below it moves
        self._bar_place.visible = not is_done and not is_failed
        self._bar.value = job.share if job.share is not None else (None if is_at_work else 0)
        self._pause.visible = job.is_active and not job.is_stopping
        self._resume.visible = job.state == "paused"
        self._cancel.visible = not is_done and not job.is_stopping
        self._dismiss.visible = is_done
        self._again.visible = is_failed
        self._use.visible = is_done and job.done is not None and not isinstance(job.errand, Verify)
        self._actions.visible = is_failed or bool(self._use.visible)

    def _content(self) -> ft.Control:
        texts = ft.Column([self._title, self._sentence], spacing=2, tight=True, expand=True)
        buttons = ft.Row([self._pause, self._resume, self._cancel, self._dismiss], spacing=0, tight=True)
        return ft.Column(
            [
                ft.Row([self._icon, texts, buttons], spacing=12),
                self._bar_place,
                self._amount,
                self._actions,
            ],
            spacing=UNIT,
            tight=True,
        )

    def _icon_button(
        self, key: str, icon: ft.IconData, on_click: Callable[[], object], name: str
    ) -> ft.Semantics:
        return self._button(ft.IconButton(icon, icon_size=20, tooltip=self._context.t(key)), on_click, name)

    def _button(
        self,
        button: ft.IconButton | ft.TextButton | ft.FilledTonalButton,
        on_click: Callable[[], object],
        name: str,
    ) -> ft.Semantics:
        button.on_click = self._context.guard(on_click)
        return identified(button, f"{name}-{self.number}")

    async def _pause_job(self) -> None:
        await self._context.in_thread(self._context.models.jobs.pause, self._job.id)

    async def _resume_job(self) -> None:
        await self._context.in_thread(self._context.models.jobs.resume, self._job.id)

    def _cancel_job(self) -> None:
        ask_cancel(self._context, self._job)

    async def _dismiss_job(self) -> None:
        await self._context.in_thread(self._context.models.jobs.cancel, self._job.id)

    def _use_model(self) -> None:
        if self._job.done is not None:
            self._context.use_model(self._job.done.path)
