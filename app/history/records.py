"""What the history hands out: frozen values that know neither SQL nor screens.

Ids are of this database only; times are milliseconds since 1970 (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from engine.partial_sampling import PartialSampling
from engine.types import FinishReason, Message, Role, Sampling, Statistics, TokenIds


class Status(StrEnum):
    """How far a message is: only `STREAMING` still grows; `UNFINISHED` was interrupted."""

    COMPLETE = "complete"
    STREAMING = "streaming"
    UNFINISHED = "unfinished"
    STOPPED = "stopped"
    LENGTH = "length"

    @classmethod
    def of(cls, reason: FinishReason) -> Status:
        """The status of an answer that ended for `reason`."""
        if reason in (FinishReason.LENGTH, FinishReason.CONTEXT):
            return cls.LENGTH
        return cls.STOPPED if reason is FinishReason.CANCELLED else cls.COMPLETE


@dataclass(frozen=True, slots=True)
class Overrides:
    """What one conversation sets differently from the application; None leaves it as it is there."""

    persona: str | None = None
    system: str | None = None
    model: str | None = None
    sampling: PartialSampling | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What made an answer: the model's name and file type, prompt format, persona, system text, sampling."""

    model: str
    quantization: str = ""
    prompt_format: str = ""
    persona: str | None = None
    system: str = ""
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation without its messages; `title` is "" until the first question gives it one.

    title_is_own: a person chose the title, so it is never replaced by an automatic one. trashed_at: when it
    was deleted, None for one that wasn't.
    """

    id: int
    uid: str
    title: str
    title_is_own: bool
    created_at: int
    updated_at: int
    pinned: bool
    folder: str | None
    draft: str
    overrides: Overrides
    trashed_at: int | None


@dataclass(frozen=True, slots=True)
class PageCursor:
    """Where the next page of conversations begins."""

    pinned: bool
    moment: int
    id: int


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Some conversations in list order; `next` is None on the last page."""

    conversations: tuple[Conversation, ...]
    next: PageCursor | None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message; `text` is exact. `tokens`, `statistics` and `origin` are of generated answers only."""

    id: int
    uid: str
    conversation_id: int
    parent_id: int | None
    role: Role
    text: str
    status: Status
    created_at: int
    tokens: TokenIds | None = None
    statistics: Statistics | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class PathMessage:
    """A message of the shown path and its alternatives, oldest first; `sibling_ids` includes itself."""

    message: StoredMessage
    sibling_ids: tuple[int, ...]

    @property
    def number(self) -> int:
        """Which alternative this is, counted from 1, as in ‹ 2/3 ›."""
        return self.sibling_ids.index(self.message.id) + 1

    @property
    def previous_id(self) -> int | None:
        """The alternative before this one."""
        return self.sibling_ids[self.number - 2] if self.number > 1 else None

    @property
    def next_id(self) -> int | None:
        """The alternative after this one."""
        return self.sibling_ids[self.number] if self.number < len(self.sibling_ids) else None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is; `messages` and `unfinished` leave out what is deleted or in the trash."""

    conversations: int
    trashed: int
    messages: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A place where all words of a query were found; `message_id` is None when that place is the title.

    snippet: an excerpt on one line. highlights: (start, end) offsets in `snippet`, ascending, disjoint.
    offset: where the first highlight is in the message or title, in characters.
    """

    conversation_id: int
    message_id: int | None
    title: str
    role: Role | None
    moment: int
    snippet: str
    highlights: tuple[tuple[int, int], ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup file and when it was made."""

    path: Path
    created_at: int


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What happened while the history was opened, for the screen to say.

    outcome: `restored` and `started_empty` mean that the file was damaged and is kept at `damaged_path`;
    `restored` put `backup` in its place. detail: what was wrong with it. recovered_answers: answers found
    without their end. purged_conversations: those whose 30 days in the trash were over. migrated_from: the
    schema version found when it was older than this app's, else None. fully_checked: False when the file was
    so large that the check was cut short. backup_failure: why the daily backup could not be made.
    """

    outcome: Literal["created", "opened", "restored", "started_empty"]
    damaged_path: Path | None = None
    detail: str = ""
    backup: Backup | None = None
    recovered_answers: int = 0
    purged_conversations: int = 0
    migrated_from: int | None = None
    index_rebuilt: bool = False
    fully_checked: bool = True
    backup_failure: str = ""


def prompt_messages(system: str, path: Sequence[PathMessage]) -> tuple[Message, ...]:
    """The path as the engine accepts it: system text, then question and answer in turn.

    Imported conversations may have neighbours of one role (they are joined by a blank line), begin with an
    answer or have system texts later on (these are left out). Empty messages are left out as well.
    """
    kept: list[Message] = [Message("system", system)] if system else []
    for stored in (entry.message for entry in path):
        if stored.role == "system" or not stored.text:
            continue
        if kept and kept[-1].role == stored.role:
            kept[-1] = Message(stored.role, f"{kept[-1].text}\n\n{stored.text}")
        elif stored.role == "user" or (kept and kept[-1].role == "user"):
            kept.append(Message(stored.role, stored.text, stored.tokens))
    return tuple(kept)
