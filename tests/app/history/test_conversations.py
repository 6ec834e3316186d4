"""The list of conversations: order, names, folders, trash."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history.errors import ConversationMissing, HistoryClosed
from app.history.records import Conversation, Overrides, Status
from app.history.store import HistoryStore
from app.history.titles import TITLE_COLUMNS, automatic_title
from engine.partial_sampling import PartialSampling


class Clock(Protocol):
    """The `clock` fixture."""

    def __call__(self) -> int: ...

    def advance(self, n_days: float) -> None: ...


def _listed(history: HistoryStore, folder: str | None = None) -> list[int]:
    return [item.id for item in history.conversations.page(folder=folder).conversations]


def _ask(history: HistoryStore, text: str) -> Conversation:
    conversation = history.conversations.create()
    history.messages.ask(conversation.id, text)
    return history.conversations.get(conversation.id)


def test_a_new_conversation_is_empty_and_untitled(history: HistoryStore) -> None:
    conversation = history.conversations.create(folder=" 工作 ", overrides=Overrides(system="简短"))

    assert conversation.title == ""
    assert conversation.folder == "工作"
    assert conversation.overrides.system == "简短"
    assert history.conversations.get(conversation.id) == conversation
    assert history.messages.path(conversation.id) == ()


def test_pinned_come_first_then_the_last_used(history: HistoryStore) -> None:
    first, second, third = (_ask(history, text).id for text in ("一", "二", "三"))
    history.messages.ask(second, "again")
    history.conversations.pin(first)

    assert _listed(history) == [first, second, third]

    history.conversations.pin(first, False)
    assert _listed(history) == [second, third, first]


def test_pages_have_everything_once(history: HistoryStore) -> None:
    ids = [history.conversations.create().id for _ in range(11)]
    for conversation_id in ids[::3]:
        history.conversations.pin(conversation_id)
    found: list[int] = []
    cursor = None
    while True:
        page = history.conversations.page(after=cursor, limit=3)
        found += [item.id for item in page.conversations]
        cursor = page.next
        if cursor is None:
            break

    assert found == _listed(history)
    assert sorted(found) == ids


def test_a_page_that_ends_with_the_list_has_no_next(history: HistoryStore) -> None:
    for _ in range(3):
        history.conversations.create()

    assert history.conversations.page(limit=3).next is None
    assert history.conversations.page(limit=2).next is not None


def test_the_first_question_gives_the_title(history: HistoryStore) -> None:
    conversation = _ask(history, "\n  写一首关于秋天的诗  \n要押韵")
    history.messages.ask(conversation.id, "另一首")

    assert history.conversations.get(conversation.id).title == "写一首关于秋天的诗"


def test_a_chosen_title_stays_until_it_is_taken_back(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    history.conversations.rename(conversation.id, " 我的标题 ")
    history.messages.ask(conversation.id, "Hello there")
    assert history.conversations.get(conversation.id).title == "我的标题"

    history.conversations.rename(conversation.id, "  ")
    renamed = history.conversations.get(conversation.id)
    assert (renamed.title, renamed.title_is_own) == ("Hello there", False)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("", ""),
        ("   \n\t\n", ""),
        ("hello   world", "hello world"),
        ("a" * 30, "a" * 30),
        ("a" * 31, "a" * 29 + "…"),
        ("好" * 15, "好" * 15),
        ("好" * 16, "好" * 14 + "…"),
        ("a\x00b\x1bc", "abc"),
    ],
)
def test_titles_count_display_columns(question: str, title: str) -> None:
    assert automatic_title(question) == title


@given(st.text(st.sampled_from("ab 好é\u0301\n😀\u200d，"), max_size=80))
def test_titles_are_one_short_line(question: str) -> None:
    title = automatic_title(question)

    assert len(title.splitlines()) <= 1
    assert title == title.strip()
    assert sum(2 if c in "好😀，" else c not in "\u0301\u200d" for c in title) <= TITLE_COLUMNS
    assert bool(title) == any(c in question for c in "ab好é\u0301😀，")


def test_folders_exist_by_being_used(history: HistoryStore) -> None:
    first, second, third = (history.conversations.create().id for _ in range(3))
    history.conversations.move(first, "work")
    history.conversations.move(second, "学习")

    assert history.conversations.folders() == ("work", "学习")
    assert _listed(history, "work") == [first]

    history.conversations.rename_folder("work", "学习")
    assert history.conversations.folders() == ("学习",)
    assert _listed(history, "学习") == [second, first]

    history.conversations.rename_folder("学习", None)
    assert history.conversations.folders() == ()
    assert len(_listed(history)) == 3
    history.conversations.move(third, "  ")
    assert history.conversations.get(third).folder is None


def test_a_draft_stays_until_it_is_asked(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    history.conversations.set_draft(conversation.id, "half a thou\nght ")
    assert history.conversations.get(conversation.id).draft == "half a thou\nght "

    history.messages.ask(conversation.id, "half a thought")
    assert history.conversations.get(conversation.id).draft == ""


def test_overrides_come_back_as_they_were(history: HistoryStore) -> None:
    overrides = Overrides("coder", "只写代码", "BELLE-7B", PartialSampling(temperature=0.0, stop=("###",)))
    conversation = history.conversations.create()
    history.conversations.set_overrides(conversation.id, overrides)

    assert history.conversations.get(conversation.id).overrides == overrides


def test_the_trash_gives_back_what_went_in(history: HistoryStore) -> None:
    conversation = _ask(history, "问题")
    history.conversations.pin(conversation.id)
    history.conversations.trash(conversation.id)
    assert _listed(history) == []
    assert [item.id for item in history.conversations.trash_page().conversations] == [conversation.id]

    history.conversations.restore(conversation.id)
    assert _listed(history) == [conversation.id]
    assert history.conversations.get(conversation.id).pinned
    assert history.messages.path(conversation.id)[0].message.text == "问题"


def test_trash_pages_have_everything_once(history: HistoryStore) -> None:
    ids = [history.conversations.create().id for _ in range(5)]
    for conversation_id in ids:
        history.conversations.trash(conversation_id)
    first = history.conversations.trash_page(limit=3)
    second = history.conversations.trash_page(limit=3, after=first.next)

    assert [item.id for item in first.conversations + second.conversations] == ids[::-1]
    assert second.next is None


def test_after_thirty_days_the_trash_is_emptied_on_start(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        old, young, kept = (_ask(history, text).id for text in ("旧的", "新的", "留着"))
        history.conversations.trash(old)
        clock.advance(2)
        history.conversations.trash(young)
    clock.advance(28.5)
    with HistoryStore.open(folder, now_ms=clock) as history:
        assert history.report.purged_conversations == 1
        assert [item.id for item in history.conversations.trash_page().conversations] == [young]
        assert _listed(history) == [kept]
        with pytest.raises(ConversationMissing):
            history.conversations.get(old)


def test_emptying_the_trash_leaves_nothing_of_it(history: HistoryStore, folder: Path) -> None:
    gone = _ask(history, "秘密鹦鹉")
    kept = _ask(history, "公开")
    history.conversations.trash(gone.id)

    assert history.conversations.empty_trash() == 1
    assert history.conversations.counts().trashed == 0
    assert history.search.find("鹦鹉") == ()
    assert _listed(history) == [kept.id]
    with pytest.raises(ConversationMissing):
        history.messages.path(gone.id)


def test_a_long_conversation_is_purged_whole(history: HistoryStore) -> None:
    conversation = history.conversations.create()
    path = [{"uid": f"m{i}", "parent": f"m{i - 1}" if i else None} for i in range(1500)]
    _import(history, conversation.uid, path)
    history.conversations.purge(conversation.id)

    assert history.conversations.counts().messages == 0


def _import(history: HistoryStore, uid: str, messages: list[dict[str, str | None]]) -> None:
    from app.history.exchange import read_conversations
    from app.history.merging import merge_conversations

    full = [{**message, "role": "user", "text": "x"} for message in messages]
    with history.conversations._database.write() as connection:  # noqa: SLF001
        merge_conversations(connection, read_conversations([{"uid": uid, "messages": full}]))


def test_counts_leave_out_what_is_deleted(history: HistoryStore) -> None:
    kept, trashed = _ask(history, "a"), _ask(history, "b")
    question = history.messages.ask(kept.id, "c")
    history.answers.begin(question.id).abandon()
    deleted = history.messages.ask(kept.id, "d")
    history.messages.delete(deleted.id)
    history.conversations.trash(trashed.id)
    counts = history.conversations.counts()

    assert (counts.conversations, counts.trashed, counts.messages, counts.unfinished) == (1, 1, 3, 1)


@pytest.mark.parametrize("operation", ["get", "trash", "restore", "purge", "pin"])
def test_what_is_not_there_is_said(history: HistoryStore, operation: str) -> None:
    with pytest.raises(ConversationMissing):
        getattr(history.conversations, operation)(99)


def test_a_closed_history_says_so(folder: Path) -> None:
    history = HistoryStore.open(folder)
    conversation = _ask(history, "x")
    history.close()
    history.close()

    with pytest.raises(HistoryClosed):
        history.conversations.page()
    with pytest.raises(HistoryClosed):
        history.messages.ask(conversation.id, "y")


def test_everything_is_there_after_reopening(folder: Path) -> None:
    with HistoryStore.open(folder) as history:
        conversation = _ask(history, "问")
        writer = history.answers.begin(history.messages.path(conversation.id)[0].message.id)
        writer.append("答")
        answer = writer.finish(Status.COMPLETE)
        before = history.conversations.get(conversation.id)
    with HistoryStore.open(folder) as history:
        assert history.report.outcome == "opened"
        assert history.conversations.get(conversation.id) == before
        assert history.messages.path(conversation.id)[1].message == answer
