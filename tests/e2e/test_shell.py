"""The app around the chat, in a real browser: opening, closing, language, theme, width, list and search."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.history.records import Status
from app.history.store import HistoryStore

Start = Callable[..., Any]
Look = Callable[..., Any]


def _fill(home: Path, *questions: str) -> None:
    """Conversations as the app would have made them."""
    folder = home / "history"
    folder.mkdir(parents=True)
    with HistoryStore.open(folder) as history:
        for question in questions:
            conversation = history.conversations.create()
            asked = history.messages.ask(conversation.id, question)
            answer = history.answers.begin(asked.id)
            answer.append(f"回答：{question}")
            answer.finish(Status.COMPLETE)


def test_a_fresh_app_shows_a_new_chat_and_asks_no_other_host(app: Any) -> None:
    app.wait_for_label("new-chat", "New chat")

    for identifier in ("chat-search", "chat-list", "models", "convert", "settings", "prompt"):
        app.wait_for(lambda name=identifier: app.has(name), identifier)
    # Flet's client names one foreign script, which our Content-Security-Policy keeps from being asked for.
    assert app.reached == []
    assert len(app.foreign) <= 1


def test_the_page_draws_in_one_thread(app: Any) -> None:
    # In an isolated page Flutter lays out and paints text in two threads, and freezes after a while.
    assert app.page.evaluate("crossOriginIsolated") is False


def test_emoji_are_shown_without_asking_anybody_for_a_font(app: Any) -> None:
    before = list(app.foreign)

    app.ask("你好 😀 🎉 🦜 👩‍🔬 🇨🇳 ❤️")

    assert app.wait_for_answer()
    app.wait_for_label("last-user", "🦜")
    assert app.foreign == before
    assert app.reached == []


def test_language_changes_at_run_time(app: Any) -> None:
    app.click("settings")
    app.wait_for_text("Appearance")

    app.choose_language("中文")

    app.wait_for_text("外观")
    app.wait_for_label("new-chat", "新对话")
    app.choose_language("English")
    app.wait_for_text("Appearance")


def test_theme_changes_at_once_and_stays(app: Any) -> None:
    app.click("settings")
    app.wait_for_text("Appearance")
    before = app.page.screenshot(clip={"x": 640, "y": 2, "width": 4, "height": 4})

    app.click_text("Dark")

    app.wait_for(
        lambda: app.page.screenshot(clip={"x": 640, "y": 2, "width": 4, "height": 4}) != before, "dark"
    )
    settings = (app.server.home / "settings.json").read_text(encoding="utf-8")
    assert '"theme": "dark"' in settings


def test_a_phone_wide_window_has_the_sidebar_in_a_drawer(start: Start, look: Look) -> None:
    app = look(start(), width=360, height=740)
    assert not app.has("new-chat")

    app.click("menu")
    app.wait_for_label("new-chat", "New chat")
    app.click("new-chat")

    app.wait_for(lambda: not app.has("new-chat"), "a closed drawer")


def test_search_finds_a_word_of_two_characters_and_opens_its_message(
    start: Start, look: Look, home: Path
) -> None:
    _fill(home, "春天的诗怎么写", "What is GGUF?", "请介绍一下机器学习")
    app = look(start())
    app.wait_for_text("What is GGUF?")

    app.fill("chat-search", "机器")
    app.wait_for(lambda: "What is GGUF?" not in app.text("chat-list"), "fewer lines")
    app.page.keyboard.press("Enter")

    app.wait_for_text("回答：请介绍一下机器学习")


def test_a_deleted_chat_comes_back_by_undo(start: Start, look: Look, home: Path) -> None:
    _fill(home, "第一个问题")
    app = look(start())
    app.wait_for_label("chat-list", "第一个问题")

    app.click("item-menu")
    app.click_text("Delete")
    app.wait_for_label("chat-list", "No chats yet")
    app.click_text("Undo")

    app.wait_for_label("chat-list", "第一个问题")


def test_export_is_downloaded(start: Start, look: Look, home: Path) -> None:
    _fill(home, "第一个问题")
    app = look(start())
    app.wait_for_label("chat-list", "第一个问题")

    app.click("item-menu")
    app.click_text("Export")
    app.wait_for_text("Export the chat")
    with app.page.expect_download() as download:
        app.click_on(app.page.get_by_role("button", name="Export", exact=True).last)

    assert download.value.suggested_filename == "第一个问题.md"
    assert "回答：第一个问题" in Path(download.value.path()).read_text(encoding="utf-8")


def test_the_forms_of_an_export_fit_a_narrow_window(start: Start, look: Look, home: Path) -> None:
    _fill(home, "第一个问题")
    app = look(start(), width=360)
    app.click("menu")
    app.click("item-menu")
    app.click_text("Export")
    app.wait_for_text("Export the chat")
    app.page.wait_for_timeout(500)  # the dialog grows as it opens

    choice = app.find("export-json")
    box = choice.bounding_box()
    assert box["x"] + box["width"] <= 360 - 24
    assert box["height"] > app.find("export-markdown").bounding_box()["height"]  # two lines
    app.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    app.wait_for(lambda: choice.get_by_role("radio", checked=True).count(), "the chosen form")
    with app.page.expect_download() as download:
        app.click_on(app.page.get_by_role("button", name="Export", exact=True).last)
    assert download.value.suggested_filename == "第一个问题.json"


def test_settings_show_the_data_folder_and_its_numbers(start: Start, look: Look, home: Path) -> None:
    _fill(home, "一", "二")
    app = look(start())

    app.click("settings")

    app.wait_for_text("2 chats, 4 messages")
    app.wait_for_text(str(home))


def test_a_reload_keeps_the_page(app: Any) -> None:
    app.click("settings")
    app.wait_for_text("Appearance")

    app.page.reload()
    app.switch_on_semantics()

    app.wait_for_text("Appearance")


def test_only_the_secret_path_is_served(app: Any) -> None:
    parts = urlsplit(app.server.address)
    for path in ("/", "/ws", "/wrong/", "/wrong/ws"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{parts.netloc}{path}", timeout=10)
        assert refused.value.code in (403, 404)
    rebound = urllib.request.Request(app.server.address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(rebound, timeout=10)
    assert refused.value.code == 403


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_quietly(app: Any, number: signal.Signals) -> None:
    assert app.server.stop(number) == 0

    assert "Traceback" not in "".join(app.server.errors)
