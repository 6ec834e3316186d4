"""Chatting in a real browser with the real engine: asking, stopping, branches, reloads, crashes, widths."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.history.records import Status
from app.history.store import HistoryStore
from app.settings import SettingsStore
from builders.endless_model import use_endless_model

Start = Callable[..., Any]
Look = Callable[..., Any]

ANSWER_S = 120  # two cores, perhaps shared with others


def _wait_until_answering(app: Any) -> None:
    app.wait_for(lambda: "Answering" in app.text("status"), "an answer that grows", ANSWER_S)
    app.wait_for(lambda: "abc" in app.reply, "its first words", ANSWER_S)


def _history(home: Path) -> HistoryStore:
    folder = home / "history"
    folder.mkdir(parents=True, exist_ok=True)
    return HistoryStore.open(folder)


def test_from_the_first_launch_to_the_first_answer(app: Any) -> None:
    app.wait_for_text("What shall we talk about?")
    app.wait_for(lambda: app.has("offer"), "the offer")  # which moves the examples

    app.click("example-0")
    app.wait_for(lambda: "What is this app?" in app.text("prompt"), "the example in the prompt")
    app.click("send")

    assert app.wait_for_answer()
    assert "What is this app?" in app.text("last-user")
    app.wait_for_label("chat-list", "What is this app?")


def test_chinese_is_asked_and_answered(start: Start, look: Look) -> None:
    app = look(start(language="zh-CN"))

    app.ask("我的聊天会被上传吗")

    reply = app.wait_for_answer()
    assert "我的聊天会被上传吗" in app.text("last-user")
    assert any("\u4e00" <= character <= "\u9fff" for character in reply)


def test_shift_enter_breaks_the_line_and_enter_sends_both_lines(app: Any) -> None:
    app.write("first line")
    app.page.keyboard.press("Shift+Enter")
    app.page.wait_for_timeout(300)
    app.page.keyboard.insert_text("second line")
    app.page.wait_for_timeout(300)
    assert not app.has("last-user")

    app.page.keyboard.press("Enter")

    app.wait_for_label("last-user", "second line")
    app.wait_for_label("last-user", "first line")


def test_confirming_an_input_method_with_enter_does_not_send(app: Any) -> None:
    app.click("prompt")
    app.page.wait_for_timeout(500)
    devtools = app.page.context.new_cdp_session(app.page)
    for composing in ("n", "ni", "你"):
        devtools.send(
            "Input.imeSetComposition",
            {"text": composing, "selectionStart": len(composing), "selectionEnd": len(composing)},
        )
        app.page.wait_for_timeout(100)
    # What a browser reports for the Enter that confirms: the key, with code 229.
    key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229, "nativeVirtualKeyCode": 229}
    devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    devtools.send("Input.insertText", {"text": "你"})
    devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    app.page.wait_for_timeout(1_500)

    assert not app.has("last-user")
    assert not app.has("stop")


def test_stopping_keeps_what_is_there_and_it_can_be_continued(start: Start, look: Look, home: Path) -> None:
    use_endless_model(home)
    app = look(start())
    app.ask("go")
    _wait_until_answering(app)

    app.click("stop")

    app.wait_for_label("last-reply", "Stopped", ANSWER_S)
    app.wait_for(lambda: app.is_ready, "the engine to be ready", ANSWER_S)
    app.click("continue")
    _wait_until_answering(app)


def test_a_question_sent_meanwhile_waits_visibly_and_can_be_taken_back(
    start: Start, look: Look, home: Path
) -> None:
    use_endless_model(home)
    app = look(start())
    app.ask("go")
    _wait_until_answering(app)

    app.ask("and another thing")
    app.wait_for_label("queued-0", "and another thing")
    app.click_on(
        app.page.get_by_role("button", name="Take it back").or_(app.page.get_by_label("Take it back")).first
    )

    app.wait_for(lambda: not app.has("queued-0"), "an empty queue")
    app.wait_for(
        lambda: not app.has("last-user") or "another" not in app.text("last-user"), "one question only"
    )
    app.wait_for(lambda: "and another thing" in app.text("prompt"), "the text back in the prompt")


def test_regenerating_makes_a_branch_and_both_can_be_shown(app: Any) -> None:
    app.ask("what is temperature")
    app.wait_for_answer()
    assert not app.has("branch-prev")

    app.click("regenerate")
    app.wait_for(lambda: app.has("branch-prev"), "a second version", ANSWER_S)
    app.wait_for_answer()
    app.wait_for_label("last-reply", "Version 2 of 2")
    app.click("branch-prev")

    app.wait_for_label("last-reply", "Version 1 of 2")
    app.click("branch-next")
    app.wait_for_label("last-reply", "Version 2 of 2")


def test_editing_a_question_keeps_the_old_one_as_a_branch(app: Any) -> None:
    app.ask("is it free")
    app.wait_for_answer()

    app.click("edit-last")
    app.fill("edit-field", "what is top_k")
    app.click("edit-send")

    app.wait_for_label("last-user", "what is top_k")
    app.wait_for_answer()
    app.wait_for_label("last-user", "Version 2 of 2")
    app.click("branch-prev")
    app.wait_for_label("last-user", "is it free")


def test_a_reload_in_the_middle_of_an_answer_loses_nothing(start: Start, look: Look, home: Path) -> None:
    use_endless_model(home)
    app = look(start())
    app.ask("go")
    _wait_until_answering(app)

    app.page.reload()
    app.wait_until_ready()

    _wait_until_answering(app)
    app.click("stop")
    app.wait_for_label("last-reply", "Stopped", ANSWER_S)
    whole = "\n\n".join([string.ascii_letters + string.digits] * 400)
    shown = [line for line in app.reply.split() if line.startswith("abc")]
    assert len(shown) > 1
    assert all(line in whole for line in shown)


def test_after_kill_9_everything_is_there_and_marked_unfinished(start: Start, look: Look, home: Path) -> None:
    use_endless_model(home)
    server = start()
    app = look(server)
    app.ask("go on and on")
    _wait_until_answering(app)
    app.page.wait_for_timeout(1_000)

    server.kill()
    again = look(start())

    again.wait_for_label("last-reply", "Unfinished")
    again.wait_for_label("chat-title", "go on and on")
    assert "abcdef" in again.reply
    again.click("continue")
    _wait_until_answering(again)


def test_a_draft_outlives_another_chat_and_a_restart(start: Start, look: Look, home: Path) -> None:
    with _history(home) as history:
        conversation = history.conversations.create()
        question = history.messages.ask(conversation.id, "old question")
        answer = history.answers.begin(question.id)
        answer.append("old answer")
        answer.finish(Status.COMPLETE)
    SettingsStore(home).update(last_conversation=conversation.id)
    server = start()
    app = look(server)
    app.wait_for_label("last-reply", "old answer")

    app.write("half a thou")
    app.page.wait_for_timeout(5_000)
    server.kill()

    with _history(home) as history:
        assert history.conversations.get(conversation.id).draft == "half a thou"
    again = look(start())
    again.wait_for_label("last-reply", "old answer")
    again.wait_for(lambda: "half a thou" in again.text("prompt"), "the draft")


def test_a_conversation_of_500_messages_opens_at_its_end_and_answers(
    start: Start, look: Look, home: Path
) -> None:
    with _history(home) as history:
        conversation = history.conversations.create()
        for number in range(250):
            question = history.messages.ask(conversation.id, f"question {number}")
            answer = history.answers.begin(question.id)
            answer.append(f"answer {number}\n\n- one\n- two\n\n```python\nprint({number})\n```\n")
            answer.finish(Status.COMPLETE)
    SettingsStore(home).update(last_conversation=conversation.id)
    app = look(start())
    app.wait_for_label("last-reply", "answer 249")

    app.page.mouse.move(700, 300)
    for _ in range(6):
        app.page.mouse.wheel(0, -2_000)
        app.page.wait_for_timeout(200)
    app.wait_for(lambda: app.has("jump-latest"), "the way back")
    app.click("jump-latest")
    app.wait_for(lambda: not app.has("jump-latest"), "the end")

    app.ask("is it free")
    app.wait_for_label("last-user", "is it free")
    app.wait_for_answer()


def test_a_deleted_message_comes_back_by_undo(app: Any) -> None:
    app.ask("is it free")
    reply = app.wait_for_answer()

    app.click_on(app.page.get_by_role("button", name="Delete").or_(app.page.get_by_label("Delete")).last)
    app.wait_for(lambda: not app.has("last-reply"), "the answer to be gone")
    app.click_text("Undo")

    app.wait_for(lambda: app.reply == reply, "the answer")


@pytest.mark.parametrize("width", [360])
def test_a_narrow_window_has_all_of_it(start: Start, look: Look, width: int) -> None:
    app = look(start(), width=width, height=740)

    app.ask("is it free")
    app.wait_for_answer()

    for identifier in ("menu", "model-picker", "status", "prompt", "send", "regenerate", "edit-last"):
        box = app.find(identifier).bounding_box()
        assert box is not None, identifier
        assert box["x"] >= 0, identifier
        assert box["x"] + box["width"] <= width + 1, identifier


def test_a_model_that_cannot_be_loaded_says_why_and_the_demo_helps(
    start: Start, look: Look, home: Path
) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "broken.gguf").write_bytes(b"no model at all" * 100)
    SettingsStore(home).update(default_model="broken")
    app = look(start())

    app.ask("is it free")
    app.wait_for(lambda: app.has("load-failure"), "a reason", ANSWER_S)
    app.wait_for_text("broken.gguf")
    app.click("failure-demo")
    app.wait_for(lambda: not app.has("load-failure"), "the demo", ANSWER_S)
    app.click("answer-now")

    assert app.wait_for_answer()
