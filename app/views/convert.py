"""The conversion screen: from a checkpoint on this disk to a model in the library.

One column of steps, each there as soon as the one before is answered: the source, what it is, what is
missing, what it becomes. While a conversion is at work, and at its end, that takes their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import UNIT, centred, muted_text
from app.components.basics.refresh import refresh
from app.components.basics.source_field import SourceField
from app.components.convert.conversion_choices import ConversionChoices
from app.components.convert.conversion_progress import ConversionProgress
from app.components.convert.gguf_choices import GgufChoices
from app.components.convert.need_card import NeedCard
from app.components.convert.opened_list import OpenedList
from app.components.convert.recognised import recognised_card
from app.components.convert.unfinished_line import unfinished_line
from app.components.settings.settings_section import section
from app.components.work.job_text import error_text
from app.components.work.status_strip import ask_cancel
from app.models.conversion import Draft, draft_of, find_conversion, is_adding
from app.models.events import JobChanged, LibraryChanged, ModelEvent
from app.models.inspection import (
    CheckpointFacts,
    GgufFacts,
    Inspection,
    Need,
    NeedKind,
    inspect,
    keep_choices,
)
from app.models.jobs import Job
from app.models.next_machine import machine_for_next
from app.models.opened import Drafts
from app.views.context import ViewContext

_WIDTH = 860
_ANSWERS: dict[NeedKind, str] = {
    "base": "base",
    "choice": "file",
    "key": "key",
    "config": "tokenizer",
    "tokenizer": "tokenizer",
}


class ConvertView(ft.Container):
    """drafts: what it puts together. They outlive the screen, and can be gone through in any order."""

    def __init__(self, context: ViewContext, drafts: Drafts) -> None:
        self._context = context
        self._drafts = drafts
        self._n_looks = 0
        self._shows_work = False
        self._needs: dict[NeedKind, NeedCard] = {}
        self._choices: ConversionChoices | GgufChoices | None = None
        self._other: Job | None = None  # unfinished, of the same source
        self._source = SourceField(
            context,
            "source",
            context.t("convert.source"),
            self._take,
            value=self.draft.path,
            hint=context.t("convert.source_hint"),
        )
        self._looking = ft.ProgressBar(visible=False, border_radius=4)
        self._progress = ConversionProgress(
            context,
            on_pause=self._pause,
            on_resume=self._resume,
            on_cancel=self._cancel,
            on_edit=self._cancel,  # what was chosen is there again, once the job is gone
            on_new=self._begin_anew,
        )
        self._opened = OpenedList(context, drafts, self._choose_draft, self._drafts_changed)
        self._steps = ft.Column()
        self._place = ft.Container(expand=True)
        super().__init__(
            ft.Column([self._header(), self._place], spacing=0), expand=True, bgcolor=ft.Colors.SURFACE
        )
        self._fill()

    @property
    def draft(self) -> Draft:
        """The conversion that is to be seen."""
        return self._drafts.current

    async def load(self) -> None:
        """Look at the source; while none is chosen, find the conversion that is at work."""
        self._context.run(self._opened.load)
        if self._job() is None and self.draft.path is None:
            job = await self._find_unfinished(None)
            if job is not None and self.draft.path is None:
                await self._adopt(job)
        if self._job() is not None:
            self._show()
        elif self.draft.given is not None and self.draft.inspection is None:
            await self._look()
        else:
            self._show()
            await self._check()

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the jobs, and the names that are taken."""
        if isinstance(event, JobChanged):
            self._opened.on_job(event.job)
        if isinstance(event, LibraryChanged):
            self._context.run(self._check)
        elif isinstance(event, JobChanged) and event.job.id == self.draft.job_id:
            if event.job.state == "removed":
                self.draft.job_id = None
                self._context.run(self.load_form)
            else:
                self._progress.show(event.job)
                refresh(self._progress)
        elif isinstance(event, JobChanged) and event.job.state == "removed":
            self._context.run(self._check)  # it may be the one that is told of

    async def load_form(self) -> None:
        """Show the steps again, the source looked at anew: it may have changed meanwhile."""
        if self.draft.given is not None:
            await self._look()
        else:
            self._show()

    # The steps

    def _header(self) -> ft.Control:
        t = self._context.t
        menu = ft.IconButton(
            ft.Icons.MENU,
            tooltip=t("gui.menu"),
            on_click=self._context.guard(self._context.toggle_sidebar),
        )
        title = ft.Text(t("convert.title"), theme_style=ft.TextThemeStyle.TITLE_LARGE)
        return ft.Container(
            ft.Row([identified(menu, "menu"), identified(title, "convert-title", expand=True)], spacing=UNIT),
            padding=ft.Padding.symmetric(horizontal=UNIT, vertical=UNIT),
        )

    def _fill(self) -> None:
        """Put together what is to be seen now."""
        job = self._job()
        if (job is not None) != self._shows_work or self._place.content is None:
            self._shows_work = job is not None
            self._place.content = self._scrolling()
        if job is not None:
            self._progress.show(job)
            title = self._context.t("convert.step.add" if is_adding(job) else "convert.step.work")
            self._steps.controls = [section(title, [self._progress])]
        else:
            self._fill_form()
        if self._drafts.are_several:
            self._opened.show()
            self._steps.controls.insert(0, section(self._context.t("opened.title"), [self._opened]))

    def _scrolling(self) -> ft.Control:
        """A new column for the steps: in the old one a screen reader would keep its place, now far below."""
        self._steps = ft.Column(
            spacing=3 * UNIT, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH
        )
        return ft.Column(
            [centred(self._steps, _WIDTH, ft.Padding(2 * UNIT, UNIT, 2 * UNIT, 4 * UNIT))],
            scroll=ft.ScrollMode.AUTO,
            expand=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )

    def _fill_form(self) -> None:
        inspection = self.draft.inspection
        refusal = inspection.refusal if inspection is not None else None
        self._source.show_problem(error_text(refusal, self._context.texts) if refusal else None)
        t = self._context.t
        steps = [section(t("convert.step.source"), self._source_rows())]
        other = self._other
        if other is not None:
            steps.append(unfinished_line(self._context, lambda: self._show_other(other)))
        if inspection is not None:
            if inspection.needs:
                steps.append(section(t("convert.step.needs"), self._need_cards(inspection)))
            if inspection.facts is not None:
                card = recognised_card(self._context, inspection.given, inspection.facts)
                steps.append(section(t("convert.step.recognised"), [card]))
            if self._choices is not None:
                key = "become" if isinstance(self._choices, ConversionChoices) else "add"
                steps.append(section(t(f"convert.step.{key}"), [self._choices]))
        self._steps.controls = steps

    def _source_rows(self) -> list[ft.Control]:
        field = ft.Column([self._source, ft.Container(self._looking, height=4)], spacing=UNIT, tight=True)
        return [muted_text(self._context.t("convert.about")), field]

    def _need_cards(self, inspection: Inspection) -> list[ft.Control]:
        cards: dict[NeedKind, NeedCard] = {}
        for need in inspection.needs:
            card = self._needs.get(need.kind) or self._need_card(need)
            card.show(need)
            cards[need.kind] = card
        self._needs = cards
        return list(cards.values())

    def _need_card(self, need: Need) -> NeedCard:
        field = _ANSWERS.get(need.kind)
        value = getattr(self.draft.given, field) if field is not None else None
        return NeedCard(
            self._context,
            need,
            value,
            on_path=lambda path: self._answer(need.kind, path),
            on_choice=lambda name: self._answer(need.kind, name),
            on_again=self._look,
        )

    def _show(self) -> None:
        self._fill()
        refresh(self._place)

    # What a person does

    def _take(self, path: Path | None) -> None:
        """Another source."""
        self.draft.take(path)
        self._forget_steps()
        if path is None:
            self._show()
        else:
            self._context.run(self.load)

    def _answer(self, kind: NeedKind, value: Path | str | None) -> None:
        if self.draft.given is not None:
            changes: dict[str, Any] = {_ANSWERS[kind]: value}
            self.draft.given = replace(self.draft.given, **changes)
            self._context.run(self._look)

    async def _look(self) -> None:
        """Inspect the source with what is known of it; only the last look counts."""
        given = self.draft.given
        if given is None:
            self._show()
            return
        self._n_looks += 1
        n_looks = self._n_looks
        self._looking.visible = True
        refresh(self._looking)
        state = self._context.service.state
        found = await self._context.in_thread(
            inspect, given, lambda: machine_for_next(self._context.models, state)
        )
        other = await self._find_unfinished(given.path)
        if n_looks != self._n_looks:
            return
        self._looking.visible = False
        self.draft.inspection = keep_choices(found, self.draft.inspection)
        self._choices, self._other = self._make_choices(), other
        self._show()
        await self._check()
        await self._opened.load()

    def _make_choices(self) -> ConversionChoices | GgufChoices | None:
        facts = self.draft.facts
        if isinstance(facts, GgufFacts):
            return GgufChoices(self._context, self.draft, facts, self._start)
        if isinstance(facts, CheckpointFacts):
            return ConversionChoices(self._context, self.draft, facts, self._start)
        return None

    async def _check(self) -> None:
        await self._follow_other()
        if self._choices is None and self.draft.facts is not None:
            self._choices = self._make_choices()
            self._show()
        if self._choices is not None and self._job() is None:
            await self._choices.check()

    async def _follow_other(self) -> None:
        """Tell of other work on this source only as long as there is any."""
        path, before = self.draft.path, self._other
        if path is None or self._job() is not None:
            return
        other = await self._find_unfinished(path)
        is_another = (other and other.id) != (before and before.id)
        if is_another and before is self._other and path == self.draft.path:
            self._other = other
            self._show()

    async def _find_unfinished(self, path: Path | None) -> Job | None:
        return await self._context.in_thread(find_conversion, self._context.models.jobs.all, path)

    def _start(self, name: str) -> None:
        self._context.run(self._begin, name)

    async def _begin(self, name: str) -> None:
        given, wish = self.draft.given, self.draft.wish(name)
        if wish is not None:
            job_id = await self._context.in_thread(self._context.models.import_path, wish)
            if self.draft.given is given:  # not another source meanwhile
                self.draft.job_id = job_id
                self._show()

    # The work

    def _job(self) -> Job | None:
        """What came out of the draft, if it is still there."""
        job_id = self.draft.job_id
        return self._context.models.jobs.find(job_id) if job_id is not None else None

    async def _adopt(self, job: Job) -> None:
        """Show a job that was begun earlier."""
        before = self.draft.given
        draft = await self._context.in_thread(draft_of, job)
        if draft is not None and self.draft.given is before:
            self._drafts.replace(draft)
            self._source.show(draft.path)
            self._forget_steps()

    def _choose_draft(self, draft: Draft) -> None:
        """Go on with another one."""
        self._drafts.current = draft
        self._drafts_changed()

    def _drafts_changed(self) -> None:
        self._source.show(self.draft.path)
        self._forget_steps()
        self._choices = self._make_choices()
        self._show()
        self._context.run(self.load)

    def _forget_steps(self) -> None:
        """What was drawn belongs to another source, and so does a look that is under way."""
        self._needs, self._choices, self._other = {}, None, None
        self._n_looks += 1
        self._looking.visible = False

    async def _show_other(self, job: Job) -> None:
        await self._adopt(job)
        await self.load()

    async def _pause(self) -> None:
        await self._with_job(self._context.models.jobs.pause)

    async def _resume(self) -> None:
        await self._with_job(self._context.models.jobs.resume)

    def _cancel(self) -> None:
        job = self._job()
        if job is not None:
            ask_cancel(self._context, job)

    async def _with_job(self, act: Callable[[str], None]) -> None:
        if self.draft.job_id is not None:
            await self._context.in_thread(act, self.draft.job_id)

    def _begin_anew(self) -> None:
        self._source.show(None)
        self.draft.take(None)
        self._forget_steps()
        self._show()
