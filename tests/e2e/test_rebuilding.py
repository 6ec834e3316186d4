"""What survives when the page is built anew, or another screen was in front of the chat."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.history.records import Status
from app.history.store import HistoryStore
from app.settings import SettingsStore

Start = Callable[..., Any]
Look = Callable[..., Any]

N_TURNS = 40


@pytest.fixture
def long_chat(start: Start, look: Look, home: Path) -> Any:
    """A conversation of eighty messages, scrolled to somewhere in its middle."""
    folder = home / "history"
    folder.mkdir(parents=True)
    with HistoryStore.open(folder) as history:
        conversation = history.conversations.create()
        for number in range(N_TURNS):
            question = history.messages.ask(conversation.id, f"question {number:02}")
            answer = history.answers.begin(question.id)
            answer.append(f"answer {number:02}\n\n- one\n- two\n- three\n")
            answer.finish(Status.COMPLETE)
    SettingsStore(home).update(last_conversation=conversation.id)
    app = look(start())
    app.wait_for_label("last-reply", f"answer {N_TURNS - 1}")
    app.page.mouse.move(700, 300)
    for _ in range(8):
        app.page.mouse.wheel(0, -400)
        app.page.wait_for_timeout(150)
    app.wait_for(lambda: app.has("jump-latest"), "the way back")
    last: set[str] = set()

    def is_at_rest() -> bool:
        nonlocal last
        before, last = last, seen(app)
        app.page.wait_for_timeout(500)
        return bool(last) and before == last

    app.wait_for(is_at_rest, "the list at rest")
    return app


def seen(app: Any) -> set[str]:
    """The questions and answers that are on the screen."""
    nodes = app.page.evaluate(
        "() => [...document.querySelectorAll('flt-semantics, flt-semantics *')].map(node =>"
        " [node.getAttribute('aria-label') || (node.childElementCount ? '' : node.textContent),"
        " node.getBoundingClientRect().top])"
    )
    return {
        match.group()
        for text, top in nodes
        if 80 < top < 600 and (match := re.match(r"(question|answer) \d\d", text or ""))
    }


def switch_language(app: Any) -> None:
    """To Chinese and back to the chat."""
    app.click("settings")
    app.wait_for_text("Appearance")
    app.click_text("中文")
    app.wait_for_text("外观")


def test_what_is_typed_for_a_new_chat_outlives_a_change_of_language(app: Any) -> None:
    app.write("half a thou")
    switch_language(app)
    app.click("back")
    app.wait_for(lambda: app.has("prompt"), "the chat")
    app.page.wait_for_timeout(500)
    app.click("send")
    app.wait_for_label("last-user", "half a thou", 20)


def test_one_goes_on_reading_where_one_was_after_the_settings(long_chat: Any) -> None:
    before = seen(long_chat)
    long_chat.click("settings")
    long_chat.wait_for_text("Appearance")
    long_chat.click("back")
    long_chat.wait_for(lambda: long_chat.has("prompt"), "the chat")
    assert before
    long_chat.wait_for(lambda: seen(long_chat) == before, f"{sorted(before)}", 20)
    long_chat.wait_for(lambda: long_chat.has("jump-latest"), "the way back")


def test_one_goes_on_reading_where_one_was_after_a_change_of_language(long_chat: Any) -> None:
    before = seen(long_chat)
    switch_language(long_chat)
    long_chat.click("back")
    long_chat.wait_for(lambda: long_chat.has("prompt"), "the chat")
    assert before
    long_chat.wait_for(lambda: len(seen(long_chat) & before) >= len(before) / 2, f"{sorted(before)}", 20)
    long_chat.wait_for(lambda: long_chat.has("jump-latest"), "the way back")
