"""How the end of long work reaches a person: at once, or when the page is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.i18n import Texts
from app.models.errands import Import
from app.models.events import JobChanged
from app.models.importing import ImportWish
from app.models.job_records import JobRecord
from app.models.jobs import Job
from app.models.progress import WorkDone
from app.views.work_watch import WorkWatch

RUNNING = Job(JobRecord("0" * 16, Import(ImportWish(Path("模型.bin"))), "running", 0.0))
DONE = replace(
    RUNNING,
    record=replace(RUNNING.record, state="done"),
    done=WorkDone(Path("/models/模型.gguf"), 1, None),
)


class Page:
    """The three things of a page that are used, with its titles kept."""

    def __init__(self, *, app_visible: bool) -> None:
        self.app_visible = app_visible
        self.seen = asyncio.Event()
        self.titles: list[str] = []

    @property
    def title(self) -> str:
        return self.titles[-1]

    @title.setter
    def title(self, title: str) -> None:
        self.titles.append(title)

    def update(self) -> None:
        pass

    async def wait_until_visible(self) -> None:
        await self.seen.wait()


class Context:
    """What `WorkWatch` uses of a `ViewContext`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.is_narrow = False
        self.texts = Texts("en")
        self.t = self.texts.text
        self.models = self.jobs = self
        self.all: tuple[Job, ...] = ()
        self.notices: list[tuple[str, str]] = []
        self.used: list[Path | None] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def show_title(self, text: str) -> None:
        self.page.title = text

    def guard(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler

    def open_models(self) -> None:
        self.used.append(None)

    def use_model(self, path: Path) -> None:
        self.used.append(path)

    def notify(self, text: str, label: str, on_action: Callable[[], None]) -> None:
        self.notices.append((text, label))
        on_action()

    def run(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work(*arguments)))


async def _end(page: Page, *, is_seen: bool = False) -> Context:
    context = Context(page)
    watch = WorkWatch(context, lambda job: is_seen)  # type: ignore[arg-type]
    for job in (RUNNING, DONE, DONE):
        context.all = (job,)
        watch.on_model_event(JobChanged(job))
    await asyncio.sleep(0.01)
    return context


def test_what_happened_before_one_listened_is_shown() -> None:
    async def run() -> tuple[bool, bool]:
        context = Context(Page(app_visible=True))
        context.all = (RUNNING,)
        watch = WorkWatch(context, lambda job: False)  # type: ignore[arg-type]
        was_shown = watch.strip.visible
        context.all = (DONE,)
        watch.show()
        return was_shown, watch.strip.visible

    assert asyncio.run(run()) == (True, False)


def test_the_end_is_told_once_and_leads_to_the_model() -> None:
    context = asyncio.run(_end(Page(app_visible=True)))

    assert context.notices == [("模型.bin was imported.", "Chat with it")]
    assert context.used == [Path("/models/模型.gguf")]
    assert context.page.titles == []


def test_what_the_open_screen_tells_is_not_told_twice() -> None:
    assert asyncio.run(_end(Page(app_visible=True), is_seen=True)).notices == []


def test_who_looks_elsewhere_reads_it_in_the_title_and_then_on_the_page() -> None:
    async def run() -> None:
        page = Page(app_visible=False)
        context = await _end(page)
        assert context.notices == []
        assert "模型.bin was imported." in page.title

        page.seen.set()
        await asyncio.gather(*context.tasks)

        assert page.title == "ChatBELLE"
        assert [text for text, _ in context.notices] == ["模型.bin was imported."]

    asyncio.run(run())
