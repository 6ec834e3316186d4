"""Radios whose words wrap and choose them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import flet as ft
import pytest

from app.components.basics.radio_choices import RadioChoices
from app.home import Home
from app.models.service import ModelService
from app.views.context import ViewContext
from fakes.view_context import FakeViewContext, find_control, seen_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def words_of(choices: RadioChoices, identifier: str) -> Any:
    """What a tap on the words of a choice goes to."""
    row = find_control(choices, identifier)
    return next(node for node in seen_of(row) if isinstance(node, ft.GestureDetector))


def test_a_tap_on_the_words_chooses(models: ModelService) -> None:
    async def run() -> None:
        told: list[str | None] = []
        context = cast(ViewContext, FakeViewContext(models))
        choices = RadioChoices(context, "a", lambda: told.append(choices.value))
        choices.rows.controls = [
            choices.row("a", "First", "choice-a"),
            choices.row("b", "Second", "choice-b"),
            choices.row("c", "Third", "choice-c", is_possible=False),
        ]
        for name, value in (("a", "a"), ("b", "b"), ("b", "b"), ("c", "b")):
            words_of(choices, f"choice-{name}").on_tap()
            assert choices.value == value
        assert told == ["b"]  # what was chosen already, or can't be, is no news
        assert [find_control(choices, f"choice-{name}").disabled for name in "abc"] == [False, False, True]

    asyncio.run(run())
