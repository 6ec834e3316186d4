"""Everything a chat window asks for: conversations, answers one at a time, and the model that makes them.

    service = ChatService(home=home, settings=settings, personas=personas, history=history)
    unsubscribe = service.subscribe(listener)
    conversation_id = service.new_conversation()
    service.send(conversation_id, "你好")

Safe to use from any thread. Every call may wait for the disk for some milliseconds, none waits for the engine
(but `close`, up to seconds). Listeners are called on the service's threads, outside of its locks. Knows no
screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.chat.answer_plan import AnswerPlan, Planner
from app.chat.answer_run import AnswerRun
from app.chat.answering import Answering
from app.chat.choices import DEMO, ModelChoice, find_choice, find_key, list_choices
from app.chat.engine_host import EngineHost
from app.chat.events import ChatEvent, EngineChanged, EngineState, PathChanged, Problem
from app.chat.paths import context_use, remembered_from
from app.history.errors import BackupFailed, ConversationMissing
from app.history.records import Overrides, PathMessage, Status
from app.history.store import HistoryStore
from app.home import Home
from app.listeners import Listeners
from app.personas import PersonaStore
from app.settings import SettingsStore
from convert.i18n import Language
from engine.backend import Backend
from engine.partial_sampling import NOTHING, ResolvedSampling


def _default_backend() -> Backend:
    from engine.backends import make_backend

    return make_backend()


@dataclass(frozen=True, slots=True)
class Deletion:
    """What `undo` takes."""

    conversation_id: int
    number: int


class ChatService:
    """history, settings and personas are the stores themselves; who changes a list there tells its own pages.

    Takes over the history: `close` closes it.
    """

    def __init__(
        self,
        *,
        home: Home,
        settings: SettingsStore,
        personas: PersonaStore,
        history: HistoryStore,
        make_backend: Callable[[], Backend] = _default_backend,
        language: Language | None = None,
    ) -> None:
        """language: of the presets where the settings follow the system; None asks the system."""
        self.home = home
        self.settings = settings
        self.personas = personas
        self.history = history
        self._lock = threading.Lock()
        self._listeners: Listeners[ChatEvent] = Listeners()
        self._empty: int | None = None
        self._is_closed = False
        self._host = EngineHost(
            home,
            make_backend,
            on_change=lambda state: self._listeners.tell(EngineChanged(state)),
            on_bug=lambda error: self._listeners.tell(Problem(None, error)),
        )
        self._planner = Planner(home, settings, personas, language)
        self._answering = Answering(self._host, history, settings, self._planner, self._listeners.tell)

    def subscribe(self, listener: Callable[[ChatEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event, until the returned function is called."""
        return self._listeners.add(listener)

    def publish(self, event: ChatEvent) -> None:
        """Tell all listeners of a change that was made to a store directly, such as a new title."""
        self._listeners.tell(event)

    # The engine

    @property
    def state(self) -> EngineState:
        """What the engine does now."""
        return self._host.state

    def models(self) -> tuple[ModelChoice, ...]:
        """What can be chosen: the demo first, then the models folder, then a file from elsewhere."""
        return list_choices(self.home, self.settings.settings.default_model)

    def chosen_model(self) -> ModelChoice:
        """The model that the settings name, where it is (still) there, or the demo."""
        return self._planner.choice(Overrides())

    def choose_model(self, key: str) -> None:
        """Use a model from now on and load it in the background, after the answer that is running.

        Raises ModelNotFound, ModelIsFolder and SettingsNotSaved.
        """
        choice = find_choice(key, self.home)
        self.settings.update(default_model=None if choice.is_demo else choice.key)
        self._answering.load()

    def choose_file(self, path: Path | None) -> None:
        """As `choose_model`, by the model's file; None is the demo."""
        self.choose_model(DEMO.key if path is None else find_key(path, self.home))

    def choose_prompt_format(self, path: Path, chosen: str | None) -> None:
        """Put questions to the model at `path` in another format from now on: a name of
        `engine.prompt.PROMPT_FORMATS` or the path of a chat template; None is what its file says.

        A model that is loaded is loaded anew. Raises SettingsNotSaved.
        """
        self.settings.set_prompt_format(find_key(path, self.home), chosen)
        if self.state.model is not None and self.state.model.path == path:
            self._answering.load()

    def prompt_format(self, path: Path) -> str | None:
        """What was chosen for the model at `path`, see `choose_prompt_format`. May wait for the disk."""
        return self.settings.settings.prompt_formats.get(find_key(path, self.home))

    def prompt_formats(self) -> dict[Path, str]:
        """What was chosen for models that are there now, by their files. May wait for the disk."""
        chosen = self.settings.settings.prompt_formats
        choices = ((choice.path, chosen.get(choice.key)) for choice in list_choices(self.home, *chosen))
        return {path: kept for path, kept in choices if path is not None and kept is not None}

    def load(self, *, ignore_memory: bool = False) -> None:
        """Load the chosen model in the background, so that the first answer comes sooner.

        ignore_memory: load the one that failed although it does not seem to fit. That holds for this model
        until another one is used, and is not stored.
        """
        self._answering.load(ignore_memory=ignore_memory)

    def went_away(self) -> None:
        """Nobody looks, and the system may end this process: give memory back after the answers under way,
        and back up the history if that is due. Waits for the disk.
        """
        self._host.rest()
        with suppress(BackupFailed):  # the next occasion is as good
            self.history.backups.make_if_due()

    def came_back(self) -> None:
        """Somebody looks again: have the model ready that was."""
        if self._host.wake():
            self.load()

    # Conversations

    def new_conversation(self, persona: str | None = None) -> int:
        """The id of an empty conversation; the same again until it gets its first question."""
        overrides = Overrides(persona=persona)
        with self._lock:
            if self._empty is not None and self._is_unused(self._empty):
                self.history.conversations.set_overrides(self._empty, overrides)
            else:
                self._empty = self.history.conversations.create(overrides=overrides).id
            return self._empty

    def path(self, conversation_id: int) -> tuple[PathMessage, ...]:
        """The shown messages, with all there is so far of a streaming answer."""
        path = self.history.messages.path(conversation_id)
        run = self._answering.run
        if run is None or run.message_id is None:
            return path
        return tuple(_as_made(entry, run) if entry.message.id == run.message_id else entry for entry in path)

    def remembered_from(self, conversation_id: int) -> int | None:
        """From which message on the model remembers; None while it remembers all."""
        return remembered_from(self.history.messages.path(conversation_id))

    def context_use(self, conversation_id: int) -> tuple[int, int] | None:
        """Tokens used and available after the newest answer; None before the first."""
        return context_use(self.history.messages.path(conversation_id))

    def answer_plan(self, conversation_id: int | None) -> AnswerPlan:
        """What the next answer would be made with: persona, system text, sampling."""
        overrides = Overrides()
        if conversation_id is not None:
            overrides = self.history.conversations.get(conversation_id).overrides
        return self.plan_for(overrides)

    def plan_for(self, overrides: Overrides) -> AnswerPlan:
        """What answers of a conversation with these overrides are made with; may read a model's header."""
        return self._planner.plan(overrides, self._planner.choice(overrides))

    def model_sampling(self, choice: ModelChoice, *, with_own: bool) -> ResolvedSampling:
        """How a model answers where neither conversation nor persona says anything; may read its header.

        with_own: with what the person set for it.
        """
        own = self.settings.settings.sampling_of(choice.key) if with_own else NOTHING
        return self._planner.sampling(choice, own=own)

    # Questions and answers

    def send(self, conversation_id: int, text: str) -> int:
        """Ask; returns the question's id, when it is on disk. It waits while another answer is made.

        A question that follows one which still waits is answered together with it.
        """
        return self._answering.ask(conversation_id, text)

    def edit_question(self, message_id: int, text: str) -> int:
        """Ask something else in the place of a question, whose branch stays; returns the new id."""
        question = self.history.messages.edit_question(message_id, text)
        self._answering.request("answer", question)
        return question.id

    def regenerate(self, message_id: int) -> None:
        """Answer once more; of a question that has no answer, for the first time. The other answers stay."""
        message = self.history.messages.get(message_id)
        if message.role == "assistant" and message.parent_id is not None:
            message = self.history.messages.get(message.parent_id)
        self._answering.request("answer", message)

    def continue_answer(self, message_id: int) -> None:
        """Go on with an answer that was cut off, stopped or interrupted."""
        self._answering.request("continue", self.history.messages.get(message_id))

    def stop(self) -> None:
        """End the running answer; what is made of it is kept."""
        self._answering.stop()

    def queued(self, conversation_id: int) -> tuple[int, ...]:
        """Ids of the messages of a conversation that wait for the engine, first first."""
        return self._answering.waiting.message_ids(conversation_id)

    def cancel_queued(self, message_id: int) -> bool:
        """Take back a question that waits, or what else does; False when it doesn't wait any more."""
        return self._answering.withdraw(message_id)

    # Branches

    def select_branch(self, message_id: int) -> None:
        """Show this message instead of its alternatives."""
        self.history.messages.select(message_id)
        self._listeners.tell(PathChanged(self.history.messages.get(message_id).conversation_id))

    def delete_message(self, message_id: int) -> Deletion:
        """Delete a message with all that follows; an answer that is running there ends."""
        conversation_id = self.history.messages.get(message_id).conversation_id
        number = self.history.messages.delete(message_id)
        self._answering.forget_deleted(conversation_id)
        self._listeners.tell(PathChanged(conversation_id))
        return Deletion(conversation_id, number)

    def undo(self, deletion: Deletion) -> None:
        """Bring back what `delete_message` took away."""
        self.history.messages.undo_delete(deletion.number)
        self._listeners.tell(PathChanged(deletion.conversation_id))

    def close(self) -> None:
        """Keep the running answer as unfinished, stop the engine, close the history; once is enough."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._answering.close()
        self._host.close()
        self._remove_empty()
        self.history.close()

    # Small things

    def _is_unused(self, conversation_id: int) -> bool:
        try:
            conversation = self.history.conversations.get(conversation_id)
            return conversation.trashed_at is None and not self.history.messages.path(conversation_id)
        except ConversationMissing:
            return False

    def _remove_empty(self) -> None:
        empty = self._empty
        if empty is None or not self._is_unused(empty) or self.history.conversations.get(empty).draft:
            return
        self.history.conversations.purge(empty)


def _as_made(entry: PathMessage, run: AnswerRun) -> PathMessage:
    """With what is made of an answer that is not on disk whole."""
    stored, made = entry.message, run.made
    if stored.status is not Status.STREAMING and not run.is_continuing:
        return entry
    message = replace(
        stored, status=Status.STREAMING, text=made.text, thought=made.thought, thought_s=made.thought_s
    )
    return replace(entry, message=message)
