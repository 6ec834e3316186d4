"""Files opened with the app while it runs, in a real browser: shown at once, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders.endless_model import use_endless_model
from builders.gguf_models import write_model

Start = Callable[..., Any]
Look = Callable[..., Any]

ANSWER_S = 120  # two cores, perhaps shared with others
ROOT = Path(__file__).resolve().parents[2]


def _open(home: Path, *arguments: str | Path, folder: Path | None = None) -> str:
    """Start the program once more, as a file manager or a shell does; returns the address that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments), "--no-browser"],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "CHATBELLE_HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)},
        cwd=folder or home.parent,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_is_shown_while_an_answer_goes_on_and_text_is_typed(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    use_endless_model(home)
    model = write_model(tmp_path / "成品 model.gguf")
    server = start()
    app = look(server)
    app.ask("go")
    app.wait_for(lambda: "abc" in app.reply, "an answer that grows", ANSWER_S)
    app.write("还没写完的话")

    assert _open(home, model.name, folder=tmp_path) == server.address

    app.wait_for_label("recognised", "It needs no conversion")
    assert model.name in app.text("recognised")
    app.click("convert-start")
    app.wait_for_label("convert-progress", "It is in your models")
    app.page.keyboard.press("Control+Alt+E")
    app.wait_for_label("prompt", "还没写完的话")
    assert "Answering" in app.text("status")
    app.click("stop")
    app.wait_for_label("last-reply", "Stopped", ANSWER_S)
    assert len(list((home / "models").glob("*.gguf"))) == 2


def test_several_are_shown_together_on_the_page_that_was_used_last(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    models = [write_model(tmp_path / f"{name}.gguf") for name in ("一", "二")]
    (tmp_path / "坏.gguf").write_bytes(b"GGUF\xff\xff")
    server = start()
    other, app = look(server), look(server)
    app.write("这一页")  # a click into a field that has the focus already tells nothing

    _open(home, models[0].as_uri(), models[1], tmp_path / "坏.gguf", tmp_path / "没有.gguf")

    app.wait_for_label("opened-1", "Can be added as it is")
    app.wait_for_label("opened-3", "没有.gguf")
    assert not other.has("opened-0")
    app.click("opened-2")
    app.wait_for_label("source-problem", "坏.gguf")
    app.wait_for(lambda: app.has("opened-add"), "the button")
    app.click("opened-add")
    app.wait_for_label("opened-0", "was imported")
    app.wait_for_label("opened-1", "was imported")
    assert sorted(path.stem for path in (home / "models").glob("*.gguf")) == ["一", "二"]

    other.write("那一页")
    _open(home, write_model(tmp_path / "三.gguf"))
    other.wait_for_label("recognised", "三.gguf")
    assert not other.has("opened-0")


def test_a_file_on_the_very_first_start_is_shown_first(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "第一个.gguf")
    app = look(start(arguments=(str(model),)))
    app.wait_for_label("recognised", "It needs no conversion")
    app.click("convert-start")
    app.wait_for(lambda: app.has("convert-chat"), "the end")
