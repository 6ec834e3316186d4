"""One answer in the making: from the engine's events to the history, piece by piece.

Lives on the engine thread; `stop`, `interrupt` and `text` may be used from any. Knows no queue and no screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from app.chat.answer_plan import AnswerPlan
from app.chat.engine_host import EngineHost
from app.chat.events import AnswerEnded, AnswerGrew, ChatEvent, PathChanged, Problem
from app.chat.waiting import Request
from app.history.answers import AnswerWriter
from app.history.errors import HistoryError, MessageMissing
from app.history.records import Origin, PathMessage, Status, StoredMessage, prompt_messages
from app.history.store import HistoryStore
from engine.errors import EngineError
from engine.types import Event, Finished, FinishReason, TokenChunk

_RETRIES_S = (0.5, 1.0, 2.0)


class AnswerRun:
    """Begins or resumes one answer; `follow` returns when it is on disk with its status."""

    def __init__(
        self, request: Request, history: HistoryStore, host: EngineHost, emit: Callable[[ChatEvent], None]
    ) -> None:
        self.request = request
        self.message_id: int | None = None
        self.stop_requested = False
        self._is_interrupted = False
        self._history = history
        self._host = host
        self._emit = emit
        self._writer: AnswerWriter | None = None
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._n_chars = 0

    @property
    def text(self) -> str:
        """The answer as far as it is made; what it continues included."""
        with self._lock:
            return "".join(self._pieces)

    def stop(self) -> None:
        """End the answer, now or before it begins; what is made of it is kept as stopped."""
        self.stop_requested = True
        self._host.cancel()

    def interrupt(self) -> None:
        """Like `stop`, but the answer is kept as unfinished: the app closes."""
        self._is_interrupted = True
        self.stop()

    def answer_instead(self, message_id: int | None, request: Request) -> bool:
        """Answer another question, if this is for `message_id` and has not begun; False otherwise."""
        if self._writer is not None or self.request.kind != "answer" or self.request.message_id != message_id:
            return False
        self.request = request
        return True

    def begin(self, last: StoredMessage, origin: Origin) -> None:
        """Make the row of the answer to the question `last`, or resume the answer `last`."""
        if self.request.kind == "continue":
            self._pieces, self._n_chars = [last.text], len(last.text)
            self._writer = self._history.answers.resume(last.id)
        else:
            self._writer = self._history.answers.begin(last.id, origin=origin)
        self.message_id = self._writer.message_id

    def follow(self, path: tuple[PathMessage, ...], plan: AnswerPlan) -> None:
        """Have the engine answer the last message of `path`, or continue it, until that is on disk.

        Raises EngineError and HistoryError; what was made until then is kept as unfinished.
        """
        self._host.change(message_id=self.message_id, reading_prompt=True)
        self._emit(PathChanged(self.request.conversation_id))
        try:
            events = self._host.chat(prompt_messages(plan.system, path), plan.sampling)
            if self.stop_requested:  # it came before there was anything to cancel
                self._host.cancel()
            finished = self._collect(events)
        except EngineError:
            self._end_early()
            raise
        self._finish(finished)

    def _collect(self, events: Iterator[Event]) -> Finished:
        assert self._writer is not None
        finished = None
        told: HistoryError | None = None
        for event in events:
            if isinstance(event, Finished):
                finished = event
                continue
            if isinstance(event, TokenChunk):
                self._grow(self._writer, event)
            failure = self._writer.failure
            if failure is not None and type(failure) is not type(told):
                told = failure
                self._emit(Problem(self.request.conversation_id, failure))
        if finished is None:
            raise RuntimeError("the backend ended an answer without Finished")
        return finished

    def _grow(self, writer: AnswerWriter, chunk: TokenChunk) -> None:
        with self._lock:
            offset = self._n_chars
            self._pieces.append(chunk.text)
            self._n_chars += len(chunk.text)
        writer.append(chunk.text)
        self._host.change(reading_prompt=False)
        self._emit(AnswerGrew(self.request.conversation_id, writer.message_id, chunk.text, offset))

    def _finish(self, finished: Finished) -> None:
        assert self._writer is not None
        status = Status.of(finished.reason)
        if self._is_interrupted and finished.reason is FinishReason.CANCELLED:
            status = Status.UNFINISHED
        message = finished.message
        writer = self._writer
        self._save(
            lambda: writer.finish(
                status, text=message.text, tokens=message.tokens, statistics=finished.statistics
            )
        )

    def _end_early(self) -> None:
        """Keep what there is after a failure; an answer of no words is taken away again."""
        assert self._writer is not None
        self._save(self._writer.abandon)
        if not self.text and self.message_id is not None:
            self._history.messages.delete(self.message_id)
            self._emit(PathChanged(self.request.conversation_id))

    def _save(self, save: Callable[[], StoredMessage]) -> None:
        """Bring the end to disk; a disk that is full gets some time, and the person a sentence."""
        assert self.message_id is not None
        for pause_s in (*_RETRIES_S, None):
            try:
                save()
                break
            except MessageMissing:  # purged meanwhile
                break
            except HistoryError as error:
                if pause_s is None:
                    raise
                self._emit(Problem(self.request.conversation_id, error))
                threading.Event().wait(pause_s)
        self._emit(AnswerEnded(self.request.conversation_id, self.message_id))
