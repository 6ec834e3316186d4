"""What follows from the messages of a path: which of them the model remembers, how full its context is, and
whether that leaves room to go on.

Pure functions; nothing here reads the disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.history.records import PathMessage
from engine.types import Statistics


def remembered_from(path: Sequence[PathMessage]) -> int | None:
    """The id of the first message that the newest answer still knew; None when nothing was forgotten."""
    index, statistics = _newest_statistics(path)
    if statistics is None or statistics.forgotten_turns <= 0:
        return None
    starts = _turn_starts(path[:index])
    return starts[statistics.forgotten_turns] if statistics.forgotten_turns < len(starts) else None


def context_use(path: Sequence[PathMessage]) -> tuple[int, int] | None:
    """Tokens used and available after the newest answer; None before the first."""
    _, statistics = _newest_statistics(path)
    return None if statistics is None else (statistics.context_used, statistics.context_tokens)


def can_go_on(path: Sequence[PathMessage], context_tokens: int | None) -> bool:
    """Whether the newest answer can be continued: the context has room for more, or gets some when earlier
    turns are forgotten. context_tokens: of the model that would go on, None where it is not known.
    """
    index, statistics = _newest_statistics(path)
    if statistics is None or statistics.context_used < max(statistics.context_tokens, context_tokens or 0):
        return True
    return statistics.forgotten_turns + 1 < len(_turn_starts(path[: index + 1]))


def _newest_statistics(path: Sequence[PathMessage]) -> tuple[int, Statistics | None]:
    """Where on the path it is, and what it took."""
    for index in range(len(path) - 1, -1, -1):
        statistics = path[index].message.statistics
        if statistics is not None:
            return index, statistics
    return 0, None


def _turn_starts(path: Sequence[PathMessage]) -> list[int]:
    """Ids of the questions that begin a turn, in the engine's count (see `prompt_messages`)."""
    starts: list[int] = []
    role = "assistant"
    for message in (entry.message for entry in path):
        if message.role == "system" or message.is_empty:
            continue
        if message.role == "user" and role != "user":
            starts.append(message.id)
        if starts:
            role = message.role
    return starts
