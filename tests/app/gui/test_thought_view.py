"""A thought above its answer: one line that tells the time, rendered only while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flet as ft
import pytest

import app.components.chat.thought_view as module
from app.components.chat.answer_row import AnswerRow
from app.components.chat.message_commands import MessageCommands
from app.components.chat.message_list import MessageList
from app.components.chat.thought_view import ThoughtView, thought_line
from app.history.records import PathMessage, Status, StoredMessage
from app.home import Home
from app.i18n import WindowTexts
from app.models.service import ModelService
from app.views.context import ViewContext
from convert.i18n import Language
from engine.models.endpoints import Endpoints
from fakes.view_context import FakeViewContext, seen_of, words_of

COMMANDS = MessageCommands(*([lambda *_: None] * 5))


class Page:
    """A context on no page. toggled: whether thoughts were opened by clicks."""

    def __init__(self, folder: Path, language: Language = "en") -> None:
        models = ModelService(Home(folder), endpoints=lambda: Endpoints(()))
        fake = FakeViewContext(models, language)
        self.copied: list[str] = []
        fake.copy = self.copied.append  # type: ignore[attr-defined]
        self.context = cast(ViewContext, fake)
        self.toggled: list[bool] = []

    def view(self, *, is_open: bool = False) -> ThoughtView:
        return ThoughtView(
            self.context, is_open=is_open, on_toggle=self.toggled.append, on_resize=lambda _px: None
        )

    def row(self, entry: PathMessage) -> AnswerRow:
        return AnswerRow(self.context, COMMANDS, entry, self.view())


def on_page(test: Callable[[Page], None], folder: Path) -> None:
    async def run() -> None:
        test(Page(folder))

    asyncio.run(run())


def answer(
    text: str, thought: str = "", *, seconds: float = 0.0, status: Status = Status.COMPLETE
) -> PathMessage:
    message = StoredMessage(7, "u", 1, 6, "assistant", text, status, 0, thought=thought, thought_s=seconds)
    return PathMessage(message, (7,))


def click(view: ft.Control, label: str) -> None:
    """Click the container or button behind a node of this name, or with this tooltip."""
    for node in seen_of(view):
        named = (
            getattr(node, "label", None) if isinstance(node, ft.Semantics) else getattr(node, "tooltip", None)
        )
        if named == label:
            target = node.content if isinstance(node, ft.Semantics) else node
            target.on_click()
            return
    raise AssertionError(f"nothing is called {label!r}: {words_of(view)}")


def rendered(view: ft.Control) -> str:
    """What is shown as an answer's or a thought's own text: spans, where labels are plain texts."""
    texts = [node for node in seen_of(view) if isinstance(node, ft.Text) and node.spans]
    return "\n".join("".join(span.text or "" for span in text.spans or []) for text in texts)


@pytest.mark.parametrize(
    ("seconds", "is_running", "english", "chinese"),
    [
        (12.4, False, "Thought for 12 s", "思考了 12 秒"),
        (59.7, False, "Thought for 1 min 0 s", "思考了 1 分 0 秒"),
        (754, False, "Thought for 12 min 34 s", "思考了 12 分 34 秒"),
        (0.2, False, "Thought for less than a second", "思考了不到 1 秒"),
        (0.0, False, "Thought", "思考过程"),
        (0.0, True, "Thinking … 0 s", "正在思考…… 0 秒"),
        (12.9, True, "Thinking … 12 s", "正在思考…… 12 秒"),
        (61, True, "Thinking … 1 min 1 s", "正在思考…… 1 分 1 秒"),
    ],
)
def test_the_line_tells_the_time_as_people_say_it(
    seconds: float, is_running: bool, english: str, chinese: str
) -> None:
    assert thought_line(seconds, WindowTexts("en"), is_running=is_running) == english
    assert thought_line(seconds, WindowTexts("zh-CN"), is_running=is_running) == chinese


def test_nothing_of_a_closed_thought_is_rendered(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        view = page.view()
        view.show("so *much*", 12.0, is_running=False)
        assert view.visible
        assert rendered(view) == ""

        click(view, "Thought for 12 s")
        assert rendered(view) == "so much"
        click(view, "Copy the thought")
        assert page.copied == ["so *much*"]
        click(view, "Thought for 12 s")
        assert rendered(view) == ""
        assert page.toggled == [True, False]

    on_page(test, tmp_path)


def test_an_answer_without_a_thought_has_no_line(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        for thought in ("", "\n\n"):
            view = page.view(is_open=True)
            view.show(thought, 0.1, is_running=False)
            assert not view.visible

    on_page(test, tmp_path)


def test_images_in_thoughts_are_never_fetched(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        view = page.view(is_open=True)
        view.show("see ![x](http://spy.example/a.png)", 1.0, is_running=False)
        assert "![" not in rendered(view)

    on_page(test, tmp_path)


def test_the_clock_runs_until_the_first_word_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def test(page: Page) -> None:
        row = page.row(answer("", status=Status.STREAMING))
        assert "Think" not in words_of(row)
        assert row.grow_thought("hm", 0)
        row.render()
        now[0] = 103.5
        assert row.grow_thought(" so", 2)
        row.render()
        assert "Thinking … 3 s" in words_of(row)
        assert row.grow("Four", 0)
        now[0] = 150.0
        row.render()
        assert "Thought for 4 s" in words_of(row)
        row.show(answer("Four.", "hm", seconds=3.2))
        assert "Thought for 3 s" in words_of(row)

    on_page(test, tmp_path)


def test_the_seconds_go_up_by_themselves_until_the_view_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    planned: list[tuple[float, Callable[[], None]]] = []
    sent: list[ft.Control] = []
    loop = SimpleNamespace(
        call_later=lambda wait_s, call: (
            planned.append((wait_s, call)) or SimpleNamespace(cancel=planned.clear)
        )
    )

    def test(page: Page) -> None:
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(module.asyncio, "get_running_loop", lambda: loop)
        monkeypatch.setattr(module, "is_on_screen", lambda _: True)
        monkeypatch.setattr(module, "refresh", sent.append)
        view = page.view()
        view.show("hm", 2.25, is_running=True)
        for expected in (3, 4):
            wait_s, tick = planned.pop()
            now[0] += wait_s
            tick()
            assert f"Thinking … {expected} s" in words_of(view)
        assert all(isinstance(control, ft.Semantics) for control in sent), "the line alone is sent again"
        view.will_unmount()
        assert planned == []
        view.did_mount()
        assert len(planned) == 1
        view.end()
        assert planned == []
        monkeypatch.undo()

    on_page(test, tmp_path)


def test_a_page_that_opens_in_the_middle_of_a_thought_knows_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def test(page: Page) -> None:
        row = page.row(answer("", "hm", seconds=20.0, status=Status.STREAMING))
        now[0] = 101.0
        row.show(answer("", "hm, so", seconds=21.0, status=Status.STREAMING))
        assert "Thinking … 21 s" in words_of(row)

    on_page(test, tmp_path)


def test_pieces_of_a_thought_have_their_places(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        row = page.row(answer("", "one ", status=Status.STREAMING))
        assert row.grow_thought("one two ", 0)
        assert row.grow_thought("three", 8)
        assert not row.grow_thought("five", 20)
        row.show(answer("", "one two", status=Status.STREAMING))  # what was on disk a moment ago
        click(row, "Thinking … 0 s")
        assert rendered(row).startswith("one two three")

    on_page(test, tmp_path)


def test_a_piece_that_comes_late_starts_no_clock(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        row = page.row(answer("four", "one two", seconds=2.0, status=Status.STREAMING))
        assert row.grow_thought("two", 4)
        row.render()
        assert "Thought for 2 s" in words_of(row)

    on_page(test, tmp_path)


def test_the_answer_is_copied_without_its_thought(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        row = page.row(answer("four", "two and two", seconds=2.0))
        click(row, "Copy")
        assert page.copied == ["four"]
        stopped = page.row(answer("", "two and", status=Status.STOPPED))
        assert "Stopped." in words_of(stopped)
        with pytest.raises(AssertionError, match="nothing is called 'Copy'"):
            click(stopped, "Copy")

    on_page(test, tmp_path)


def test_an_open_thought_stays_open_when_the_page_is_built_anew(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        entries = [answer("four", "two and two", seconds=2.0)]
        messages = MessageList(page.context, COMMANDS)
        messages.show(entries)
        assert rendered(messages) == "four"
        click(messages, "Thought for 2 s")
        again = MessageList(page.context, COMMANDS, messages.opened_thoughts)
        again.show(entries)
        assert rendered(again) == "two and two\nfour"
        click(again, "Thought for 2 s")
        assert again.opened_thoughts == frozenset()

    on_page(test, tmp_path)


def test_what_is_found_in_a_thought_is_shown_open(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        entries = [answer("four", "two and two", seconds=2.0)]
        messages = MessageList(page.context, COMMANDS)
        messages.show(entries, None, 7)
        assert rendered(messages) == "four"
        messages.show(entries, None, 7, in_thought=True)
        assert rendered(messages) == "two and two\nfour"

    on_page(test, tmp_path)


def test_a_thought_that_grows_is_followed_as_an_answer_is(tmp_path: Path) -> None:
    def test(page: Page) -> None:
        messages = MessageList(page.context, COMMANDS)
        messages.show([answer("", status=Status.STREAMING)])
        messages.set_activity(7, "Reading …")
        assert messages.grow_thought(7, "hm", 0)
        assert "Reading …" not in words_of(messages)
        messages._on_scroll(_scrolled(500.0))  # noqa: SLF001 - as Flet calls it
        assert messages.grow_thought(7, " well", 2)
        assert "New text below" in words_of(messages)
        assert not messages.grow_thought(7, "!", 99)

    on_page(test, tmp_path)


def _scrolled(distance_px: float) -> Any:
    return cast(Any, type("Event", (), {"pixels": distance_px, "max_scroll_extent": 9_000.0}))
