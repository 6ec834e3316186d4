"""The check of the installation, as a person runs it in the settings and copies its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
Look = Callable[..., Any]


@pytest.mark.parametrize(
    ("language", "passed"), [("en", "all 9 steps passed"), ("zh-CN", "9 个步骤全部通过")]
)
def test_the_installation_is_checked_beside_the_chat_and_the_report_copied(
    start: Start, look: Look, language: str, passed: str
) -> None:
    app = look(start(language=language))
    app.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    app.click("settings")
    _scroll_to(app, "self-test")

    app.click("self-test")
    app.wait_for_label("self-test-result", passed)
    app.click("self-test-copy")

    report = app.wait_for(
        lambda: app.page.evaluate("() => navigator.clipboard.readText()"), "the report on the clipboard"
    )
    assert passed in report
    assert str(app.server.home.parent / "hf") in report
    app.click("self-test-close")
    app.wait_for(lambda: not app.has("self-test-result"), "a closed dialog")
    assert app.reached == []


def _scroll_to(app: Any, identifier: str) -> None:
    """Turn the wheel until the control is to be seen."""
    app.page.mouse.move(640, 500)
    for _ in range(100):
        box = app.find(identifier).bounding_box() if app.has(identifier) else None
        if box and box["y"] + box["height"] < app.page.viewport_size["height"]:
            return
        app.page.mouse.wheel(0, 200)
        app.page.wait_for_timeout(200)
    raise AssertionError(f"{identifier} is nowhere on the page")
