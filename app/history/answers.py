"""Answers while they are made: on disk at least twice a second, marked unfinished until their end.

A flush adds one row with the new text and thought to `answer_tails`, so it costs what is new and not what the
answer has become; the end folds the rows into the message. An answer that is resumed stays on disk as it was
until there is something new to write, so that nothing has to be undone where nothing comes. Knows nothing of
models.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence

from app.history.database import Database
from app.history.errors import AnswerEnded, HistoryError, MessageMissing, NotAQuestion
from app.history.index import add_message, remove_message
from app.history.records import Origin, Status, StoredMessage
from app.history.rows import (
    NewMessage,
    Tail,
    insert_message,
    message_from,
    message_row,
    optional_json,
    tail_of,
    token_columns,
    touch,
)
from app.typed_json import valid_text
from engine.types import Statistics, TokenIds

FLUSH_INTERVAL_S = 0.25
NO_TAIL = Tail()


class AnswerWriter:
    """One answer that is being written. `append` and `append_thought` only remember; a thread of its own
    brings text to disk.

    message_id: the answer's row, there from the beginning. failure: why the last flush failed (a full disk),
    None when it did not; the text is kept in memory and tried again. is_resumed: it goes on with an answer
    that had ended.
    """

    def __init__(
        self,
        database: Database,
        message_id: int,
        now_ms: Callable[[], int],
        ended: Callable[[AnswerWriter], None],
        flush_interval_s: float,
        *,
        is_resumed: bool = False,
    ) -> None:
        self.message_id = message_id
        self.failure: HistoryError | None = None
        self._database = database
        self._now_ms = now_ms
        self._when_ended = ended
        self._interval_s = flush_interval_s
        self._pending: list[Tail] = []
        self._n_flushed = 0
        self._is_as_before = is_resumed  # on disk
        self._has_grown = False
        self._ended = False
        self._changed = threading.Condition()
        self._flushing = threading.Lock()
        self._thread = threading.Thread(target=self._flush_often, name=f"answer-{message_id}", daemon=True)
        self._thread.start()

    @property
    def has_nothing_new(self) -> bool:
        """Whether it is a resumed answer to which nothing was added yet."""
        with self._changed:
            return self._is_as_before and not self._has_grown

    def append(self, text: str) -> None:
        """Add to the answer, without waiting for the disk. Raises AnswerEnded."""
        self._append(Tail(text=text))

    def append_thought(self, text: str) -> None:
        """Add to the thought that precedes the answer, without waiting for the disk. Raises AnswerEnded."""
        self._append(Tail(thought=text))

    def flush(self) -> None:
        """Bring all appended text to disk now. Raises HistoryError, and keeps the text then."""
        with self._flushing:
            self._flush()

    def finish(
        self,
        status: Status,
        *,
        text: str | None = None,
        thought: str | None = None,
        tokens: TokenIds | None = None,
        statistics: Statistics | None = None,
    ) -> StoredMessage:
        """End the answer and make it findable, in one transaction.

        text, thought: the exact ones where they differ from what was appended (a trimmed end). tokens: only
        valid for the whole of the text. statistics: their `thought_s` adds to the message's, which may have
        been continued. Raises AnswerEnded the second time; after another HistoryError it may be called again,
        the text is kept.
        """
        self._stop()
        with self._flushing:
            self._check_running()
            pending = _joined(self._pending)
            with self._database.write() as connection:
                self._go_on(connection)
                end_answer(connection, self.message_id, status, tail=pending, text=text, thought=thought)
                connection.execute(
                    "UPDATE messages SET vocabulary = ?, token_ids = ?, statistics = ?,"
                    " thought_s = thought_s + ? WHERE id = ?",
                    (
                        *token_columns(tokens),
                        optional_json(statistics),
                        statistics.thought_s if statistics is not None else 0.0,
                        self.message_id,
                    ),
                )
                row = message_row(connection, self.message_id, deleted=True)
                touch(connection, row["conversation_id"], self._now_ms())
                message = message_from(connection, row)
            self._pending.clear()
            self._is_as_before = False
        self._when_ended(self)
        return message

    def abandon(self) -> StoredMessage:
        """End the answer as unfinished: the engine died, or the application closes. A resumed one that got
        nothing new stays in every way as it was.
        """
        self._stop()
        if not self.has_nothing_new:
            return self.finish(Status.UNFINISHED)
        with self._flushing:
            self._check_running()
            self._is_as_before = False
        self._when_ended(self)
        with self._database.read() as connection:
            return message_from(connection, message_row(connection, self.message_id, deleted=True))

    def _go_on(self, connection: sqlite3.Connection) -> None:
        """Make a resumed answer one that grows, with the first write that changes it."""
        if not self._is_as_before:
            return
        row = message_row(connection, self.message_id, deleted=True)
        remove_message(connection, self.message_id, row["text"], row["thought"])
        connection.execute(
            "UPDATE messages SET status = 'streaming', vocabulary = NULL, token_ids = NULL WHERE id = ?",
            (self.message_id,),
        )

    def _append(self, piece: Tail) -> None:
        with self._changed:
            if self._ended:
                raise AnswerEnded(self.message_id)
            self._pending.append(piece)
            self._has_grown = True
            self._changed.notify_all()

    def _check_running(self) -> None:
        try:
            with self._database.read() as connection:
                row = message_row(connection, self.message_id, deleted=True)
        except MessageMissing:  # purged while it was being written
            self._when_ended(self)
            raise
        if row["status"] != Status.STREAMING and not self._is_as_before:
            raise AnswerEnded(self.message_id)

    def _stop(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _flush_often(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._ended)
                # The oldest text waits for one interval, whether or not more arrives.
                if self._changed.wait_for(lambda: self._ended, timeout=self._interval_s):
                    return
            try:
                self.flush()
            except HistoryError as error:
                self.failure = error

    def _flush(self) -> None:
        with self._changed:
            pieces, self._pending = self._pending, []
        if not pieces:
            return
        new = _joined(pieces)
        try:
            with self._database.write() as connection:
                message_row(connection, self.message_id, deleted=True)
                self._go_on(connection)
                connection.execute(
                    "INSERT INTO answer_tails (message_id, number, text, thought) VALUES (?, ?, ?, ?)",
                    (self.message_id, self._n_flushed, new.text, new.thought),
                )
        except BaseException:
            with self._changed:
                self._pending.insert(0, new)
            raise
        self._n_flushed += 1
        self._is_as_before = False
        self.failure = None


class Answers:
    """Begins and resumes answers, and ends those that are still running when the history closes."""

    def __init__(self, database: Database, now_ms: Callable[[], int], flush_interval_s: float) -> None:
        self._database = database
        self._now_ms = now_ms
        self._interval_s = flush_interval_s
        self._running: set[AnswerWriter] = set()
        self._lock = threading.Lock()

    def begin(self, question_id: int, *, origin: Origin | None = None) -> AnswerWriter:
        """A new, empty, shown answer to a question; with an older answer it becomes an alternative to it.

        Raises MessageMissing, NotAQuestion.
        """
        with self._database.write() as connection:
            row = message_row(connection, question_id)
            if row["role"] != "user":
                raise NotAQuestion(question_id, row["role"])
            now = self._now_ms()
            new = NewMessage(
                row["conversation_id"], question_id, "assistant", "", Status.STREAMING, now, origin=origin
            )
            message_id = insert_message(connection, new)
            touch(connection, row["conversation_id"], now)
        return self._run(message_id)

    def resume(self, message_id: int) -> AnswerWriter:
        """Go on with an answer that was cut off, stopped or interrupted; what is appended follows its text.

        It is STREAMING from the first flush on. Raises MessageMissing, and AnswerEnded for a question or an
        answer that is running.
        """
        with self._database.read() as connection:
            row = message_row(connection, message_id)
        if row["role"] != "assistant" or self._is_running(message_id):
            raise AnswerEnded(message_id)
        return self._run(message_id, is_resumed=True)

    def abandon_all(self) -> None:
        """End every running answer as unfinished; raises the first HistoryError after trying all."""
        with self._lock:
            running = list(self._running)
        failures: list[HistoryError] = []
        for writer in running:
            try:
                writer.abandon()
            except (AnswerEnded, MessageMissing):
                continue  # it ended by itself, or was purged, in this very moment
            except HistoryError as error:
                failures.append(error)  # the others may still fit on the disk
        if failures:
            raise failures[0]

    def _is_running(self, message_id: int) -> bool:
        with self._lock:
            return any(writer.message_id == message_id for writer in self._running)

    def _run(self, message_id: int, *, is_resumed: bool = False) -> AnswerWriter:
        writer = AnswerWriter(
            self._database, message_id, self._now_ms, self._forget, self._interval_s, is_resumed=is_resumed
        )
        with self._lock:
            self._running.add(writer)
        return writer

    def _forget(self, writer: AnswerWriter) -> None:
        with self._lock:
            self._running.discard(writer)


def end_answer(
    connection: sqlite3.Connection,
    message_id: int,
    status: Status,
    *,
    tail: Tail = NO_TAIL,
    text: str | None = None,
    thought: str | None = None,
) -> None:
    """Fold what was flushed and `tail` into a streaming message, or replace it by `text` and `thought`, and
    index it."""
    row = message_row(connection, message_id, deleted=True)
    flushed = tail_of(connection, message_id)
    if text is None:
        text = row["text"] + flushed.text + tail.text
    if thought is None:
        thought = row["thought"] + flushed.thought + tail.thought
    text, thought = valid_text(text), valid_text(thought)
    connection.execute(
        "UPDATE messages SET text = ?, thought = ?, status = ? WHERE id = ?",
        (text, thought, str(status), message_id),
    )
    connection.execute("DELETE FROM answer_tails WHERE message_id = ?", (message_id,))
    add_message(connection, message_id, text, thought)


def recover_answers(connection: sqlite3.Connection) -> int:
    """Mark answers as unfinished whose process died, keeping all that was flushed; returns how many."""
    rows = connection.execute("SELECT id FROM messages WHERE status = 'streaming'").fetchall()
    for row in rows:
        end_answer(connection, row["id"], Status.UNFINISHED)
    return len(rows)


def _joined(pieces: Sequence[Tail]) -> Tail:
    return Tail(
        valid_text("".join(piece.text for piece in pieces)),
        valid_text("".join(piece.thought for piece in pieces)),
    )
