"""Streaming answers: on disk while they grow, whole when they end, and safe beside other threads."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history.errors import AnswerEnded, HistoryDiskFull, HistoryNotWritable, MessageMissing
from app.history.records import Origin, Status, StoredMessage
from app.history.rows import pack_ids, unpack_ids
from app.history.store import HistoryStore
from engine.types import FinishReason, Sampling, Statistics, TokenIds

STATISTICS = Statistics(10, 4, 20, 0.5, 2.0, 0.6, 30, 2048, 0, 42)
NEVER_S = 3600.0


@pytest.fixture
def question_id(history: HistoryStore) -> int:
    """A question to answer."""
    return history.messages.ask(history.conversations.create().id, "问题").id


def _copy(folder: Path, target: Path) -> HistoryStore:
    """What another process would find if this one died now."""
    shutil.copytree(folder, target)
    return HistoryStore.open(target)


def test_an_answer_has_all_that_it_was_finished_with(history: HistoryStore, question_id: int) -> None:
    origin = Origin("BELLE-7B", "Q4_K_M", "belle", "coder", "sys", Sampling(temperature=0.1))
    writer = history.answers.begin(question_id, origin=origin)
    for piece in ("你", "好", "！"):
        writer.append(piece)
    tokens = TokenIds("f00d", (5, 250_000, 7))
    answer = writer.finish(Status.LENGTH, tokens=tokens, statistics=STATISTICS)

    assert (answer.text, answer.status) == ("你好！", Status.LENGTH)
    assert (answer.tokens, answer.statistics, answer.origin) == (tokens, STATISTICS, origin)
    assert history.messages.get(answer.id) == answer


def test_text_reaches_the_disk_without_being_asked(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append("半句")
    deadline = time.monotonic() + 60
    while history.messages.get(writer.message_id).text != "半句" and time.monotonic() < deadline:
        time.sleep(0.02)
    stored = history.messages.get(writer.message_id)

    assert (stored.text, stored.status) == ("半句", Status.STREAMING)


def test_a_flush_writes_only_what_is_new(history: HistoryStore, question_id: int, folder: Path) -> None:
    writer = history.answers.begin(question_id)
    for piece in ("一" * 1000, "二", "三"):
        writer.append(piece)
        writer.flush()
    writer.flush()
    with closing(sqlite3.connect(folder / "history.sqlite3")) as connection:
        tails = connection.execute("SELECT text FROM answer_tails ORDER BY number").fetchall()
        (text,) = connection.execute(
            "SELECT text FROM messages WHERE id = ?", (writer.message_id,)
        ).fetchone()

    assert [len(tail[0]) for tail in tails] == [1000, 1, 1]
    assert text == ""
    assert writer.finish(Status.COMPLETE).text == "一" * 1000 + "二三"


def test_a_dead_process_leaves_an_unfinished_answer(
    history: HistoryStore, question_id: int, folder: Path, tmp_path: Path
) -> None:
    writer = history.answers.begin(question_id)
    writer.append("鹦鹉学")
    writer.flush()
    writer.append("舌")
    with _copy(folder, tmp_path / "later") as later:
        assert later.report.recovered_answers == 1
        stored = later.messages.get(writer.message_id)
        assert (stored.text, stored.status) == ("鹦鹉学", Status.UNFINISHED)
        assert [hit.message_id for hit in later.search.find("学")] == [writer.message_id]
        assert later.conversations.counts().unfinished == 1


def test_an_unfinished_answer_can_be_continued(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append("前半")
    first = writer.abandon()
    again = history.answers.resume(first.id)
    again.append("后半")
    again.flush()
    assert history.messages.get(first.id).text == "前半后半"
    done = again.finish(Status.COMPLETE, tokens=TokenIds("v", (1,)))

    assert (done.id, done.text, done.status) == (first.id, "前半后半", Status.COMPLETE)
    for word in ("前半", "半后", "后半"):
        assert [hit.message_id for hit in history.search.find(word)] == [first.id]


def test_a_continuation_that_dies_keeps_both_halves(
    history: HistoryStore, question_id: int, folder: Path, tmp_path: Path
) -> None:
    writer = history.answers.begin(question_id)
    writer.append("前半")
    first = writer.finish(Status.STOPPED, tokens=TokenIds("v", (1,)))
    again = history.answers.resume(first.id)
    again.append("后半")
    again.flush()
    with _copy(folder, tmp_path / "later") as later:
        stored = later.messages.get(first.id)
        assert (stored.text, stored.status, stored.tokens) == ("前半后半", Status.UNFINISHED, None)
        assert [hit.message_id for hit in later.search.find("半后")] == [first.id]


def _cut_off_in_thought_and_answer(history: HistoryStore, question_id: int) -> StoredMessage:
    writer = history.answers.begin(question_id, origin=Origin("BELLE-7B"))
    writer.append_thought("先想")
    writer.append("前半")
    statistics = replace(STATISTICS, thought_s=1.5)
    return writer.finish(Status.LENGTH, tokens=TokenIds("v", (1, 2)), statistics=statistics)


def test_a_continuation_that_makes_nothing_changes_nothing(history: HistoryStore, question_id: int) -> None:
    before = _cut_off_in_thought_and_answer(history, question_id)
    again = history.answers.resume(before.id)
    assert again.has_nothing_new
    assert again.abandon() == before
    assert history.messages.get(before.id) == before
    for word in ("先想", "前半"):
        assert [hit.message_id for hit in history.search.find(word)] == [before.id]

    with pytest.raises(AnswerEnded):
        again.finish(Status.COMPLETE)
    assert history.answers.resume(before.id).finish(Status.COMPLETE, text="全").text == "全"
    assert [hit.message_id for hit in history.search.find("前半")] == []


def test_a_process_that_dies_before_a_continuation_begins_changes_nothing(
    history: HistoryStore, question_id: int, folder: Path, tmp_path: Path
) -> None:
    before = _cut_off_in_thought_and_answer(history, question_id)
    history.answers.resume(before.id)
    with _copy(folder, tmp_path / "later") as later:
        assert later.report.recovered_answers == 0
        assert later.messages.get(before.id) == before
        assert [hit.message_id for hit in later.search.find("前半")] == [before.id]


def test_a_continuation_that_was_begun_is_unfinished_when_it_is_abandoned(
    history: HistoryStore, question_id: int
) -> None:
    before = _cut_off_in_thought_and_answer(history, question_id)
    again = history.answers.resume(before.id)
    again.append("后半")
    done = again.abandon()

    assert (done.text, done.status, done.tokens) == ("前半后半", Status.UNFINISHED, None)


def test_the_exact_text_replaces_what_was_streamed(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append("text \n\n")

    assert writer.finish(Status.COMPLETE, text="text").text == "text"


def test_a_thought_streams_to_the_disk_apart_from_the_text(
    history: HistoryStore, question_id: int, folder: Path, tmp_path: Path
) -> None:
    writer = history.answers.begin(question_id)
    writer.append_thought("先想")
    writer.append_thought("一想")
    writer.flush()
    with _copy(folder, tmp_path / "in thought") as dead:
        stored = dead.messages.get(writer.message_id)
        assert (stored.thought, stored.text, stored.status) == ("先想一想", "", Status.UNFINISHED)
    writer.append_thought("。")
    writer.append("答案")
    writer.flush()
    with _copy(folder, tmp_path / "in answer") as dead:
        stored = dead.messages.get(writer.message_id)
        assert (stored.thought, stored.text) == ("先想一想。", "答案")
    streaming = history.messages.get(writer.message_id)
    assert (streaming.thought, streaming.text) == ("先想一想。", "答案")

    answer = writer.finish(Status.COMPLETE, statistics=replace(STATISTICS, thought_tokens=9, thought_s=1.5))
    assert (answer.thought, answer.text, answer.thought_s) == ("先想一想。", "答案", 1.5)
    assert history.messages.get(answer.id) == answer


def test_an_answer_that_ended_in_its_thought_goes_on_there(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append_thought("想到")
    first = writer.finish(Status.STOPPED, statistics=replace(STATISTICS, thought_s=2.0))
    assert (first.text, first.thought) == ("", "想到")
    again = history.answers.resume(first.id)
    again.append_thought("一半")
    again.append("答案")
    done = again.finish(Status.COMPLETE, statistics=replace(STATISTICS, thought_s=0.5))

    assert (done.id, done.thought, done.text, done.thought_s) == (first.id, "想到一半", "答案", 2.5)
    assert [hit.message_id for hit in history.search.thoughts("到一")] == [first.id]


def test_the_exact_thought_replaces_what_was_streamed(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append_thought("thought\n")
    writer.append("text")

    answer = writer.finish(Status.COMPLETE, thought="thought")
    assert (answer.thought, answer.text) == ("thought", "text")


def test_an_answer_ends_once(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    answer = writer.finish(Status.STOPPED)

    with pytest.raises(AnswerEnded):
        writer.append("x")
    with pytest.raises(AnswerEnded):
        writer.append_thought("x")
    with pytest.raises(AnswerEnded):
        writer.finish(Status.COMPLETE)
    with pytest.raises(AnswerEnded):
        history.answers.resume(question_id)
    history.answers.resume(answer.id)
    with pytest.raises(AnswerEnded):
        history.answers.resume(answer.id)


def test_closing_keeps_what_a_running_answer_has(folder: Path) -> None:
    with HistoryStore.open(folder, flush_interval_s=NEVER_S) as history:
        question = history.messages.ask(history.conversations.create().id, "q")
        writer = history.answers.begin(question.id)
        writer.append("so far")
    with HistoryStore.open(folder) as history:
        stored = history.messages.get(writer.message_id)
        assert (stored.text, stored.status) == ("so far", Status.UNFINISHED)
        assert history.report.recovered_answers == 0


def test_an_answer_whose_conversation_is_purged_ends_quietly(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append("x")
    history.conversations.purge(history.messages.get(question_id).conversation_id)

    with pytest.raises(MessageMissing):
        writer.finish(Status.COMPLETE)
    history.answers.abandon_all()


def test_an_answer_deleted_while_it_runs_can_be_undone(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    writer.append("a")
    deletion = history.messages.delete(question_id)
    writer.append("b")
    writer.finish(Status.COMPLETE)
    history.messages.undo_delete(deletion)

    assert history.messages.get(writer.message_id).text == "ab"


def test_a_full_disk_loses_no_text_that_is_still_in_memory(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)
    connection = history.conversations._database._writer  # noqa: SLF001
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    text = "满" * 100_000
    writer.append(text)
    with pytest.raises(HistoryDiskFull):
        writer.flush()
    with pytest.raises(HistoryDiskFull):
        writer.finish(Status.COMPLETE)
    connection.execute("PRAGMA max_page_count = 1000000")

    assert writer.finish(Status.COMPLETE).text == text


def test_threads_write_and_read_at_the_same_time(history: HistoryStore) -> None:
    failures: list[BaseException] = []

    def converse(name: str) -> None:
        try:
            conversation = history.conversations.create()
            for turn in range(5):
                question = history.messages.ask(conversation.id, f"{name}{turn}")
                writer = history.answers.begin(question.id)
                for index in range(20):
                    writer.append(f"{index},")
                    if index % 7 == 0:
                        writer.flush()
                    history.messages.path(conversation.id)
                writer.finish(Status.COMPLETE)
                history.search.find(name)
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=converse, args=(name,)) for name in ("甲", "乙", "丙")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    expected = "".join(f"{index}," for index in range(20))
    for conversation in history.conversations.page().conversations:
        path = history.messages.path(conversation.id)
        assert [entry.message.text for entry in path[1::2]] == [expected] * 5


def test_many_writers_of_one_answer_lose_nothing(history: HistoryStore, question_id: int) -> None:
    writer = history.answers.begin(question_id)

    def append() -> None:
        for _ in range(200):
            writer.append("x")

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        writer.flush()
    for thread in threads:
        thread.join()

    assert writer.finish(Status.COMPLETE).text == "x" * 800


def test_reasons_become_statuses() -> None:
    assert [Status.of(reason) for reason in FinishReason] == [
        Status.COMPLETE,
        Status.COMPLETE,
        Status.LENGTH,
        Status.LENGTH,
        Status.STOPPED,
    ]


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_token_ids_come_back(ids: list[int]) -> None:
    assert unpack_ids(pack_ids(tuple(ids))) == tuple(ids)


@pytest.mark.parametrize(
    ("ids", "blob"),
    [
        ((), b"\x02"),
        ((1, 0x1234), b"\x02\x01\x00\x34\x12"),
        ((1, 250_000), b"\x03\x01\x00\x00\x90\xd0\x03"),
        ((2**32 - 1,), b"\x04\xff\xff\xff\xff"),
    ],
)
def test_token_ids_have_these_bytes(ids: tuple[int, ...], blob: bytes) -> None:
    assert pack_ids(ids) == blob


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x09abc", b"\x03ab"])
def test_other_bytes_are_no_token_ids(blob: bytes) -> None:
    assert unpack_ids(blob) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(HistoryNotWritable):
        HistoryStore.open(tmp_path / "file" / "folder")
