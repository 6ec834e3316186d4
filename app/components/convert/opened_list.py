"""Several sources that were opened together: what each is and how far, and one button to begin them all."""

from __future__ import annotations

from collections.abc import Callable

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, muted_text
from app.components.basics.refresh import refresh
from app.components.work.job_text import ending_text, error_text, job_detail
from app.models.conversion import Draft
from app.models.import_look import look_at_import
from app.models.inspection import GgufFacts, Inspection, inspect
from app.models.jobs import Job
from app.models.next_machine import machine_for_next
from app.models.opened import Drafts, ready_wish
from app.views.context import ViewContext


class OpenedList(ft.Column):
    """on_choose is given the draft to see; on_change is called when work began, or a draft was taken off.

    `show` draws the drafts as they are, the caller updates; `load` looks at those that nobody looked at yet.
    """

    def __init__(
        self,
        context: ViewContext,
        drafts: Drafts,
        on_choose: Callable[[Draft], object],
        on_change: Callable[[], object],
    ) -> None:
        self._context = context
        self._drafts = drafts
        self._on_choose = on_choose
        self._on_change = on_change
        self._is_looking = self._wants_look = False
        self._here: set[int] = set()  # of drafts whose model is here already
        self._add = ft.FilledTonalButton(icon=ft.Icons.PLAYLIST_ADD, on_click=context.guard(self._add_all))
        self._add_place = ft.Container(
            ft.Row([identified(self._add, "opened-add")]), padding=ft.Padding.only(top=UNIT)
        )
        super().__init__(spacing=4, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH)

    def show(self) -> None:
        """Every source in a row; the button while there is something that can begin."""
        drafts = self._drafts.all
        n_ready = sum(map(self._is_ready, drafts))
        self._add.content = self._context.t("opened.add_all", n=n_ready)
        self._add_place.visible = n_ready > 0
        self.controls = [*(self._row(number, draft) for number, draft in enumerate(drafts)), self._add_place]

    async def load(self) -> None:
        """One after another; the one that is seen is looked at by its own screen."""
        self._wants_look = True
        if self._is_looking or not self._drafts.are_several:
            return
        self._is_looking = True
        try:
            while self._wants_look:
                self._wants_look = False
                for draft in self._drafts.all:
                    await self._look(draft)
                    self.show()
                    refresh(self)
        finally:
            self._is_looking = False

    def on_job(self, job: Job) -> None:
        """Follow a job, if it is one of these."""
        if any(draft.job_id == job.id for draft in self._drafts.all):
            self.show()
            refresh(self)

    async def _look(self, draft: Draft) -> None:
        models, state, given = self._context.models, self._context.service.state, draft.given
        if given is None:
            return
        if draft.inspection is None and draft is not self._drafts.current and self._job(draft) is None:
            found = await self._context.in_thread(inspect, given, lambda: machine_for_next(models, state))
            if draft.given is given:
                draft.inspection = found
        if isinstance(draft.facts, GgufFacts):
            look = await self._context.in_thread(look_at_import, draft.facts.path, models.library)
            (self._here.add if look.is_known else self._here.discard)(id(draft))

    def _row(self, number: int, draft: Draft) -> ft.Control:
        context, path = self._context, draft.path
        is_current = draft is self._drafts.current
        name = ft.Text(path.name if path is not None else "", max_lines=2, overflow=ft.TextOverflow.ELLIPSIS)
        if is_current:
            name.weight = ft.FontWeight.W_600
        icon, colour, words = self._state(draft)
        remove = ft.IconButton(
            ft.Icons.CLOSE,
            icon_size=18,
            tooltip=context.t("opened.remove"),
            on_click=context.guard(lambda: self._remove(draft)),
        )
        texts = ft.Column([name, muted_text(words)], spacing=2, tight=True, expand=True)
        place = ft.Container(
            ft.Row([ft.Icon(icon, size=20, color=colour), texts], spacing=12),
            on_click=context.guard(lambda: self._on_choose(draft)),
            padding=ft.Padding.symmetric(horizontal=12, vertical=UNIT),
            border_radius=12,
            bgcolor=ft.Colors.SECONDARY_CONTAINER if is_current else None,
        )
        choice = identified(place, f"opened-{number}", button=True, selected=is_current, expand=True)
        return ft.Row([choice, identified(remove, f"opened-remove-{number}")], spacing=4)

    def _state(self, draft: Draft) -> tuple[ft.IconData, ft.ColorValue, str]:
        texts, job, found = self._context.texts, self._job(draft), draft.inspection
        if job is not None:
            words = ending_text(job, texts) or job_detail(job, texts)
            if job.state == "failed":
                return ft.Icons.ERROR_OUTLINE, ft.Colors.ERROR, words
            is_done = job.state == "done"
            return ft.Icons.CHECK_CIRCLE_OUTLINE if is_done else ft.Icons.SYNC, ft.Colors.PRIMARY, words
        if found is not None and found.refusal is not None:
            return ft.Icons.ERROR_OUTLINE, ft.Colors.ERROR, error_text(found.refusal, texts)
        if id(draft) in self._here:
            return ft.Icons.CHECK_CIRCLE_OUTLINE, ft.Colors.PRIMARY, texts.text("library.import.known")
        is_missing = found is not None and found.facts is None
        icon = ft.Icons.HELP_OUTLINE if is_missing else ft.Icons.INSERT_DRIVE_FILE_OUTLINED
        return icon, ft.Colors.ON_SURFACE_VARIANT, texts.text(f"opened.{_outlook(found)}")

    def _is_ready(self, draft: Draft) -> bool:
        return draft.facts is not None and self._job(draft) is None and id(draft) not in self._here

    def _job(self, draft: Draft) -> Job | None:
        return self._context.models.jobs.find(draft.job_id) if draft.job_id is not None else None

    def _remove(self, draft: Draft) -> None:
        self._drafts.remove(draft)
        self._on_change()

    async def _add_all(self) -> None:
        context = self._context
        self._add_place.visible = False  # once is enough
        refresh(self._add_place)
        for draft in [draft for draft in self._drafts.all if self._is_ready(draft)]:
            wish = await context.in_thread(ready_wish, draft, context.models)
            if wish is not None and self._job(draft) is None:
                draft.job_id = await context.in_thread(context.models.import_path, wish)
        self._on_change()


def _outlook(found: Inspection | None) -> str:
    """What can become of a source that is not refused; the end of a text's key."""
    if found is None:
        return "looking"
    if found.facts is None:
        return "needs"
    return "add" if isinstance(found.facts, GgufFacts) else "convert"
