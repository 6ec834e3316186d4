"""From nothing to a first answer by a real model: the offer of a fresh app, its progress, and its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.history.store import HistoryStore
from builders.hub import Fault, LocalHub

Start = Callable[..., Any]
Look = Callable[..., Any]

QUESTION = "我的聊天会被上传吗"


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_one_click_on_a_fresh_app_gets_a_model_that_answers(
    start: Start, look: Look, hub: LocalHub, home: Path
) -> None:
    brake = Fault(bytes_per_s=1e5)
    hub.fault = lambda seen: brake if seen.server == "lfs" else None
    server = start(hub=hub.url)
    app = look(server)
    app.wait_for_label("offer", "get BELLE-7B-2M")
    assert hub.seen == []
    assert not app.has("strip")

    app.click("offer-get")

    app.wait_for_label("strip", "Getting BELLE-7B-2M: downloading and converting,")
    app.wait_for_label("offer", "meanwhile, chat with the demo")
    assert not list((home / "models").glob("*.gguf"))
    object.__setattr__(brake, "bytes_per_s", 1e9)  # requests under way are let go as well
    app.wait_for_label("offer", "BELLE-7B-2M is ready")
    (model,) = (home / "models").iterdir()
    assert model.suffix == ".gguf"
    app.wait_for(lambda: not app.has("strip"), "the end of the strip")
    app.click("offer-chat")
    app.wait_for_label("model-in-use", model.stem)
    app.wait_for(lambda: not app.has("offer"), "the end of the offer")
    app.ask(QUESTION)

    assert _is_chinese(app.wait_for_answer())
    assert app.reached == []
    n_asked = len(hub.seen)
    assert server.stop() == 0
    with HistoryStore.open(home / "history") as history:
        (conversation,) = history.conversations.page().conversations
        (answer,) = (entry for entry in history.messages.path(conversation.id) if entry.message.origin)
        assert answer.message.origin.model.startswith("BELLE BLOOM")  # the demo has another name
        assert _is_chinese(answer.message.text)

    again = look(start(hub=hub.url))
    again.wait_for_label("model-picker", "BELLE-7B-2M")
    again.click("new-chat")
    again.wait_for_label("model-in-use", model.stem)
    assert not again.has("offer")
    assert len(hub.seen) == n_asked
