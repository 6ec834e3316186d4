"""What is said of an answer under it: which limit ended it, and the settings that made it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.components.chat.answer_details import cut_off_text, sampling_text
from app.history.records import Status, StoredMessage
from app.i18n import WindowTexts
from engine.types import Sampling, Statistics

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
        (Status.UNFINISHED, 700, "app"),
    ],
)
def test_an_answer_says_which_limit_ended_it(status: Status, context_used: int, said: str) -> None:
    assert said in cut_off_text(answer(status, context_used), TEXTS)


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
