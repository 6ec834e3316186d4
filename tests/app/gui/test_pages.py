"""Which page shows what is opened with the app, and when."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.views import pages as pages_module
from app.views.pages import Pages
from app.views.shell import Shell
from fakes.view_context import until

A, B = Path("/a.gguf"), Path("/b.gguf")


class OnePage:
    """A page and its shell, which keeps what it is told to show."""

    def __init__(self, pages: Pages) -> None:
        self.page: Any = SimpleNamespace(session=SimpleNamespace(dispatch_event=self._handle))
        self.is_seen = True
        self.shown: list[Path] = []
        self.is_disposed = False
        self.handled: list[str] = []
        pages.add(cast(Shell, self), self.page)

    def open_paths(self, paths: list[Path]) -> None:
        self.shown += paths

    def dispose(self) -> None:
        self.is_disposed = True

    async def use(self, event: str = "click") -> None:
        await self.page.session.dispatch_event(1, event, None)

    async def _handle(self, control_id: int, event: str, data: Any) -> None:
        self.handled.append(event)


def test_what_is_opened_before_there_is_a_page_is_shown_on_the_first() -> None:
    async def run() -> None:
        pages = Pages()
        pages.open_paths([A])
        pages.open_paths([B])
        one = OnePage(pages)
        assert one.shown == []  # it is not filled yet
        pages.show_waiting()
        assert one.shown == [A, B]
        other = OnePage(pages)
        pages.show_waiting()
        assert other.shown == []

    asyncio.run(run())


def test_the_page_that_was_used_last_shows_it_from_whatever_thread() -> None:
    async def run() -> None:
        pages = Pages()
        one, two, closed = OnePage(pages), OnePage(pages), OnePage(pages)
        closed.is_seen = False
        await one.use("disconnect")
        thread = threading.Thread(target=pages.open_paths, args=[[A]])
        thread.start()
        await until(lambda: two.shown == [A])
        thread.join()
        await one.use()
        pages.open_paths([B])
        await until(lambda: one.shown == [B])
        assert one.handled == ["disconnect", "click"]
        assert (two.shown, closed.shown) == ([A], [])

    asyncio.run(run())


def test_what_nobody_can_see_waits_for_a_page_that_comes_back() -> None:
    async def run() -> None:
        pages = Pages()
        one = OnePage(pages)
        one.is_seen = False
        pages.open_paths([A])
        await asyncio.sleep(0.05)
        assert one.shown == []
        one.is_seen = True
        await one.use("connect")
        assert one.shown == [A]

    asyncio.run(run())


def test_a_page_that_is_on_its_way_is_waited_for() -> None:
    async def run() -> None:
        pages = Pages()
        one = OnePage(pages)
        pages.open_paths([A], on_next_page=True)
        await one.use()  # the browser came to the front with the old page
        await asyncio.sleep(0.05)
        assert one.shown == []
        two = OnePage(pages)
        pages.show_waiting()
        assert (one.shown, two.shown) == ([], [A])

    asyncio.run(run())


def test_where_none_comes_the_old_page_shows_it_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "_NEW_PAGE_S", 0.05)

    async def run() -> None:
        pages = Pages()
        one = OnePage(pages)
        pages.open_paths([A], on_next_page=True)
        await until(lambda: one.shown == [A])

    asyncio.run(run())


def test_a_page_that_is_gone_is_forgotten_and_nothing_breaks_when_all_are() -> None:
    async def run() -> Pages:
        pages = Pages()
        one = OnePage(pages)
        one.page.on_close()
        one.page.on_close()
        assert one.is_disposed
        assert pages.shells == []
        await one.use()
        return pages

    pages = asyncio.run(run())
    pages.open_paths([A])  # an event of the system while the program ends
