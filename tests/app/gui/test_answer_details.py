"""What is said of an answer under it: which limit ended it, whether it can go on, and what made it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from app.chat.paths import can_go_on
from app.components.chat.answer_details import cut_off_text, sampling_text
from app.components.chat.message_commands import MessageCommands
from app.components.chat.message_list import MessageList
from app.history.records import PathMessage, Status, StoredMessage
from app.home import Home
from app.i18n import WindowTexts
from app.models.service import ModelService
from app.views.context import ViewContext
from engine.models.endpoints import Endpoints
from engine.types import Role, Sampling, Statistics
from fakes.view_context import FakeViewContext, words_of

TEXTS = WindowTexts("en")


def answer(status: Status, context_used: int) -> StoredMessage:
    statistics = Statistics(10, 4, 20, 0.5, 2.0, 0.6, context_used, 2048, 0, 42)
    return StoredMessage(1, "u", 1, None, "assistant", "a", status, 0, statistics=statistics)


@pytest.mark.parametrize(
    ("status", "context_used", "said"),
    [
        (Status.LENGTH, 700, "longest allowed answer"),
        (Status.LENGTH, 2048, "context is full"),
        (Status.STOPPED, 2048, "Stopped"),
        (Status.UNFINISHED, 700, "interrupted"),
    ],
)
def test_an_answer_says_which_limit_ended_it(status: Status, context_used: int, said: str) -> None:
    assert said in cut_off_text(answer(status, context_used), TEXTS)


def turns(n: int, *, context_used: int = 2048, forgotten_turns: int = 0) -> list[PathMessage]:
    statistics = Statistics(10, 4, 20, 0.5, 2.0, 0.6, context_used, 2048, forgotten_turns, 42)
    path = []
    for index in range(2 * n):
        role: Role = "assistant" if index % 2 else "user"
        parent_id = index or None
        message = StoredMessage(index + 1, "u", 1, parent_id, role, "a", Status.LENGTH, 0)
        path.append(PathMessage(message, (message.id,)))
    return [*path[:-1], replace(path[-1], message=replace(path[-1].message, statistics=statistics))]


@pytest.mark.parametrize(
    ("path", "context_tokens", "expected"),
    [
        (turns(1), 2048, False),
        (turns(1), None, False),
        (turns(1), 4096, True),  # a model with more room was chosen meanwhile
        (turns(1, context_used=700), 2048, True),
        (turns(3), 2048, True),
        (turns(3, forgotten_turns=1), 2048, True),
        (turns(3, forgotten_turns=2), 2048, False),
    ],
)
def test_a_full_context_goes_on_only_where_turns_can_be_forgotten(
    path: list[PathMessage], context_tokens: int | None, expected: bool
) -> None:
    assert can_go_on(path, context_tokens) == expected


@pytest.mark.parametrize(("n_turns", "is_offered"), [(1, False), (2, True)])
def test_going_on_is_offered_where_it_can_work(tmp_path: Path, n_turns: int, is_offered: bool) -> None:
    async def look() -> None:
        models = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))
        rows = MessageList(
            cast(ViewContext, FakeViewContext(models)), MessageCommands(*([lambda *_: None] * 5))
        )
        rows.show(turns(n_turns), None)
        words = words_of(rows)
        assert ("Continue" in words) == is_offered
        assert ("Ask for less at a time" in words) != is_offered
        models.close()

    asyncio.run(look())


def test_a_question_without_an_answer_says_why(tmp_path: Path) -> None:
    async def look() -> None:
        models = ModelService(Home(tmp_path), endpoints=lambda: Endpoints(()))
        rows = MessageList(
            cast(ViewContext, FakeViewContext(models)), MessageCommands(*([lambda *_: None] * 5))
        )
        rows.show(turns(1)[:1], None)
        rows.mark_unanswered(1)
        assert "Not answered yet" in words_of(rows)
        rows.mark_unanswered(1, "The template fails.")
        assert "The template fails." in words_of(rows)
        assert "Not answered yet" not in words_of(rows)
        rows.mark_unanswered(None)
        assert "Answer now" not in words_of(rows)
        models.close()

    asyncio.run(look())


def test_an_answer_that_nobody_measured_says_what_is_known() -> None:
    unmeasured = replace(answer(Status.LENGTH, 0), statistics=None)

    assert "longest allowed answer" in cut_off_text(unmeasured, TEXTS)


def test_settings_that_are_off_are_not_listed() -> None:
    plain = sampling_text(Sampling(), TEXTS)
    assert plain == "Temperature 0.8, Top-k 40, Top-p 0.95, Min-p 0.05"

    others = sampling_text(Sampling(min_p=0.0, repetition_penalty=1.2, max_tokens=512), TEXTS)
    assert others == (
        "Temperature 0.8, Top-k 40, Top-p 0.95, Repetition penalty 1.2, Longest answer (tokens) 512"
    )
