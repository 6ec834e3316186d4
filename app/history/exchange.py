"""The JSON form in which conversations leave and come back without loss, version 1.

    {"format": "chatbelle-history", "version": 1, "exported_at": 1700000000000,
     "conversations": [ExchangeConversation, ...]}

The objects are the dataclasses below, keys as the fields are named; times are milliseconds since 1970 (UTC).
Readers ignore keys they don't know. `uid`s are unique everywhere, and make a second import recognisable.
Knows no database and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.history.records import Origin, Overrides, Status
from app.old_sampling import with_partial_overrides
from app.typed_json import JsonMismatch, from_json
from engine.types import Role, Statistics, TokenIds

FORMAT = "chatbelle-history"
VERSION = 1

_MAX_UID_CHARACTERS = 200
_MAX_CHOICE = 2**53
_MAX_MOMENT = 253_402_300_800_000  # the year 10,000
_MAX_TOKEN_ID = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ExchangeMessage:
    """A message; `parent` is the uid of an earlier one. The sibling of highest `choice` is shown."""

    uid: str
    parent: str | None
    role: Role
    text: str
    status: Status = Status.COMPLETE
    created_at: int = 0
    choice: int = 1
    tokens: TokenIds | None = None
    statistics: Statistics | None = None
    origin: Origin | None = None
    thought: str = ""
    thought_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ExchangeConversation:
    """A conversation with all its branches; `title_is_own`: chosen by a person, not made from the text."""

    uid: str
    title: str = ""
    title_is_own: bool = False
    created_at: int = 0
    updated_at: int = 0
    pinned: bool = False
    folder: str | None = None
    draft: str = ""
    overrides: Overrides = Overrides()
    messages: tuple[ExchangeMessage, ...] = ()


def read_conversations(values: Any) -> list[ExchangeConversation]:
    """Checked conversations from the parsed list; raises JsonMismatch, which names the place."""
    if not isinstance(values, list):
        raise JsonMismatch("conversations", "a list")
    conversations = []
    for index, value in enumerate(values):
        location = f"conversations[{index}]"
        conversation = from_json(ExchangeConversation, _modern(value), location)
        _check(conversation, location)
        conversations.append(conversation)
    return conversations


def _modern(value: Any) -> Any:
    """A conversation as this version writes it: exports of older ones have complete sampling values."""
    if not isinstance(value, dict) or "overrides" not in value:
        return value
    return {**value, "overrides": with_partial_overrides(value["overrides"])}


def _check(conversation: ExchangeConversation, location: str) -> None:
    _check_uid(conversation.uid, location)
    _check_range(conversation.created_at, _MAX_MOMENT, f"{location}.created_at")
    _check_range(conversation.updated_at, _MAX_MOMENT, f"{location}.updated_at")
    known: set[str] = set()
    for index, message in enumerate(conversation.messages):
        place = f"{location}.messages[{index}]"
        _check_uid(message.uid, place)
        if message.uid in known:
            raise JsonMismatch(f"{place}.uid", "a uid of its own")
        if message.parent is not None and message.parent not in known:
            raise JsonMismatch(f"{place}.parent", "the uid of an earlier message")
        _check_range(message.created_at, _MAX_MOMENT, f"{place}.created_at")
        _check_range(message.choice, _MAX_CHOICE, f"{place}.choice")
        _check_range(message.thought_s, _MAX_MOMENT, f"{place}.thought_s")
        for token in message.tokens.ids if message.tokens else ():
            _check_range(token, _MAX_TOKEN_ID, f"{place}.tokens.ids")
        known.add(message.uid)


def _check_uid(uid: str, location: str) -> None:
    if not 1 <= len(uid) <= _MAX_UID_CHARACTERS:
        raise JsonMismatch(f"{location}.uid", f"1 to {_MAX_UID_CHARACTERS} characters")


def _check_range(value: float, largest: int, location: str) -> None:
    if not 0 <= value <= largest:
        raise JsonMismatch(location, f"0 to {largest}")
