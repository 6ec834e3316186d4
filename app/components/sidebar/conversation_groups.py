"""The conversation list's groups: pinned, today, yesterday, the last week, earlier. No screen in here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

from app.history.records import Conversation

_WEEK = timedelta(days=7)


def grouped(
    conversations: Sequence[Conversation], today: date
) -> Iterator[tuple[str, tuple[Conversation, ...]]]:
    """Groups in list order, each with the key of its heading; expects pinned first, then last used first."""
    for key, group in groupby(conversations, lambda each: group_key(each, today)):
        yield key, tuple(group)


def group_key(conversation: Conversation, today: date) -> str:
    """The heading of a conversation, by local calendar days."""
    if conversation.pinned:
        return "sidebar.pinned"
    day = datetime.fromtimestamp(conversation.updated_at / 1000).date()
    if day >= today:
        return "sidebar.today"
    if day == today - timedelta(days=1):
        return "sidebar.yesterday"
    return "sidebar.week" if today - day < _WEEK else "sidebar.earlier"
