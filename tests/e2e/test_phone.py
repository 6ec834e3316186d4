"""The app as it is staged for phones: compiled, with a phone's packages only, and no process but its own.

Shown by a browser of a phone's size that says it is one; Flet's own client was not there to be tried.
"""

from __future__ import annotations

import compileall
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.models.finding import load_catalog
from builders.gguf_models import Shape, write_model
from builders.hub import LocalHub

ROOT = Path(__file__).resolve().parents[2]
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/130.0.0.0 Mobile Safari/537.36"
)
CHINESE = {"width": 360, "height": 740, "user_agent": ANDROID, "has_touch": True, "locale": "zh-CN"}
ENGLISH = {**CHINESE, "locale": "en-US"}

Start = Callable[..., Any]
Look = Callable[..., Any]
Phone = Callable[..., Any]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The staged folder as a phone gets it: without sources."""
    folder = tmp_path_factory.mktemp("手机") / "app"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "packaging")}
    command = [sys.executable, "-m", "phones.stage", folder]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=300)
    assert compileall.compile_dir(folder, quiet=1, legacy=True)
    for source in folder.rglob("*.py"):
        source.unlink()
    return folder


@pytest.fixture
def phone(staged: Path, start: Start, tmp_path: Path) -> Iterator[Phone]:
    """Start the app, with options of `Server`; what it was refused is a failure of the test."""
    servers: list[Any] = []

    def run(**options: Any) -> Any:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        harness = ROOT / "tests" / "builders" / "phone_process.py"
        home = tmp_path / "数据 文件夹"
        (tmp_path / "temp").mkdir(exist_ok=True)
        environ = {
            "CHATBELLE_HOME": "",
            "PYTHONPATH": "",
            "HOME": str(tmp_path / "nobody"),
            "FLET_APP_STORAGE_DATA": str(home),
            "FLET_APP_STORAGE_TEMP": str(tmp_path / "temp"),
            "FLET_ASSETS_DIR": str(ROOT / "assets" / "web"),  # a browser has no fonts of its own
        }
        program = (str(harness), str(staged), str(port), secrets.token_urlsafe(16))
        servers.append(start(environ=environ, program=program, **options))
        return servers[-1]

    yield run
    for server in servers:
        server.kill()
        assert [line for line in server.errors if line.startswith("refused")] == []


def ask(app: Any, text: str) -> str:
    """Ask as on a touch screen, where Enter begins a line, and wait for the whole answer."""
    app.write(text)
    app.click("send")
    return str(app.wait_for_answer())


def test_the_first_start_answers_in_the_persons_language(phone: Phone, look: Look) -> None:
    app = look(phone(), **CHINESE)

    assert not app.has("new-chat")  # the sidebar is a drawer
    assert "BELLE" in ask(app, "BELLE 是什么？")
    app.click("menu")
    app.wait_for_label("new-chat", "新对话")
    assert app.reached == []


def test_a_conversation_survives_the_end_that_nobody_announces(phone: Phone, look: Look) -> None:
    server = phone()
    answer = ask(look(server, **ENGLISH), "你好")

    server.kill()
    app = look(phone(), **ENGLISH)

    app.wait_for(lambda: app.reply == answer, "the answer of the run before")
    assert ask(app, "你是谁？")


def test_an_answer_can_be_stopped_while_the_page_lives(phone: Phone, look: Look, tmp_path: Path) -> None:
    home = tmp_path / "数据 文件夹"
    (home / "models").mkdir(parents=True)
    slow = Shape(n_embd=512, n_heads=8, n_layers=12, n_ff=2048, context=4096)
    write_model(home / "models" / "随机.gguf", architecture="llama", shape=slow)
    limits = {"随机": {"max_tokens": 4000}}
    settings = {"version": 1, "default_model": "随机", "model_sampling": limits}
    (home / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    app = look(phone(), **ENGLISH)
    app.write("写一首很长的诗")
    app.click("send")
    app.wait_for(lambda: len(app.reply) > 20, "words that come one by one")

    app.click("menu")  # the interface answers while the engine computes
    app.wait_for(lambda: app.has("new-chat"), "the drawer")
    app.click("new-chat")
    app.wait_for(lambda: not app.has("new-chat"), "a closed drawer")
    app.click("menu")
    app.click_text("写一首很长的诗")
    app.click("stop")

    app.wait_for(lambda: app.has("regenerate") and app.is_ready, "an answer that is stopped")
    assert not app.has("stop")


@pytest.mark.parametrize("person", [CHINESE, ENGLISH], ids=["zh-CN", "en"])
def test_every_screen_draws_within_the_width(phone: Phone, look: Look, person: dict[str, Any]) -> None:
    app = look(phone(), **person)

    for place in ("models", "convert", "settings"):
        app.click("menu")
        app.click(place)
        app.page.wait_for_timeout(500)
        boxes = app.page.evaluate(
            "() => [...document.querySelectorAll('flt-semantics[role=button], flt-semantics input')]"
            ".map(each => each.getBoundingClientRect()).map(box => [box.left, box.right])"
        )
        assert boxes, place
        assert all(left >= 0 and right <= 360 for left, right in boxes), (place, boxes)
        assert "Traceback" not in app.page_text()
        if not app.has("menu"):
            app.click("back")


def test_what_fingers_reach_for_is_large_enough(phone: Phone, look: Look) -> None:
    app = look(phone(), **CHINESE)
    ask(app, "你好")
    app.click("menu")

    for identifier in ("new-chat", "models", "settings", "item-menu"):
        box = app.find(identifier).bounding_box()
        assert min(box["width"], box["height"]) >= 44, (identifier, box)
    app.click("new-chat")
    for identifier in ("send", "menu"):
        box = app.find(identifier).bounding_box()
        assert min(box["width"], box["height"]) >= 44, (identifier, box)


def hide(app: Any, hidden: bool) -> None:
    """Tell the page that it is hidden or shown, as a browser does when a tab loses its place."""
    app.page.evaluate(
        "state => { Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        "hidden" if hidden else "visible",
    )


def test_what_is_typed_is_kept_when_the_app_leaves_the_screen(phone: Phone, look: Look) -> None:
    server = phone()
    app = look(server, **ENGLISH)
    app.write("写到一半")

    hide(app, True)
    settings = server.home / "settings.json"
    app.wait_for(lambda: settings.exists() and "写到一半" in settings.read_text("utf-8"), "the draft on disk")
    server.kill()
    app.page.close()
    again = look(phone(), **ENGLISH)

    again.click("prompt")  # on a phone nothing is focused by itself
    again.wait_for(lambda: again.value("prompt") == "写到一半", "the draft in the new process")


def test_memory_is_given_back_while_nobody_looks(phone: Phone, look: Look) -> None:
    server = phone()
    app = look(server, **ENGLISH)
    app.wait_for(lambda: app.is_ready, "a loaded model")
    log = server.home / "logs" / "chatbelle.log"

    hide(app, True)
    app.wait_for(lambda: "gave its memory back" in log.read_text(encoding="utf-8"), "a rest")
    hide(app, False)

    app.wait_for(lambda: app.is_ready, "the model again")
    assert ask(app, "你好")


def test_a_model_is_fetched_over_the_network_and_answers(
    phone: Phone, look: Look, hub: LocalHub, tmp_path: Path
) -> None:
    published = write_model(tmp_path / "published.gguf", architecture="llama")
    for model in load_catalog().models:
        for item in model.files or () if model.form == "gguf" else ():
            hub.add(model.repo, item.name, published)
    app = look(phone(hub=hub.url), **CHINESE)

    app.click("offer-get")
    app.click("offer-chat")
    app.write("你好")
    app.click("send")

    app.wait_for(lambda: app.reply, "words of the fetched model")
    assert [path.suffix for path in (tmp_path / "数据 文件夹" / "models").iterdir() if path.is_file()] == [
        ".gguf"
    ]
