"""A conversion at work, and how it ended: what it does, how far it is, and what can be done now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.work.job_text import amount_text, error_text, job_detail
from app.models.conversion import is_adding
from app.models.jobs import Job
from app.views.context import ViewContext


class ConversionProgress(ft.Column):
    """`show` follows the job, the caller updates.

    on_edit goes back to what was chosen, the job given up; on_new begins with another source.
    """

    def __init__(
        self,
        context: ViewContext,
        *,
        on_pause: Callable[[], object],
        on_resume: Callable[[], object],
        on_cancel: Callable[[], object],
        on_edit: Callable[[], object],
        on_new: Callable[[], object],
    ) -> None:
        self._context = context
        t = context.t
        self._path: Path | None = None
        self._sign = ft.Icon(ft.Icons.SYNC, size=22, color=ft.Colors.PRIMARY)
        self._title = ft.Text(theme_style=ft.TextThemeStyle.TITLE_MEDIUM, expand=True)
        self._bar = ft.ProgressBar(value=0, border_radius=4, bar_height=8)
        self._bar_place = ft.Container(self._bar)
        self._text = ft.Text(selectable=True)
        self._said = identified(self._text, "convert-progress")  # selectable text is none for screen readers
        self._item = muted_text("", max_lines=1, overflow=ft.TextOverflow.ELLIPSIS)
        self._note = muted_text(t("convert.leave_note"))
        tonal, plain = ft.FilledTonalButton, ft.TextButton
        self._buttons = {
            name: identified(
                kind(t(key), icon=icon, on_click=context.guard(act)), f"convert-{name}", visible=False
            )
            for name, kind, key, icon, act in (
                ("chat", ft.FilledButton, "job.chat", ft.Icons.CHAT_OUTLINED, self._chat),
                ("again", ft.FilledButton, "jobs.again", ft.Icons.REFRESH, on_resume),
                ("resume", ft.FilledButton, "strip.resume", ft.Icons.PLAY_ARROW, on_resume),
                ("pause", tonal, "strip.pause", ft.Icons.PAUSE, on_pause),
                ("show", tonal, "convert.show", ft.Icons.STORAGE, context.open_models),
                ("edit", tonal, "convert.edit", ft.Icons.EDIT_OUTLINED, on_edit),
                ("cancel", plain, "gui.cancel", ft.Icons.CLOSE, on_cancel),
                ("new", plain, "convert.new", ft.Icons.ADD, on_new),
            )
        }
        super().__init__(
            [
                ft.Row([self._sign, self._title], spacing=12),
                self._bar_place,
                self._said,
                self._item,
                ft.Row(list(self._buttons.values()), spacing=UNIT, run_spacing=UNIT, wrap=True),
                self._note,
            ],
            spacing=12,
            tight=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def show(self, job: Job) -> None:
        """Show the job as it is now."""
        t = self._context.t
        state = job.state
        is_done, is_failed = state == "done", state == "failed"
        self._path = job.done.path if job.done is not None else None
        key = "adding" if is_adding(job) and state == "running" else state
        self._title.value = t(f"convert.title_{key}", name=job.title)
        self._sign.icon, self._sign.color = _sign(state)
        self._bar_place.visible = not is_done
        self._bar.value = job.share if job.share is not None or not job.is_active else None
        self._bar.color = ft.Colors.ERROR if is_failed else None
        failure = error_text(job.error, self._context.texts) if job.error is not None else None
        self._text.value = failure or (
            t("convert.added" if is_adding(job) else "convert.done", path=self._path)
            if is_done
            else job_detail(job, self._context.texts)
        )
        self._text.color = ft.Colors.ERROR if is_failed else None
        self._said.label = self._text.value
        item = job.progress.item if job.progress is not None else ""
        self._item.value = amount_text(job, self._context.texts, item)
        self._item.visible = job.is_active  # also while it is empty, so that nothing below it moves
        self._note.visible = job.is_active and not job.is_stopping
        shown = {
            "chat": is_done,
            "show": is_done,
            "new": True,
            "again": is_failed,
            "edit": is_failed,
            "resume": state == "paused",
            "pause": job.is_active and not job.is_stopping,
            "cancel": state in ("queued", "running", "paused", "failed"),
        }
        for each, is_shown in shown.items():
            self._buttons[each].visible = is_shown

    def _chat(self) -> None:
        if self._path is not None:
            self._context.use_model(self._path)


def _sign(state: str) -> tuple[ft.IconData, ft.ColorValue]:
    match state:
        case "done":
            return ft.Icons.CHECK_CIRCLE_OUTLINE, ft.Colors.PRIMARY
        case "failed":
            return ft.Icons.ERROR_OUTLINE, ft.Colors.ERROR
        case "paused":
            return ft.Icons.PAUSE_CIRCLE_OUTLINE, ft.Colors.ON_SURFACE_VARIANT
        case _:
            return ft.Icons.SYNC, ft.Colors.PRIMARY
