"""What there is to get: asking the hub, rows of the catalog, and what is known of what was found."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.components.models.catalog_row import CatalogRow
from app.components.models.get_models import GetModels
from app.components.models.hub_dialog import HubDialog
from app.components.models.hub_question import HubQuestion
from app.components.models.hub_search import HubSearch
from app.components.models.own_entries import OwnEntries
from app.home import Home
from app.models.errands import Get
from app.models.events import JobChanged
from app.models.job_records import JobRecord, State
from app.models.jobs import Job
from app.models.offers import make_offers
from app.models.service import ModelService
from app.models.stock import Standing, Stock
from app.views.context import ViewContext
from builders.gguf_models import write_model
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import Offline
from engine.models.hub import Repository, SearchResult
from engine.models.machine import Machine
from engine.models.user_entries import parse_source
from fakes.view_context import FakeViewContext, find_control, until, words_of

MACHINE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)
MODEL = "belle-7b-2m"
REPO = "BelleGroup/BELLE-7B-2M"


class Hub:
    """Answers one question after the other, each when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.error: Exception | None = None

    def repository(self, repo: str) -> Repository:
        self.asked.append(repo)
        assert self.may_answer.wait(20)
        if self.error is not None:
            raise self.error
        return Repository(repo, "c" * 40, (RemoteFile(repo, "main", "a.gguf", size_bytes=5),), False, None)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ModelService]:
    service = ModelService(Home(tmp_path / "数据"), endpoints=lambda: Endpoints(()), machine=lambda: MACHINE)
    yield service
    service.close()


def _context(service: ModelService) -> tuple[FakeViewContext, ViewContext]:
    context = FakeViewContext(service)
    return context, cast(ViewContext, context)


def _stock(service: ModelService, **changes: Any) -> Stock:
    return Stock(make_offers(service.catalog, MACHINE), MACHINE, **changes)


