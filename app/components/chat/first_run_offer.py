"""While a person has nothing but the demo: the model to get on this machine in one click, and how far it is.

Follows the model service by itself; whoever shows it says only whether the demo is in use.
"""

from __future__ import annotations

from pathlib import Path

import flet as ft

from app.components.basics.identified import identified
from app.components.basics.look import TEXT_WIDTH, UNIT, centred
from app.components.basics.refresh import refresh
from app.components.chat.kit_offer import find_kit_model, kit_buttons, kit_texts
from app.components.models.get_dialog import begin
from app.components.work.job_text import job_detail
from app.kit.errors import KitError
from app.kit.manifest import ModelInKit
from app.models.events import JobChanged, ModelEvent
from app.models.get_texts import disk_sentence, is_disk_short, none_fits_text, two_sentences
from app.models.jobs import Job
from app.models.offers import Offer, lightest, recommend
from app.models.stock import Stock, is_getting, take_stock
from app.views.context import ViewContext


class FirstRunOffer(ft.Container):
    """A card; hidden where there is nothing to offer."""

    def __init__(self, context: ViewContext) -> None:
        self._context = context
        self._is_demo = True
        self._stock: Stock | None = None
        self._kit: ModelInKit | KitError | None = None
        self._job_id: str | None = None
        self._ready: tuple[str, Path] | None = None
        self._shown: tuple[object, ...] = ()
        self._bar = ft.ProgressBar(height=4, border_radius=2, bgcolor=ft.Colors.SURFACE)
        self._detail = ft.Text(theme_style=ft.TextThemeStyle.BODY_SMALL)
        self._card = ft.Container(
            padding=ft.Padding.symmetric(horizontal=20, vertical=14),
            border_radius=16,
            bgcolor=ft.Colors.SECONDARY_CONTAINER,
        )
        super().__init__(centred(identified(self._card, "offer"), TEXT_WIDTH), visible=False)

    async def load(self) -> None:
        """Look at what is here, and at the work under way."""
        context = self._context
        self._stock = await context.in_thread(take_stock, context.models, context.service.state)
        self._kit = await context.in_thread(find_kit_model)
        getting = [job for job in self._context.models.jobs.all if is_getting(job)]
        if getting:
            self._job_id = getting[-1].id
        if self._ready is not None and all(self._ready[1] not in each.parts for each in self._stock.local):
            self._ready = None  # it was removed again
        self._show()
        refresh(self)

    def set_demo(self, is_demo: bool) -> None:
        """Whether the demo is in use: another model needs no offer. The caller updates."""
        self._is_demo = is_demo
        self._show()

    def on_model_event(self, event: ModelEvent) -> None:
        """Follow the model service."""
        if not isinstance(event, JobChanged):
            self._context.run(self.load)
            return
        job = event.job
        if is_getting(job) and (self._job() is None or job.state == "running"):
            self._job_id = job.id
        if job.id != self._job_id:
            return
        if job.state == "done" and job.done is not None:
            self._ready = (job.title, job.done.path)
        if job.state in ("done", "removed"):
            self._job_id = None
        self._show()
        refresh(self)

    def _job(self) -> Job | None:
        return self._context.models.jobs.find(self._job_id) if self._job_id else None

    def _show(self) -> None:
        stock, job = self._stock, self._job()
        has_models = stock is None or stock.has_own
        self.visible = self._is_demo and (job is not None or self._ready is not None or not has_models)
        if not self.visible:
            self._shown = ()
            return
        if job is not None:
            self._show_progress(job)
        # Buttons that are made anew under the pointer would miss a click.
        shown = (job.id, job.state, job.is_stopping) if job is not None else (self._ready, stock)
        if shown == self._shown:
            return
        self._shown = shown
        if job is not None:
            self._card.content = self._getting(job)
        elif self._ready is not None:
            self._card.content = self._finished(*self._ready)
        elif self._kit is not None:
            self._card.content = self._kit_offer(self._kit)
        elif stock is not None:
            self._card.content = self._offer(stock)

    def _show_progress(self, job: Job) -> None:
        self._detail.value = job_detail(job, self._context.texts)
        self._bar.value = job.share if job.share is not None else (None if job.is_active else 0)
        self._bar.color = ft.Colors.ERROR if job.state == "failed" else ft.Colors.PRIMARY

    def _kit_offer(self, kit: ModelInKit | KitError) -> ft.Control:
        title, sentence = kit_texts(self._context, kit)
        buttons = kit_buttons(self._context, kit, self._follow)
        return self._layout(title, _small(sentence), [*buttons, self._more()])

    def _follow(self, job_id: str) -> None:
        self._job_id = job_id
        self._show()
        refresh(self)

    def _offer(self, stock: Stock) -> ft.Control:
        t = self._context.t
        offer = recommend(stock.offers)
        if offer is None:
            reason = none_fits_text(lightest(stock.offers), self._context.texts)
            return self._layout(t("first_run.none"), _small(reason), [self._more()])
        get = ft.FilledButton(
            t("first_run.get"),
            icon=ft.Icons.DOWNLOAD,
            on_click=self._context.guard(lambda: self._get(offer)),
        )
        text = _small(self._sentence(offer, stock))
        button = identified(get, "offer-get", t("get.get_name", name=offer.model.name))
        return self._layout(t("first_run.title", name=offer.model.name), text, [button, self._more()])

    def _sentence(self, offer: Offer, stock: Stock) -> str:
        texts, chosen, name = self._context.texts, offer.chosen, offer.model.name
        if chosen.download_bytes is None or chosen.result_bytes is None or offer.fit is None:
            sentence = texts.text("first_run.unknown", name=name)
        else:
            sizes = {"download": chosen.download_bytes, "kept": chosen.result_bytes}
            memory = offer.fit.need.total
            is_same = chosen.download_bytes == chosen.result_bytes
            key = "first_run.sentence_same" if is_same else "first_run.sentence"
            sentence = texts.text(key, name=name, memory=memory, **sizes)
        if is_disk_short(chosen, stock.free_bytes):
            sentence = two_sentences(sentence, disk_sentence(chosen, stock.free_bytes, texts), texts)
        if stock.why_offline is not None:
            sentence = two_sentences(sentence, texts.text(f"first_run.offline.{stock.why_offline}"), texts)
        return sentence

    def _getting(self, job: Job) -> ft.Control:
        t, context, jobs = self._context.t, self._context, self._context.models.jobs
        if job.is_active:
            button = ft.OutlinedButton(
                t("strip.pause"),
                icon=ft.Icons.PAUSE,
                disabled=job.is_stopping,
                on_click=context.guard(lambda: context.in_thread(jobs.pause, job.id)),
            )
            action = identified(button, "offer-pause")
        else:
            is_failed = job.state == "failed"
            button = ft.OutlinedButton(
                t("jobs.again" if is_failed else "strip.resume"),
                icon=ft.Icons.REFRESH if is_failed else ft.Icons.PLAY_ARROW,
                on_click=context.guard(lambda: context.in_thread(jobs.resume, job.id)),
            )
            action = identified(button, "offer-resume")
        is_stopped = not job.is_active
        title = t("first_run.stopped" if is_stopped else "first_run.getting", name=job.title)
        # A bar that comes and goes in the tree of names costs the node around it its identifier.
        bar = ft.Semantics(content=self._bar, exclude_semantics=True)
        content = ft.Container(
            ft.Column([bar, self._detail], spacing=6, tight=True), padding=ft.Padding.only(top=4)
        )
        return self._layout(title, content, [action, self._more()])

    def _finished(self, name: str, path: Path) -> ft.Control:
        t = self._context.t
        chat = ft.FilledButton(
            t("job.chat"),
            icon=ft.Icons.CHAT_BUBBLE_OUTLINE,
            on_click=self._context.guard(lambda: self._context.use_model(path)),
        )
        text = _small(t("first_run.ready_about"))
        return self._layout(t("first_run.ready", name=name), text, [identified(chat, "offer-chat")])

    def _layout(self, title: str, content: ft.Control, buttons: list[ft.Control]) -> ft.Control:
        heading = ft.Text(title, theme_style=ft.TextThemeStyle.TITLE_SMALL)
        return ft.ResponsiveRow(
            [
                ft.Column([heading, content], spacing=4, tight=True, col={"xs": 12, "sm": 8}),
                ft.Column(
                    buttons,
                    spacing=2,
                    tight=True,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                    col={"xs": 12, "sm": 4},
                ),
            ],
            spacing=2 * UNIT,
            run_spacing=UNIT,
            vertical_alignment=ft.CrossAxisAlignment.CENTER,
        )

    def _more(self) -> ft.Control:
        button = ft.TextButton(
            self._context.t("first_run.more"),
            on_click=self._context.guard(lambda: self._context.open_models("get")),
        )
        return identified(button, "offer-more")

    async def _get(self, offer: Offer) -> None:
        await begin(self._context, offer.model.id, target=offer.chosen.name or None)


def _small(text: str) -> ft.Text:
    return ft.Text(text, theme_style=ft.TextThemeStyle.BODY_SMALL)
