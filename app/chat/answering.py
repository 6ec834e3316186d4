"""One answer at a time: the queue, the answer that is running, and the engine thread's work on them.

Knows the history, and nothing of how conversations are listed or shown.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from app.chat.answer_plan import Planner
from app.chat.answer_run import AnswerRun
from app.chat.choices import ModelChoice
from app.chat.engine_host import EngineHost
from app.chat.events import ChatEvent, ConversationsChanged, PathChanged, Problem, QueueChanged
from app.chat.waiting import Request, WaitingRequests
from app.errors import AppError
from app.history.errors import ConversationMissing, HistoryError, MessageMissing
from app.history.records import Overrides, PathMessage, StoredMessage
from app.history.store import HistoryStore
from app.prompt_choice import with_prompt_format
from app.settings import SettingsStore
from convert.errors import ConvertError
from engine.errors import EngineError, EngineStopped, UnfitProcessor
from engine.types import LoadOptions

_log = logging.getLogger(__name__)
_EXPECTED = (EngineError, HistoryError, AppError, ConvertError)


class Answering:
    """Takes requests from any thread and carries them out on the host's."""

    def __init__(
        self,
        host: EngineHost,
        history: HistoryStore,
        settings: SettingsStore,
        planner: Planner,
        emit: Callable[[ChatEvent], None],
    ) -> None:
        self.waiting = WaitingRequests()
        self.run: AnswerRun | None = None
        self._host = host
        self._history = history
        self._settings = settings
        self._planner = planner
        self._emit = emit
        self._is_closed = False
        self._forced_key: str | None = None
        # Held while a question and what answers it are put in relation: a question must not end up beside the
        # answer to the one before it.
        self._turn = threading.Lock()

    def load(self, *, ignore_memory: bool = False) -> None:
        """Load the chosen model in the background; see `ChatService.load`."""
        self._host.submit(self._load_anyway if ignore_memory else self._load)

    def ask(self, conversation_id: int, text: str) -> int:
        """Put a question to disk and into the queue; returns its id.

        A question that follows one which has no answer yet takes its place: both are answered together.
        """
        with self._turn:
            question = self._history.messages.ask(conversation_id, text)
            request = Request("answer", conversation_id, question.id)
            is_taken = self.run is not None and self.run.answer_instead(question.parent_id, request)
            is_new = not is_taken and self.waiting.add(request, replacing=question.parent_id)
        self._announce(conversation_id, is_new)
        return question.id

    def request(self, kind: Literal["answer", "continue"], message: StoredMessage) -> None:
        """Answer the question `message`, also once more, or continue the answer `message`."""
        request = Request(kind, message.conversation_id, message.id)
        self._announce(message.conversation_id, self.waiting.add(request))

    def withdraw(self, message_id: int) -> bool:
        """Take a request back, and with it a question that has no answer yet; False when it doesn't wait."""
        request = self.waiting.remove(message_id)
        if request is None:
            return False
        path = self._history.messages.path(request.conversation_id)
        if request.kind == "answer" and path and path[-1].message.id == message_id:
            self._history.messages.delete(message_id)
            self._emit(PathChanged(request.conversation_id))
        self._emit(QueueChanged(request.conversation_id))
        return True

    def stop(self) -> None:
        """End the running answer; what is made of it is kept."""
        if (run := self.run) is not None:
            run.stop()

    def forget_deleted(self, conversation_id: int) -> None:
        """End what belongs to messages that are not there any more."""
        if (run := self.run) is not None and self._is_gone(run.message_id or run.request.message_id):
            run.stop()
        for message_id in self.waiting.message_ids(conversation_id):
            if self._is_gone(message_id):
                self.waiting.remove(message_id)
                self._emit(QueueChanged(conversation_id))

    def close(self) -> None:
        """Keep the running answer as unfinished and answer nothing more."""
        self._is_closed = True
        self.waiting.clear()
        if (run := self.run) is not None:
            run.interrupt()

    def _announce(self, conversation_id: int, is_new: bool) -> None:
        self._emit(PathChanged(conversation_id))
        self._emit(ConversationsChanged())
        self._emit(QueueChanged(conversation_id))
        if is_new:
            self._host.submit(self._answer_next)

    # On the engine thread

    def _load(self) -> None:
        self._try_load(self._planner.choice(Overrides()))

    def _load_anyway(self) -> None:
        """Load the model that failed, which may be the one of a single conversation."""
        state = self._host.state
        choice = state.model if state.phase == "failed" and state.model else self._planner.choice(Overrides())
        self._forced_key = choice.key
        self._try_load(choice)

    def _try_load(self, choice: ModelChoice) -> None:
        if self._is_closed:
            return
        try:
            self._host.ensure_loaded(choice, self._load_options(choice))
        except _EXPECTED as error:
            self._emit(Problem(None, error))

    def _load_options(self, choice: ModelChoice) -> LoadOptions:
        """The settings', and what was said of this model until another one is loaded.

        Raises TemplateFileNotReadable and TemplateFileNotText.
        """
        if choice.key != self._forced_key:
            self._forced_key = None
        settings = self._settings.settings
        options = with_prompt_format(settings.load, settings.prompt_format_of(choice.key))
        return options if self._forced_key is None else replace(options, ignore_memory=True)

    def _answer_next(self) -> None:
        with self._turn:
            request = self.waiting.take()
            if request is None or self._is_closed:
                return
            run = self.run = AnswerRun(request, self._history, self._host, self._emit)
            self._host.set(answering=request.conversation_id)
        self._host.tell()
        self._emit(QueueChanged(request.conversation_id))
        try:
            self._answer(run)
        except (MessageMissing, ConversationMissing):
            _log.info("the question was deleted before it was answered")
        except _EXPECTED as error:
            self._emit(Problem(request.conversation_id, error))
            if isinstance(error, EngineStopped):
                self._restart(error)
            elif isinstance(error, UnfitProcessor):
                self._host.give_up(error)
        finally:
            self.run = None
            self._host.change(answering=None, message_id=None, reading_prompt=False, thinking=False)
            self._emit(ConversationsChanged())

    def _answer(self, run: AnswerRun) -> None:
        overrides = self._history.conversations.get(run.request.conversation_id).overrides
        choice = self._planner.choice(overrides)
        info = self._host.ensure_loaded(choice, self._load_options(choice))
        if run.stop_requested:
            return
        plan = self._planner.plan(overrides, choice)
        with self._turn:
            path = self._path_to(run.request)
            run.begin(path[-1].message, plan.origin(info, choice))
        run.follow(path, plan)

    def _restart(self, error: EngineStopped) -> None:
        try:
            self._host.restart(error)
        except _EXPECTED as failure:
            self._emit(Problem(None, failure))

    def _path_to(self, request: Request) -> tuple[PathMessage, ...]:
        """The messages up to the one to answer or continue, on whatever branch it is."""
        shown = self._history.messages.path(request.conversation_id)
        for index, entry in enumerate(shown):
            if entry.message.id == request.message_id:
                return shown[: index + 1]
        chain = [self._history.messages.get(request.message_id)]
        while (parent_id := chain[-1].parent_id) is not None:
            chain.append(self._history.messages.get(parent_id))
        return tuple(PathMessage(message, (message.id,)) for message in reversed(chain))

    def _is_gone(self, message_id: int) -> bool:
        try:
            self._history.messages.get(message_id)
        except MessageMissing:
            return True
        return False
