"""How conversations are grouped by day, how hits are marked, and what files are called."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from app.components.sidebar.conversation_groups import grouped
from app.components.sidebar.file_transfer import safe_name
from app.components.sidebar.search_results import highlighted
from app.history.records import Conversation, Overrides, SearchHit

TODAY = date(2026, 3, 1)  # the day before was in a shorter month


def _conversation(number: int, when: datetime, *, pinned: bool = False) -> Conversation:
    moment = int(when.timestamp() * 1000)
    return Conversation(number, str(number), "", False, moment, moment, pinned, None, "", Overrides(), None)


def test_groups_follow_the_calendar_not_the_clock() -> None:
    conversations = [
        _conversation(1, datetime(2025, 1, 1), pinned=True),
        _conversation(2, datetime(2026, 3, 1, 0, 1)),
        _conversation(3, datetime(2026, 2, 28, 23, 59)),
        _conversation(4, datetime(2026, 2, 28, 0, 0)),
        _conversation(5, datetime(2026, 2, 23, 12)),
        _conversation(6, datetime(2026, 2, 22, 12)),
        _conversation(7, datetime(2020, 1, 1)),
    ]

    found = {key: [each.id for each in group] for key, group in grouped(conversations, TODAY)}

    assert found == {
        "sidebar.pinned": [1],
        "sidebar.today": [2],
        "sidebar.yesterday": [3, 4],
        "sidebar.week": [5],
        "sidebar.earlier": [6, 7],
    }


def test_a_clock_that_was_ahead_puts_nothing_into_a_group_of_its_own() -> None:
    groups = list(grouped([_conversation(1, datetime(2026, 3, 5))], TODAY))

    assert [key for key, _ in groups] == ["sidebar.today"]


def _hit(snippet: str, *highlights: tuple[int, int]) -> SearchHit:
    return SearchHit(1, 2, "", "user", 0, snippet, highlights, 0)


@pytest.mark.parametrize(
    ("hit", "pieces"),
    [
        (_hit("关于春天的诗", (2, 4)), [("关于", False), ("春天", True), ("的诗", False)]),
        (_hit("春天", (0, 2)), [("春天", True)]),
        (_hit("ab", (0, 1), (1, 2)), [("a", True), ("b", True)]),
        (_hit("plain"), [("plain", False)]),
    ],
)
def test_the_found_words_are_marked_and_nothing_is_lost(
    hit: SearchHit, pieces: list[tuple[str, bool]]
) -> None:
    spans = highlighted(hit)

    assert [(span.text, span.style is not None) for span in spans] == pieces


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("春天/夏天: 诗?", "春天 夏天 诗"),
        ("..\\..\\etc", "etc"),
        ("   ", "chatbelle"),
        ("a\nb\tc", "a b c"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_title_becomes_a_file_name_for_every_system(title: str, name: str) -> None:
    assert safe_name(title) == name
