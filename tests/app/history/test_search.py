"""Search finds what a search for substrings finds, and nothing breaks it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.history.exchange import ExchangeConversation, ExchangeMessage
from app.history.merging import merge_conversations
from app.history.records import SearchHit, Status
from app.history.rows import new_uid
from app.history.store import HistoryStore
from app.history.words import fold

CJK = "中国人民カぁ가㐀𠀀々"
OTHER = "abÉé1 ,.\n😀_\"*()'+-:^％Ａß\u0301\x00"


class Clock(Protocol):
    """The `clock` fixture."""

    def __call__(self) -> int: ...

    def advance(self, n_days: float) -> None: ...


@pytest.fixture(scope="module")
def shared() -> Iterator[HistoryStore]:
    """One history for all examples, each in a conversation of its own."""
    with tempfile.TemporaryDirectory() as folder, HistoryStore.open(Path(folder) / "搜索") as history:
        yield history


def _fill(history: HistoryStore, texts: list[str], title: str = "") -> int:
    messages = tuple(ExchangeMessage(new_uid(), None, "user", text) for text in texts)
    with history.conversations._database.write() as connection:  # noqa: SLF001
        report = merge_conversations(
            connection, [ExchangeConversation(new_uid(), title=title, messages=messages)]
        )
    return report.added[0]


def _found(history: HistoryStore, query: str, conversation_id: int) -> list[SearchHit]:
    return list(history.search.messages(query, conversation_id=conversation_id, limit=1000))


def _words(text: str) -> list[str]:
    """The words of a text that are not CJK, the obvious way."""
    return "".join(c if c.isalnum() and c not in fold(CJK) else " " for c in fold(text)).split()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.sampled_from(CJK + OTHER), max_size=25), min_size=1, max_size=6),
    query=st.text(st.sampled_from(CJK), min_size=1, max_size=5),
)
def test_chinese_is_found_where_the_substring_is(shared: HistoryStore, texts: list[str], query: str) -> None:
    conversation_id = _fill(shared, texts)
    found = {hit.snippet for hit in _found(shared, query, conversation_id)}

    expected = {text.translate({ord("\n"): " "}) for text in texts if fold(query) in fold(text)}
    assert found == expected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.sampled_from(CJK + OTHER), max_size=25), min_size=1, max_size=6),
    query=st.text(st.sampled_from(CJK + OTHER), max_size=8),
)
def test_any_query_is_all_its_words(shared: HistoryStore, texts: list[str], query: str) -> None:
    conversation_id = _fill(shared, texts, title=texts[0])
    runs = "".join(c if c in fold(CJK) else " " for c in fold(query)).split()
    words = _words(query)

    def has_all(text: str) -> bool:
        return all(run in fold(text) for run in runs) and all(
            any(word.startswith(wanted) for word in _words(text)) for wanted in words
        )

    expected = [text for text in texts if (runs or words) and has_all(text)]
    assert len(_found(shared, query, conversation_id)) == len(expected)
    titled = {hit.conversation_id for hit in shared.search.titles(query, limit=10_000)}
    assert (conversation_id in titled) == bool((runs or words) and has_all(texts[0]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=40))
def test_no_query_is_an_error(shared: HistoryStore, query: str) -> None:
    shared.search.find(query)
    shared.search.messages(query, order="best")


@pytest.mark.parametrize(
    "query",
    ['"', '""', "*", "a*", '"a" OR "b"', "NEAR(a b)", "body:a", "-a", "^a", "a AND", "(", "'; DROP TABLE x",
     "\x00", "a\x00b", "\ud800", "％", "a" * 100_000, "中" * 100_000, "中 " * 5000],
)  # fmt: skip
def test_hostile_queries_are_only_text(shared: HistoryStore, query: str) -> None:
    shared.search.find(query)


def test_words_are_found_by_their_beginning_without_case_and_accents(shared: HistoryStore) -> None:
    conversation_id = _fill(shared, ["Visit GitHub, née ＡＢＣ in Straße"])

    for query in ("git", "GITHUB", "nee", "Née", "abc", "ａｂ", "visit straße"):
        assert len(_found(shared, query, conversation_id)) == 1, query
    for query in ("hub", "itH", "visit nothing"):
        assert _found(shared, query, conversation_id) == [], query


def test_highlights_are_the_words_found(shared: HistoryStore) -> None:
    text = "前" * 300 + "\n量化模型 models，再说模型" + "后" * 300
    conversation_id = _fill(shared, [text])
    (hit,) = _found(shared, "模型 MOD", conversation_id)

    assert [hit.snippet[start:end] for start, end in hit.highlights] == ["模型", "mod", "模型"]
    assert text[hit.offset : hit.offset + 2] == "模型"
    assert len(hit.snippet) < 200
    assert "\n" not in hit.snippet


def test_highlights_begin_where_words_begin(shared: HistoryStore) -> None:
    conversation_id = _fill(shared, ["x" * 40 + "lama llama ama amax"])
    (hit,) = _found(shared, "ama", conversation_id)

    assert [hit.snippet[start:] for start, _ in hit.highlights] == ["ama amax", "amax"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.sampled_from(CJK + OTHER), max_size=300),
    query=st.text(st.sampled_from(CJK + "ab1"), min_size=1, max_size=3),
)
def test_every_highlight_is_a_word_of_the_query(shared: HistoryStore, text: str, query: str) -> None:
    conversation_id = _fill(shared, [text])
    for hit in _found(shared, query, conversation_id):
        assert hit.highlights
        end_before = -1
        for start, end in hit.highlights:
            assert end_before < start < end <= len(hit.snippet)
            end_before = end
        first = hit.highlights[0]
        assert fold(text[hit.offset :]).startswith(fold(hit.snippet[slice(*first)]).replace(" ", "\n")[:1])


def test_titles_come_first_then_the_newest(history: HistoryStore) -> None:
    first = history.conversations.create()
    history.messages.ask(first.id, "标题里有鹦鹉")
    second = history.conversations.create()
    history.conversations.rename(second.id, "别的")
    question = history.messages.ask(second.id, "鹦鹉")
    writer = history.answers.begin(question.id)
    writer.append("鹦鹉会学舌")
    assert [hit.message_id for hit in history.search.find("鹦鹉")][:2] == [None, question.id]
    answer = writer.finish(Status.COMPLETE)

    hits = history.search.find("鹦鹉")
    assert [hit.message_id for hit in hits][:3] == [None, answer.id, question.id]
    assert hits[0].conversation_id == first.id
    assert history.search.find("标题里") != ()


def test_pages_of_hits_have_everything_once(shared: HistoryStore) -> None:
    conversation_id = _fill(shared, ["翻页"] * 7)
    found: list[int] = []
    before = None
    while hits := shared.search.messages("翻页", conversation_id=conversation_id, limit=3, before_id=before):
        found += [hit.message_id or 0 for hit in hits]
        before = hits[-1].message_id

    assert len(found) == len(set(found)) == 7
    assert found == sorted(found, reverse=True)


def test_the_best_hit_says_it_most(shared: HistoryStore) -> None:
    conversation_id = _fill(shared, ["模型模型模型", "这里只有一次模型，" + "其余的是别的话" * 10])
    hits = shared.search.messages("模型", conversation_id=conversation_id, order="best")

    assert [hit.snippet[:4] for hit in hits] == ["模型模型", "这里只有"]


def test_trashed_conversations_are_not_found_until_restored(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    history.messages.ask(conversation.id, "鹦鹉")
    history.conversations.trash(conversation.id)
    assert history.search.find("鹦鹉") == ()

    history.conversations.restore(conversation.id)
    assert len(history.search.find("鹦鹉")) == 2


def test_a_new_title_replaces_the_old_one(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    history.conversations.rename(conversation.id, "旧名字")
    history.conversations.rename(conversation.id, "新名字")

    assert history.search.titles("旧名") == ()
    assert len(history.search.titles("新名")) == 1


def test_a_rebuilt_index_finds_the_same(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    for text in ("模型 one", "two 模型", "three"):
        history.messages.ask(conversation.id, text)
    before = [history.search.find(query) for query in ("模型", "t", "one")]
    history.rebuild_index()

    assert [history.search.find(query) for query in ("模型", "t", "one")] == before


def test_an_index_of_other_rules_is_rebuilt_on_opening(folder: Path) -> None:
    with HistoryStore.open(folder) as history:
        history.messages.ask(history.conversations.create().id, "鹦鹉")
        with history.conversations._database.write() as connection:  # noqa: SLF001
            connection.execute("INSERT INTO message_index (message_index) VALUES ('delete-all')")
            connection.execute("UPDATE meta SET value = '0/1.0' WHERE key = 'index_rules'")
    with HistoryStore.open(folder) as history:
        assert history.report.index_rebuilt
        assert len(history.search.messages("鹦鹉")) == 1
    with HistoryStore.open(folder) as history:
        assert not history.report.index_rebuilt


def _thoughtful(history: HistoryStore, thought: str, text: str) -> int:
    """The id of an answer with a thought, in a conversation of its own."""
    question = history.messages.ask(history.conversations.create().id, "问")
    writer = history.answers.begin(question.id)
    writer.append_thought(thought)
    writer.append(text)
    return writer.finish(Status.COMPLETE).id


def test_thoughts_are_found_after_all_else_and_say_what_they_are(history: HistoryStore) -> None:
    answer = _thoughtful(history, "鹦鹉是鸟", "鹦鹉")
    thought = _thoughtful(history, "先想：\n鹦鹉用鸣管", "用鸣管。")
    older = history.messages.ask(history.conversations.create().id, "说说鹦鹉").id
    hits = history.search.find("鹦鹉")

    found = [(hit.message_id, hit.in_thought) for hit in hits if hit.message_id]
    assert found == [(older, False), (answer, False), (thought, True)]
    hit = hits[-1]
    assert (hit.snippet, hit.offset, hit.role) == ("先想： 鹦鹉用鸣管", 4, "assistant")
    assert [hit.snippet[start:end] for start, end in hit.highlights] == ["鹦鹉"]
    assert history.search.messages("鸣管", conversation_id=hits[-2].conversation_id) == ()
    assert [each.message_id for each in history.search.thoughts("鹦鹉")] == [thought, answer]
    assert history.search.find("鹦鹉", limit=len(hits) - 1) == hits[:-1]


def test_a_rebuilt_index_finds_thoughts(history: HistoryStore) -> None:
    answer = _thoughtful(history, "鹦鹉", "答")
    history.rebuild_index()

    assert [hit.message_id for hit in history.search.thoughts("鹦鹉")] == [answer]
    assert history.search.messages("鹦鹉") == ()


def test_nothing_of_a_thought_that_is_purged_stays_in_the_index(history: HistoryStore, folder: Path) -> None:
    answer = history.messages.get(_thoughtful(history, "鹦鹉", "答"))
    again = history.answers.resume(answer.id)
    again.append("续")
    again.flush()
    assert _indexed(folder, "鹦鹉") == 0
    again.finish(Status.COMPLETE)
    assert _indexed(folder, "鹦鹉") == 1
    history.conversations.purge(answer.conversation_id)

    assert _indexed(folder, "鹦鹉") == 0


def _indexed(folder: Path, term: str) -> int:
    """How many rows of the index itself have a term, whether or not their messages are still there."""
    with closing(sqlite3.connect(folder / "history.sqlite3")) as connection:
        rows = connection.execute(
            "SELECT rowid FROM message_index WHERE message_index MATCH :term"
            " UNION ALL SELECT rowid FROM thought_index WHERE thought_index MATCH :term"
            " UNION ALL SELECT rowid FROM title_index WHERE title_index MATCH :term",
            {"term": f'"{term}"'},
        )
        return len(rows.fetchall())


def test_nothing_of_what_is_purged_stays_in_the_index(history: HistoryStore, folder: Path) -> None:
    conversation = history.conversations.create()
    history.messages.ask(conversation.id, "鹦鹉")
    assert _indexed(folder, "鹦鹉") == 2
    history.conversations.purge(conversation.id)

    assert _indexed(folder, "鹦鹉") == 0


def test_nothing_of_what_is_deleted_stays_in_the_index_for_ever(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        conversation = history.conversations.create()
        history.messages.ask(conversation.id, "标题")
        history.messages.delete(history.messages.ask(conversation.id, "鹦鹉").id)
        assert _indexed(folder, "鹦鹉") == 1
    clock.advance(31)
    with HistoryStore.open(folder, now_ms=clock):
        assert _indexed(folder, "鹦鹉") == 0


def test_an_answer_that_is_replaced_leaves_the_index(history: HistoryStore, folder: Path) -> None:
    question = history.messages.ask(history.conversations.create().id, "问")
    writer = history.answers.begin(question.id)
    writer.append("鹦鹉")
    answer = writer.finish(Status.STOPPED)
    again = history.answers.resume(answer.id)
    assert _indexed(folder, "鹦鹉") == 1
    again.finish(Status.COMPLETE, text="猫")

    assert (_indexed(folder, "鹦鹉"), _indexed(folder, "猫")) == (0, 1)


@given(st.text())
def test_folding_keeps_offsets(text: str) -> None:
    assert len(fold(text)) == len(text)
