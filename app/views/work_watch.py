"""Long work as a page follows it: the strip below the screens, and a word at the end of each job."""

from __future__ import annotations

from collections.abc import Callable

from app.components.basics.refresh import refresh
from app.components.work.job_text import ending_text
from app.components.work.status_strip import StatusStrip
from app.models.errands import Verify
from app.models.events import JobChanged, ModelEvent
from app.models.jobs import Job
from app.views.context import APP_TITLE, ViewContext


class WorkWatch:
    """One per page and language; everything runs on the page's event loop.

    is_seen: whether the open screen shows by itself how a job ended.
    """

    def __init__(self, context: ViewContext, is_seen: Callable[[Job], bool]) -> None:
        self._context = context
        self._is_seen = is_seen
        self._told: set[str] = set()
        self.strip = StatusStrip(context, context.open_models)
        self.strip.show(context.models.jobs.all)

    def show(self) -> None:
        """Show the work as it is now; once after one began to listen, for what happened before."""
        self.strip.show(self._context.models.jobs.all)
        refresh(self.strip)

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if not isinstance(event, JobChanged):
            return
        self.show()
        if event.job.is_active:
            self._told.discard(event.job.id)
        elif event.job.id not in self._told:
            self._tell_ending(event.job)

    def _tell_ending(self, job: Job) -> None:
        text = ending_text(job, self._context.texts)
        if text is not None:
            self._told.add(job.id)
            self._context.run(self._tell, job, text)

    async def _tell(self, job: Job, text: str) -> None:
        """Say it to a person who looks; until then the name of the tab or window says it."""
        context, t, page = self._context, self._context.t, self._context.page
        if not page.app_visible:
            context.show_title(f"● {text}")
            await page.wait_until_visible()
            context.show_title(APP_TITLE)
        if self._is_seen(job):
            return
        if job.done is not None and not isinstance(job.errand, Verify):
            path = job.done.path
            context.notify(text, t("job.chat"), lambda: context.use_model(path))
        else:
            context.notify(text, t("job.show"), context.open_models)
