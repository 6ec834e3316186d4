"""The dialog of the self-test: what it shows of steps that failed, and what closing it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import flet as ft
import pytest

from app.components.settings.self_test_dialog import SelfTestDialog
from app.home import Home
from app.models.service import ModelService
from app.self_test.child import SelfTest
from app.self_test.steps import STEP_NAMES, Report, StepEnded, StepStarted
from app.views.context import ViewContext
from fakes.view_context import FakeViewContext, find_control, until, words_of

FAILED = StepEnded("page", "failed", 9, "a file did not come.", "Install it again.")
ENDED = tuple(FAILED if name == "page" else StepEnded(name, "ok", 1, "fine") for name in STEP_NAMES)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A self-test whose page failed; tells when it was stopped."""
    told: list[bool] = []

    def events(_test: SelfTest) -> Iterator[StepStarted | StepEnded | Report]:
        for step in ENDED:
            yield StepStarted(step.name)
            yield step
        yield Report({"version": "0.1.0"}, ENDED)

    monkeypatch.setattr(SelfTest, "events", events)
    monkeypatch.setattr(SelfTest, "stop", lambda _test: told.append(True))
    return told


def _press(dialog: SelfTestDialog, identifier: str) -> None:
    for action in dialog.actions:
        button = find_control(cast(ft.Control, action), identifier)
        if button is not None:
            button.on_click()


def test_what_failed_is_shown_with_what_to_do_and_can_be_copied(
    models: ModelService, stopped: list[bool]
) -> None:
    copied: list[str] = []

    async def look() -> None:
        context: Any = FakeViewContext(models)
        context.copy = copied.append
        dialog = SelfTestDialog(cast(ViewContext, context))
        await dialog.run()
        await until(lambda: "1 of 9 steps failed" in words_of(dialog))
        assert "a file did not come. Install it again." in words_of(dialog)
        _press(dialog, "self-test-copy")
        assert not stopped
        _press(dialog, "self-test-close")

    asyncio.run(look())

    assert copied[0].startswith("1 of 9 steps failed: Page of the window.")
    assert "Install it again." in copied[0]
    assert stopped == [True]


def test_the_end_of_the_program_ends_the_check(models: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would keep the process of a closed window until its last step."""
    stopped = threading.Event()

    def events(_test: SelfTest) -> Iterator[StepStarted]:
        yield StepStarted(STEP_NAMES[0])
        assert stopped.wait(60)

    monkeypatch.setattr(SelfTest, "events", events)
    monkeypatch.setattr(SelfTest, "stop", lambda _test: stopped.set())

    async def look() -> None:
        dialog = SelfTestDialog(cast(ViewContext, FakeViewContext(models)))
        running = asyncio.create_task(dialog.run())
        await asyncio.sleep(0)
        running.cancel()

    asyncio.run(look())

    assert stopped.is_set()
