"""All that the chat shows of one conversation, read in one go, and what its answers are made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.chat.paths import context_use, remembered_from
from app.components.chat.message_list import Place
from app.components.chat.queue_chips import Queued
from app.components.chat.sampling_sheet import Adjustment
from app.history.records import Conversation, Overrides, PathMessage
from app.personas import Persona
from convert.i18n import Language
from engine.partial_sampling import NOTHING, ResolvedSampling

if TYPE_CHECKING:
    from app.chat.service import ChatService


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation as it was read; the empty one is a conversation that does not exist yet."""

    conversation: Conversation | None = None
    path: tuple[PathMessage, ...] = ()
    remembered_from: int | None = None
    context_use: tuple[int, int] | None = None
    queued: tuple[Queued, ...] = ()

    @property
    def last_answer(self) -> str | None:
        """The newest answer's text."""
        texts = (entry.message.text for entry in reversed(self.path) if entry.message.role == "assistant")
        return next(texts, None)

    @property
    def awaits_answer(self) -> bool:
        """Whether the last message is a question."""
        return bool(self.path) and self.path[-1].message.role == "user"


@dataclass(frozen=True, slots=True)
class Carried:
    """What outlives a chat view, for the one that takes its place when the page is built anew.

    new_draft, new_overrides: of the chat that does not exist yet. place: in the conversation of this id.
    opened_thoughts: ids of answers whose thoughts are open.
    """

    new_draft: str = ""
    new_overrides: Overrides = Overrides()
    conversation_id: int | None = None
    place: Place | None = None
    opened_thoughts: frozenset[int] = frozenset()


def read_conversation(service: ChatService, conversation_id: int, reveal: int | None = None) -> Reading:
    """Read a conversation; reveal: a message whose branch is to be shown. Raises ConversationMissing."""
    if reveal is not None:
        service.history.messages.reveal(reveal)
    path = service.path(conversation_id)
    return Reading(
        conversation=service.history.conversations.get(conversation_id),
        path=path,
        remembered_from=remembered_from(path),
        context_use=context_use(path),
        queued=queued_in(path, service.queued(conversation_id)),
    )


def with_draft(draft: str, typed: str) -> str:
    """A draft that was read, and what was typed while it was read."""
    return typed if typed.startswith(draft) else draft + typed


def queued_in(path: Sequence[PathMessage], waiting: Sequence[int]) -> tuple[Queued, ...]:
    """Those messages of a path that wait for the engine."""
    return tuple(
        Queued(entry.message.id, entry.message.text) for entry in path if entry.message.id in waiting
    )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The persona of a conversation, all that can be chosen, and what the conversation sets for itself."""

    personas: tuple[Persona, ...]
    persona: Persona
    overrides: Overrides

    @property
    def adjustment(self) -> Adjustment:
        """What the conversation sets for itself; values that say nothing set nothing."""
        sampling = self.overrides.sampling
        return Adjustment(self.overrides.system, None if sampling == NOTHING else sampling)

    @property
    def is_adjusted(self) -> bool:
        """Whether anything does."""
        return self.adjustment != Adjustment(None, None)


def behaviour(service: ChatService, overrides: Overrides, language: Language) -> Behaviour:
    """How a conversation with these overrides is answered."""
    personas = service.personas.all(language)
    chosen = overrides.persona or service.settings.settings.persona
    persona = next((each for each in personas if each.id == chosen), personas[0])
    return Behaviour(personas, persona, overrides)


def sampling_below(service: ChatService, overrides: Overrides) -> ResolvedSampling:
    """The sampling that applies while the conversation sets none of its own; may read a model's header."""
    return service.plan_for(replace(overrides, sampling=None)).resolved


def with_adjustment(overrides: Overrides, adjustment: Adjustment) -> Overrides:
    """These overrides, with another system text and sampling."""
    return replace(overrides, system=adjustment.system, sampling=adjustment.sampling)
