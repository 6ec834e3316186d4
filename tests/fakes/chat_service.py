"""A chat service without an engine: the real history, and answers from a script, at a steady pace.

For looking at the chat screen and for measuring it; what it does and says is what `ChatService` does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.chat.answer_plan import AnswerPlan, Planner
from app.chat.choices import DEMO, ModelChoice
from app.chat.events import (
    AnswerEnded,
    AnswerGrew,
    ConversationsChanged,
    EngineChanged,
    EngineState,
    PathChanged,
    QueueChanged,
)
from app.chat.paths import context_use, remembered_from
from app.history.records import Origin, Overrides, PathMessage, Status
from app.history.store import HistoryStore
from app.home import Home
from app.personas import PersonaStore
from app.settings import SettingsStore
from engine.partial_sampling import NOTHING, ResolvedSampling
from engine.types import Sampling, Statistics

BELLE = ModelChoice(
    "belle-7b-2m-q4_k_m", "belle-7b-2m-q4_k_m", Path("belle-7b-2m-q4_k_m.gguf"), 4_680_000_000, False
)


class FakeChatService:
    """answer: what every question is answered with. pause_s: between two pieces, of about one token each."""

    def __init__(
        self, folder: Path, answer: str, *, pause_s: float = 0.02, model: ModelChoice = DEMO
    ) -> None:
        self.history = HistoryStore.open(folder / "history")
        self.settings = SettingsStore(folder)
        self.personas = PersonaStore(folder)
        self._planner = Planner(Home(folder), self.settings, self.personas, "en")
        self.models_folder = folder / "models"
        self.answer = answer
        self.pause_s = pause_s
        self.state = EngineState("ready", model)
        self.sent_at: dict[int, float] = {}
        self._listeners: list[Callable[[Any], None]] = []
        self._queue: list[tuple[int, int]] = []
        self._live: dict[int, str] = {}
        self._wake = threading.Condition()
        self._stop = False
        threading.Thread(target=self._work, daemon=True).start()

    def answer_plan(self, conversation_id: int | None) -> AnswerPlan:
        return self.plan_for(Overrides())

    def plan_for(self, overrides: Overrides) -> AnswerPlan:
        return self._planner.plan(overrides, self.chosen_model())

    def model_sampling(self, choice: ModelChoice, *, with_own: bool) -> ResolvedSampling:
        own = self.settings.settings.sampling_of(choice.key) if with_own else NOTHING
        return self._planner.sampling(choice, own=own)

    def load(self) -> None:
        """Nothing is loaded here."""

    def subscribe(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, event: Any) -> None:
        for listener in tuple(self._listeners):
            listener(event)

    def set_state(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.publish(EngineChanged(self.state))

    def models(self) -> tuple[ModelChoice, ...]:
        return DEMO, BELLE

    def chosen_model(self) -> ModelChoice:
        return self.state.model or DEMO

    def choose_model(self, key: str) -> None:
        model = next(choice for choice in self.models() if choice.key == key)
        self.set_state(phase="ready", model=model, error=None)

    def new_conversation(self, persona: str | None = None) -> int:
        return self.history.conversations.create(overrides=Overrides(persona=persona)).id

    def send(self, conversation_id: int, text: str) -> int:
        question = self.history.messages.ask(conversation_id, text)
        self._enqueue(conversation_id, question.id)
        self.publish(ConversationsChanged())
        return question.id

    def regenerate(self, message_id: int) -> None:
        message = self.history.messages.get(message_id)
        question_id = message.parent_id if message.role == "assistant" else message.id
        self._enqueue(message.conversation_id, question_id or 0)

    def continue_answer(self, message_id: int) -> None:
        self.regenerate(message_id)

    def edit_question(self, message_id: int, text: str) -> int:
        question = self.history.messages.edit_question(message_id, text)
        self._enqueue(question.conversation_id, question.id)
        return question.id

    def stop(self) -> None:
        self._stop = True

    def cancel_queued(self, message_id: int) -> None:
        self._queue = [item for item in self._queue if item[1] != message_id]
        conversation_id = self.history.messages.get(message_id).conversation_id
        self.history.messages.delete(message_id)
        self.publish(QueueChanged(conversation_id))
        self.publish(PathChanged(conversation_id))

    def queued(self, conversation_id: int) -> tuple[int, ...]:
        return tuple(item[1] for item in self._queue if item[0] == conversation_id)

    def select_branch(self, message_id: int) -> None:
        self.history.messages.select(message_id)
        self.publish(PathChanged(self.history.messages.get(message_id).conversation_id))

    def delete_message(self, message_id: int) -> int:
        conversation_id = self.history.messages.get(message_id).conversation_id
        token = self.history.messages.delete(message_id)
        self._deleted_in = conversation_id
        self.publish(PathChanged(conversation_id))
        return token

    def undo(self, token: int) -> None:
        self.history.messages.undo_delete(token)
        self.publish(PathChanged(self._deleted_in))

    def path(self, conversation_id: int) -> tuple[PathMessage, ...]:
        return tuple(
            replace(entry, message=replace(entry.message, text=self._live[entry.message.id]))
            if entry.message.id in self._live
            else entry
            for entry in self.history.messages.path(conversation_id)
        )

    def remembered_from(self, conversation_id: int) -> int | None:
        return remembered_from(self.path(conversation_id))

    def context_use(self, conversation_id: int) -> tuple[int, int] | None:
        return context_use(self.path(conversation_id))

    def close(self) -> None:
        self.history.close()

    def _enqueue(self, conversation_id: int, question_id: int) -> None:
        with self._wake:
            self._queue.append((conversation_id, question_id))
            self._wake.notify()
        self.publish(PathChanged(conversation_id))
        self.publish(QueueChanged(conversation_id))

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue:
                    self._wake.wait()
                conversation_id, question_id = self._queue.pop(0)
            self.publish(QueueChanged(conversation_id))
            self._answer(conversation_id, question_id)

    def _answer(self, conversation_id: int, question_id: int) -> None:
        self._stop = False
        writer = self.history.answers.begin(question_id, origin=_origin(self.state))
        message_id = writer.message_id
        self._live[message_id] = ""
        self.publish(PathChanged(conversation_id))
        self.set_state(answering=conversation_id, message_id=message_id, reading_prompt=True)
        time.sleep(10 * self.pause_s)
        self.set_state(reading_prompt=False)
        pieces = [self.answer[start : start + 3] for start in range(0, len(self.answer), 3)]
        for piece in pieces:
            if self._stop:
                break
            offset = len(self._live[message_id])
            writer.append(piece)
            self._live[message_id] += piece
            self.sent_at[offset + len(piece)] = time.time()
            self.publish(AnswerGrew(conversation_id, message_id, piece, offset))
            time.sleep(self.pause_s)
        writer.finish(
            Status.STOPPED if self._stop else Status.COMPLETE,
            text=self._live.pop(message_id),
            statistics=_statistics(len(pieces)),
        )
        self.set_state(answering=None, message_id=None)
        self.publish(AnswerEnded(conversation_id, message_id))


def _origin(state: EngineState) -> Origin:
    name = state.model.name if state.model else "demo"
    return Origin(name, "Q4_K_M", "belle", "assistant", "", Sampling())


def _statistics(n_tokens: int) -> Statistics:
    return Statistics(
        prompt_tokens=420,
        reused_tokens=400,
        generated_tokens=n_tokens,
        prompt_s=0.31,
        generation_s=n_tokens * 0.02,
        first_token_s=0.33,
        context_used=420 + n_tokens,
        context_tokens=2048,
        forgotten_turns=0,
        seed=4711,
    )
