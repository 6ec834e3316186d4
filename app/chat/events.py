"""What the chat service tells its listeners: frozen values, sent on the service's threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.chat.choices import ModelChoice
from engine.types import ModelInfo

Phase = Literal["idle", "loading", "ready", "failed", "restarting"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the engine does now.

    model: the one that is loaded, being loaded, or that failed. error: why it failed or had to restart.
    progress: 0 to 1 while loading, None where it is not known. answering: the conversation whose question is
    being worked on, from before the model is loaded for it. message_id: the answer, once it exists.
    reading_prompt: the answer has begun, and there is no first word yet. thinking: its words are
    thoughts so far.
    """

    phase: Phase = "idle"
    model: ModelChoice | None = None
    info: ModelInfo | None = None
    error: Exception | None = None
    progress: float | None = None
    answering: int | None = None
    message_id: int | None = None
    reading_prompt: bool = False
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class ConversationsChanged:
    """Titles, order, folders, pins or trash are different: read the list again."""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Messages were added, removed or edited, or another branch is shown: read the path again."""

    conversation_id: int


@dataclass(frozen=True, slots=True)
class AnswerGrew:
    """`text` is the new piece only; `offset` is how many characters of the answer come before it."""

    conversation_id: int
    message_id: int
    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ThoughtGrew:
    """As `AnswerGrew`, for the thought that precedes the answer."""

    conversation_id: int
    message_id: int
    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """The answer is on disk with its status and statistics: read that message again."""

    conversation_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Other questions of this conversation wait for the engine than before."""

    conversation_id: int


@dataclass(frozen=True, slots=True)
class EngineChanged:
    """The engine does something else than before."""

    state: EngineState


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed that a person should read about: an EngineError, HistoryError, AppError, ConvertError.

    Any other exception is a bug. conversation_id: None where it belongs to none.
    """

    conversation_id: int | None
    error: BaseException


ChatEvent = (
    ConversationsChanged
    | PathChanged
    | AnswerGrew
    | ThoughtGrew
    | AnswerEnded
    | QueueChanged
    | EngineChanged
    | Problem
)