def test_the_hub_is_asked_once_however_often_one_clicks(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr(service, "repository", hub.repository)

    async def run() -> None:
        context, view = _context(service)
        question = HubQuestion(view)
        for _ in range(3):
            question.ask("a/one")
        assert len(context.dialogs) == 1
        assert "Asking the hub" in words_of(context.dialogs[0])
        hub.may_answer.set()
        await until(lambda: len(context.dialogs) > 1)

        question.ask("a/one")

        assert [dialog.open for dialog in context.dialogs] == [False, True]
        assert isinstance(context.dialogs[1], HubDialog)
        assert hub.asked == ["a/one"]
        context.close_dialog(context.dialogs[1])
        question.ask("a/two")
        assert len(context.dialogs) == 3
        await until(lambda: len(hub.asked) == 2)

    asyncio.run(run())


def test_a_question_that_was_given_up_opens_nothing(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr(service, "repository", hub.repository)

    async def run() -> None:
        context, view = _context(service)
        question = HubQuestion(view)
        question.ask("a/one")
        await until(lambda: hub.asked)
        find_control(context.dialogs[0], "hub-give-up").on_click()
        question.ask("a/two")
        hub.may_answer.set()
        await until(lambda: len(context.dialogs) > 2)

        assert "a/two" in words_of(context.dialogs[2])

    asyncio.run(run())


def test_a_hub_that_does_not_answer_is_said_where_it_was_asked(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    hub.error = Offline("a/one", "no route", ("hub.example",))
    hub.may_answer.set()
    monkeypatch.setattr(service, "repository", hub.repository)

    async def run() -> None:
        context, view = _context(service)
        HubQuestion(view).ask("a/one")
        (dialog,) = context.dialogs
        await until(lambda: find_control(dialog, "hub-no-answer"))
        assert "The hub can't be reached" in words_of(dialog)
        assert "Asking" not in words_of(dialog)

        hub.error = None
        find_control(dialog, "hub-ask-again").on_click()

        assert "Asking the hub" in words_of(dialog)
        await until(lambda: len(context.dialogs) == 2)

    asyncio.run(run())


def _standing(service: ModelService, state: State | None, *, is_here: bool = False) -> Standing:
    job = None
    if state is not None:
        job = Job(JobRecord("1" * 16, Get("x", "x", catalog_id=MODEL), state, 0.0))
    here = ()
    if is_here:
        write_model(service.home.make(service.home.models) / "one.gguf")
        here = service.listing().models
    return Standing(here, job)


@pytest.mark.parametrize(
    ("state", "is_here", "expected"),
    [
        (None, False, ["get"]),
        (None, True, ["get-chat", "get"]),
        ("running", False, []),
        ("running", True, ["get-chat"]),
        ("paused", False, ["get-resume", "get"]),
        ("failed", True, ["get-chat", "get-resume", "get"]),
    ],
)
def test_a_row_of_the_catalog_offers_what_can_be_done_now(
    service: ModelService, state: State | None, is_here: bool, expected: list[str]
) -> None:
    resumed: list[str] = []

    async def run() -> None:
        _, view = _context(service)
        standing = _standing(service, state, is_here=is_here)
        offer = next(offer for offer in make_offers(service.catalog, MACHINE) if offer.model.id == MODEL)
        row = CatalogRow(view, offer, standing, lambda: resumed.append("asked"))
        shown = [name for name in ("get-chat", "get-resume", "get") if find_control(row, f"{name}-{MODEL}")]
        assert shown == expected
        if "get-resume" in expected:
            service.jobs.resume = resumed.append  # type: ignore[method-assign]
            await find_control(row, f"get-resume-{MODEL}").on_click()
            find_control(row, f"get-{MODEL}").on_click()
            assert resumed == ["1" * 16, "asked"]

    asyncio.run(run())


def test_another_job_in_the_same_state_is_another_standing(service: ModelService) -> None:
    first = _standing(service, "failed")
    assert first.job is not None
    second = replace(first, job=replace(first.job, record=replace(first.job.record, id="2" * 16)))

    assert first.key != second.key


def test_what_the_catalog_knows_is_said_of_what_was_found_and_added(
    service: ModelService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (SearchResult(REPO, 5, (), False), SearchResult("a/other", 1, ("gguf",), False))
    monkeypatch.setattr(service, "search", lambda query: found)
    for source in (REPO, "a/other/x.gguf", "a/other/z.gguf"):
        service.entries.add(parse_source(source))
    got: list[str] = []

    async def run() -> None:
        _, view = _context(service)
        stock = _stock(service, entries=service.entries.all())
        search = HubSearch(view, lambda offer: got.append(offer.model.id), got.append)
        search.show(stock)
        find_control(search, "hub-query").value = "belle"
        await find_control(search, "hub-search").on_click()
        known, other = (words_of(find_control(search, f"hub-{number}")) for number in (0, 1))
        assert "28." in known
        assert "Runs well" in known
        assert "Runs well" not in other
        for number in (0, 1):
            find_control(search, f"hub-get-{number}").on_click()
        assert got == [MODEL, "a/other"]

        own = OwnEntries(view, got.append, asyncio.Event().wait)
        own.show(stock)
        assert "Runs well" in words_of(find_control(own, "own-0"))

        rows = ((search, "hub-1"), (own, "own-1"), (own, "own-2"))
        assert not any("On this computer" in words_of(find_control(root, row)) for root, row in rows)
        for name in ("x", "y"):
            source = f"a/other/{name}.gguf"
            path = write_model(service.home.make(service.home.models) / f"{name}.gguf")
            service.library.note(path, source=source)
        stock = _stock(service, entries=service.entries.all(), local=service.listing().models)
        search.show(stock)
        own.show(stock)
        marked = ["On this computer" in words_of(find_control(root, row)) for root, row in rows]
        assert marked == [True, True, False]

    asyncio.run(run())


def test_what_was_added_stays_in_the_list_when_work_begins(service: ModelService) -> None:
    async def run() -> None:
        _, view = _context(service)
        screen = GetModels(view)
        await screen.load()
        find_control(screen, "own-source").value = "a/one"
        await find_control(screen, "own-add").on_click()
        assert find_control(screen, "own-0") is not None

        job_id = service.get(MODEL)
        await until(lambda: service.jobs.wait(0))
        screen.on_model_event(JobChanged(service.jobs.all[0]))

        assert find_control(screen, f"get-resume-{MODEL}") is not None
        assert "a/one" in words_of(find_control(screen, "own-0"))
        service.jobs.cancel(job_id)

    asyncio.run(run())
