"""One answer in the making: from the engine's events to the history, piece by piece.

Lives on the engine thread; `stop`, `interrupt` and `made` may be used from any. Knows no queue and no screen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.chat.answer_plan import AnswerPlan
from app.chat.engine_host import EngineHost
from app.chat.events import AnswerEnded, AnswerGrew, ChatEvent, PathChanged, Problem, ThoughtGrew
from app.chat.waiting import Request
from app.history.answers import AnswerWriter
from app.history.errors import HistoryError, MessageMissing
from app.history.records import Origin, PathMessage, Status, StoredMessage, prompt_messages
from app.history.store import HistoryStore
from engine.errors import EngineError
from engine.types import Event, Finished, FinishReason, ThoughtChunk, TokenChunk

_RETRIES_S = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Made:
    """An answer as far as it is made; what it continues included. thought_s: how long it has been thought."""

    text: str = ""
    thought: str = ""
    thought_s: float = 0.0


class _Growing:
    """A text in pieces."""

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self._n_chars = len(text)

    def add(self, piece: str) -> int:
        """Append, and return how many characters come before the piece."""
        offset = self._n_chars
        self._pieces.append(piece)
        self._n_chars += len(piece)
        return offset

    def __str__(self) -> str:
        return "".join(self._pieces)


class _Stopwatch:
    """Seconds from `start` to `stop`, on top of those from before."""

    def __init__(self, before_s: float = 0.0) -> None:
        self._before_s = before_s
        self._started_s: float | None = None

    def start(self) -> None:
        if self._started_s is None:
            self._started_s = time.monotonic()

    def stop(self) -> None:
        self._before_s, self._started_s = self.seconds, None

    @property
    def seconds(self) -> float:
        running_s = 0.0 if self._started_s is None else time.monotonic() - self._started_s
        return self._before_s + running_s


class AnswerRun:
    """Begins or resumes one answer; `follow` returns when it is on disk with its status."""

    def __init__(
        self, request: Request, history: HistoryStore, host: EngineHost, emit: Callable[[ChatEvent], None]
    ) -> None:
        self.request = request
        self.message_id: int | None = None
        self.stop_requested = False
        self._is_interrupted = False
        self._has_ended = False
        self._history = history
        self._host = host
        self._emit = emit
        self._writer: AnswerWriter | None = None
        self._lock = threading.Lock()
        self._text, self._thought, self._thinking = _Growing(), _Growing(), _Stopwatch()

    @property
    def made(self) -> Made:
        """The answer as far as it is made."""
        with self._lock:
            return Made(str(self._text), str(self._thought), self._thinking.seconds)

    @property
    def is_continuing(self) -> bool:
        """Whether an answer that had ended is under way again; on disk it may still be what it was."""
        return self.request.kind == "continue" and self._writer is not None and not self._has_ended

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
            self._text, self._thought = _Growing(last.text), _Growing(last.thought)
            self._thinking = _Stopwatch(last.thought_s)
            self._writer = self._history.answers.resume(last.id)
        else:
            self._writer = self._history.answers.begin(last.id, origin=origin)
        self.message_id = self._writer.message_id

    def follow(self, path: tuple[PathMessage, ...], plan: AnswerPlan) -> None:
        """Have the engine answer the last message of `path`, or continue it, until that is on disk.

        Raises EngineError and HistoryError; what was made until then is kept as unfinished. An answer that
        gets nothing new stays what it was.
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
            if isinstance(event, ThoughtChunk):
                self._think(self._writer, event)
            else:
                self._grow(self._writer, event)
            failure = self._writer.failure
            if failure is not None and type(failure) is not type(told):
                told = failure
                self._emit(Problem(self.request.conversation_id, failure))
        if finished is None:
            raise RuntimeError("the backend ended an answer without Finished")
        return finished

    def _think(self, writer: AnswerWriter, chunk: ThoughtChunk) -> None:
        with self._lock:
            self._thinking.start()
            offset = self._thought.add(chunk.text)
        writer.append_thought(chunk.text)
        self._host.change(reading_prompt=False, thinking=True)
        self._emit(ThoughtGrew(self.request.conversation_id, writer.message_id, chunk.text, offset))

    def _grow(self, writer: AnswerWriter, chunk: TokenChunk) -> None:
        with self._lock:
            self._thinking.stop()
            offset = self._text.add(chunk.text)
        writer.append(chunk.text)
        self._host.change(reading_prompt=False, thinking=False)
        self._emit(AnswerGrew(self.request.conversation_id, writer.message_id, chunk.text, offset))

    def _finish(self, finished: Finished) -> None:
        assert self._writer is not None
        if finished.reason is FinishReason.CANCELLED and self._writer.has_nothing_new:
            self._save(self._writer.abandon)
            return
        status = Status.of(finished.reason)
        if self._is_interrupted and finished.reason is FinishReason.CANCELLED:
            status = Status.UNFINISHED
        message = finished.message
        writer = self._writer
        self._save(
            lambda: writer.finish(
                status,
                text=message.text,
                thought=message.thought,
                tokens=message.tokens,
                statistics=finished.statistics,
            )
        )

    def _end_early(self) -> None:
        """Keep what there is after a failure; a new answer of neither words nor thoughts is taken away."""
        assert self._writer is not None
        self._save(self._writer.abandon)
        made = self.made
        is_empty = not made.text and not made.thought.strip()
        if is_empty and self.request.kind == "answer" and self.message_id is not None:
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
        self._has_ended = True
        self._emit(AnswerEnded(self.request.conversation_id, self.message_id))
