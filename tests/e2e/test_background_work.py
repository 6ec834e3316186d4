"""Work goes on without the page that began it, and its end is told where somebody looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders.checkpoints import write_bloom
from builders.hub import Fault, LocalHub

Start = Callable[..., Any]
Look = Callable[..., Any]

BELLE = "BelleGroup/BELLE-7B-2M"


def _percent(app: Any) -> int:
    found = re.search(r"(\d+)%", app.text("strip"))
    return int(found[1]) if found else 0


def _hold_a_large_model(hub: LocalHub, folder: Path) -> Fault:
    """Let the hub have it, and hand it out slowly; returns what slows it down."""
    write_bloom(folder, hidden=512, n_layer=8)
    hub.files.clear()
    hub.add_folder(BELLE, folder)
    brake = Fault(bytes_per_s=1e5)
    hub.fault = lambda seen: brake if seen.server == "lfs" else None
    return brake


def test_a_closed_page_leaves_the_work_going_and_the_next_one_hears_of_its_end(
    start: Start, look: Look, hub: LocalHub, tmp_path: Path
) -> None:
    brake = _hold_a_large_model(hub, tmp_path / "source")
    server = start(hub=hub.url)
    first = look(server)
    first.click("offer-get")
    percent = first.wait_for(lambda: _percent(first), "a percent")

    first.page.close()

    app = look(server)
    app.wait_for(lambda: _percent(app) > percent, "more than there was when the page was closed")
    assert "downloading and converting" in app.text("strip")
    app.ask("你好")
    app.wait_for_answer()
    assert not app.has("offer")
    assert app.has("strip")
    object.__setattr__(brake, "bytes_per_s", 1e9)  # requests under way are let go as well

    app.wait_for_text("BELLE-7B-2M is ready.")
    app.wait_for(lambda: not app.has("strip"), "the end of the work")
    app.press("Chat with it")
    app.wait_for_label("model-picker", "BELLE-7B-2M")
    assert app.reached == []


def test_who_quits_while_work_is_under_way_is_asked_first(
    start: Start, look: Look, hub: LocalHub, tmp_path: Path
) -> None:
    _hold_a_large_model(hub, tmp_path / "source")
    server = start(hub=hub.url)
    app = look(server, height=3200)
    app.click("offer-get")
    percent = app.wait_for(lambda: _percent(app), "a percent")
    app.click("settings")

    app.press("Quit ChatBELLE")
    app.wait_for_text("Still at work: BELLE-7B-2M")
    app.press("Stay")

    app.wait_for(lambda: _percent(app) > percent, "more than there was before the question")
    app.press("Quit ChatBELLE")
    app.wait_for_text("Still at work: BELLE-7B-2M")
    app.press("Quit")
    assert server.process.wait(60) == 0

    again = look(start(hub=hub.url))
    again.wait_for_label("strip", "paused at")
