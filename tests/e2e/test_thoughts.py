"""Thoughts in a real browser with the real engine: folded, opened, found again, and switched off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.settings import SettingsStore
from builders.gguf_models import WORDS, byte_vocabulary, chain, write_scripted_model
from engine.partial_sampling import PartialSampling
from engine.types import LoadOptions

Start = Callable[..., Any]
Look = Callable[..., Any]

# As Qwen3's: the thought is written by the model, unless the switch has it closed in the prompt.
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
    "{% if false %}{{ '<think>\\n' + thought + '\\n</think>\\n' }}{% endif %}A:"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
)


def _use_thinking_model(home: Path) -> None:
    """Make a model that thinks `Hm` and says `4!` the one that answers."""
    (home / "models").mkdir(parents=True)
    vocabulary = byte_vocabulary([*WORDS], user_defined=["<think>", "</think>"])
    said = (b"<think>", b"\n", b"H", b"m", b"</think>", b"\n\n", b"4", b"!")
    following = chain(b":", *said, vocabulary=vocabulary)
    write_scripted_model(
        home / "models" / "thinker.gguf", following, vocabulary=vocabulary, chat_template=TEMPLATE
    )
    SettingsStore(home).update(
        default_model="thinker",
        load=LoadOptions(threads=1),
        model_sampling={"thinker": PartialSampling(temperature=0.0)},
    )


def _open_thoughts(app: Any) -> int:
    return int(app.page.locator('[aria-expanded="true"][aria-label^="Thought"]').count())


def test_a_thought_is_folded_opened_found_and_switched_off(start: Start, look: Look, home: Path) -> None:
    _use_thinking_model(home)
    app = look(start())

    app.ask("first")
    app.wait_for_answer()
    app.wait_for_label("last-reply", "4!")
    app.wait_for_label("thought", "Thought")
    assert "Hm" not in app.page_text()
    app.click("thought")
    app.wait_for_label("last-reply", "Hm")
    assert _open_thoughts(app) == 1
    app.click("thought")
    app.wait_for(lambda: "Hm" not in app.page_text(), "the thought to be closed")

    app.click("thinking")
    app.click_text("Don't think, answer at once")
    app.wait_for_label("thinking", "Don't think")
    app.ask("second")
    app.wait_for_label("last-user", "second")
    app.wait_for_answer()
    app.wait_for_label("last-reply", "4!")
    assert not app.has("thought")

    app.click("new-chat")
    app.wait_for(lambda: not app.has("last-reply"), "an empty chat")
    app.type("chat-search", "hm")
    app.wait_for_label("chat-list", "Thought:")
    app.page.keyboard.press("Enter")
    app.wait_for(lambda: _open_thoughts(app) == 1, "the thought, open")
