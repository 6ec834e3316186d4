"""Messages as a tree: branches, editing, deleting and undoing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.history.errors import MessageMissing, NotAQuestion
from app.history.records import Status, prompt_messages
from app.history.store import HistoryStore
from engine.types import Message, TokenIds


class Clock(Protocol):
    """The `clock` fixture."""

    def __call__(self) -> int: ...

    def advance(self, n_days: float) -> None: ...


def _answer(history: HistoryStore, question_id: int, text: str) -> int:
    writer = history.answers.begin(question_id)
    writer.append(text)
    return writer.finish(Status.COMPLETE).id


def _texts(history: HistoryStore, conversation_id: int) -> list[str]:
    return [entry.message.text for entry in history.messages.path(conversation_id)]


@pytest.fixture
def conversation_id(history: HistoryStore) -> int:
    """A conversation to write in."""
    return history.conversations.create().id


def test_text_is_kept_exactly(history: HistoryStore, conversation_id: int) -> None:
    for text in ("  spaces \n", "", "a\x00b", "\ufeff\u2028", "😀" * 3, "\r\n\t"):
        assert history.messages.ask(conversation_id, text).text == text
        assert history.messages.path(conversation_id)[-1].message.text == text


def test_half_a_character_does_not_lose_the_question(history: HistoryStore, conversation_id: int) -> None:
    assert history.messages.ask(conversation_id, "ab\ud83d").text == "ab\ufffd"


def test_regenerating_keeps_the_old_answer_beside(history: HistoryStore, conversation_id: int) -> None:
    question = history.messages.ask(conversation_id, "q")
    first = _answer(history, question.id, "one")
    second = _answer(history, question.id, "two")
    third = _answer(history, question.id, "three")
    shown = history.messages.path(conversation_id)[-1]

    assert shown.message.id == third
    assert shown.sibling_ids == (first, second, third)
    assert (shown.number, shown.previous_id, shown.next_id) == (3, second, None)

    history.messages.select(second)
    shown = history.messages.path(conversation_id)[-1]
    assert (shown.message.text, shown.number, shown.previous_id, shown.next_id) == ("two", 2, first, third)


def test_editing_makes_a_branch_that_remembers_what_follows(
    history: HistoryStore, conversation_id: int
) -> None:
    old = history.messages.ask(conversation_id, "old question")
    _answer(history, old.id, "old answer")
    history.messages.ask(conversation_id, "follow-up")
    new = history.messages.edit_question(old.id, "new question")
    assert _texts(history, conversation_id) == ["new question"]

    _answer(history, new.id, "new answer")
    history.messages.select(old.id)
    assert _texts(history, conversation_id) == ["old question", "old answer", "follow-up"]
    history.messages.select(new.id)
    assert _texts(history, conversation_id) == ["new question", "new answer"]


def test_only_questions_are_edited_and_answered(history: HistoryStore, conversation_id: int) -> None:
    question = history.messages.ask(conversation_id, "q")
    answer = _answer(history, question.id, "a")

    with pytest.raises(NotAQuestion):
        history.messages.edit_question(answer, "x")
    with pytest.raises(NotAQuestion):
        history.answers.begin(answer)


def test_revealing_shows_the_branch_of_a_message(history: HistoryStore, conversation_id: int) -> None:
    question = history.messages.ask(conversation_id, "q1")
    first = _answer(history, question.id, "a1")
    deep = history.messages.ask(conversation_id, "q2")
    _answer(history, question.id, "a1 again")
    history.messages.edit_question(question.id, "q1 edited")
    assert _texts(history, conversation_id) == ["q1 edited"]

    history.messages.reveal(deep.id)
    assert _texts(history, conversation_id) == ["q1", "a1", "q2"]
    assert history.messages.path(conversation_id)[1].message.id == first


def test_deleting_takes_along_what_follows_and_undo_brings_all_back(
    history: HistoryStore, conversation_id: int
) -> None:
    question = history.messages.ask(conversation_id, "q")
    first = _answer(history, question.id, "鹦鹉")
    history.messages.ask(conversation_id, "more")
    other = _answer(history, question.id, "other")
    history.messages.select(first)
    deletion = history.messages.delete(first)

    shown = history.messages.path(conversation_id)
    assert [entry.message.text for entry in shown] == ["q", "other"]
    assert shown[-1].sibling_ids == (other,)
    assert history.search.find("鹦鹉") == ()
    with pytest.raises(MessageMissing):
        history.messages.get(first)

    history.messages.undo_delete(deletion)
    assert _texts(history, conversation_id) == ["q", "鹦鹉", "more"]
    assert [hit.message_id for hit in history.search.find("鹦鹉")] == [first]
    with pytest.raises(MessageMissing):
        history.messages.undo_delete(deletion)


def test_deletions_within_deletions_are_undone_in_any_order(
    history: HistoryStore, conversation_id: int
) -> None:
    question = history.messages.ask(conversation_id, "q")
    answer = _answer(history, question.id, "a")
    inner = history.messages.delete(answer)
    outer = history.messages.delete(question.id)

    history.messages.undo_delete(inner)
    assert _texts(history, conversation_id) == []
    assert history.search.find("a") == ()
    history.messages.undo_delete(outer)
    assert _texts(history, conversation_id) == ["q", "a"]


def test_deleted_messages_are_gone_after_thirty_days(folder: Path, clock: Clock) -> None:
    with HistoryStore.open(folder, now_ms=clock) as history:
        conversation_id = history.conversations.create().id
        question = history.messages.ask(conversation_id, "q")
        answer = _answer(history, question.id, "鹦鹉")
        history.messages.ask(conversation_id, "q2")
        inner = history.messages.delete(answer)
    clock.advance(29)
    with HistoryStore.open(folder, now_ms=clock) as history:
        history.messages.undo_delete(inner)
        inner = history.messages.delete(answer)
    clock.advance(31)
    with HistoryStore.open(folder, now_ms=clock) as history:
        assert _texts(history, conversation_id) == ["q"]
        with pytest.raises(MessageMissing):
            history.messages.undo_delete(inner)


def test_the_engine_gets_turns_that_alternate(history: HistoryStore, conversation_id: int) -> None:
    tokens = TokenIds("abc", (1, 70_000, 2**24))
    history.messages.ask(conversation_id, "one")
    question = history.messages.ask(conversation_id, "two")
    writer = history.answers.begin(question.id)
    writer.append("answer")
    writer.finish(Status.COMPLETE, tokens=tokens)
    last = history.messages.ask(conversation_id, "three")
    history.answers.begin(last.id).abandon()

    assert prompt_messages("sys", history.messages.path(conversation_id)) == (
        Message("system", "sys"),
        Message("user", "one\n\ntwo"),
        Message("assistant", "answer", tokens),
        Message("user", "three"),
    )


def test_the_engine_gets_thoughts_beside_the_answers(history: HistoryStore, conversation_id: int) -> None:
    question = history.messages.ask(conversation_id, "one")
    writer = history.answers.begin(question.id)
    writer.append_thought("hm")
    writer.finish(Status.STOPPED)
    question = history.messages.ask(conversation_id, "two")
    writer = history.answers.begin(question.id)
    writer.append_thought("well")
    writer.append("answer")
    writer.finish(Status.COMPLETE)

    assert prompt_messages("", history.messages.path(conversation_id)) == (
        Message("user", "one"),
        Message("assistant", "", thought="hm"),
        Message("user", "two"),
        Message("assistant", "answer", thought="well"),
    )


@pytest.mark.parametrize("operation", ["get", "select", "reveal", "delete"])
def test_what_is_not_there_is_said(history: HistoryStore, operation: str) -> None:
    with pytest.raises(MessageMissing):
        getattr(history.messages, operation)(77)


class Node:
    """A message of the model that the store is compared with."""

    def __init__(self, parent: Node | None, role: str, text: str) -> None:
        self.id = 0
        self.parent = parent
        self.role = role
        self.text = text
        self.children: list[Node] = []
        self.chosen: list[Node] = []
        self.is_deleted = False


class Branching(RuleBasedStateMachine):
    """Any sequence of operations shows what a tree of objects shows."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.history = HistoryStore.open(Path(self.temporary.name))
        self.conversation_id = self.history.conversations.create().id
        self.root = Node(None, "root", "")
        self.nodes: list[Node] = []
        self.deletions: list[tuple[int, list[Node]]] = []
        self.n_made = 0

    def teardown(self) -> None:
        self.history.close()
        self.temporary.cleanup()

    def shown(self) -> list[Node]:
        path = []
        node = self.root
        while alive := [child for child in node.chosen if not child.is_deleted]:
            node = alive[-1]
            path.append(node)
        return path

    def add(self, parent: Node, role: str, message_id: int, text: str) -> None:
        node = Node(parent, role, text)
        node.id = message_id
        parent.children.append(node)
        parent.chosen.append(node)
        self.nodes.append(node)

    def new_text(self) -> str:
        self.n_made += 1
        return f"text {self.n_made}"

    def alive(self) -> list[Node]:
        return [node for node in self.nodes if not node.is_deleted]

    @rule()
    def ask(self) -> None:
        text = self.new_text()
        parent = (self.shown() or [self.root])[-1]
        self.add(parent, "user", self.history.messages.ask(self.conversation_id, text).id, text)

    @precondition(lambda self: any(node.role == "user" for node in self.alive()))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        question = data.draw(st.sampled_from([node for node in self.alive() if node.role == "user"]))
        text = self.new_text()
        self.add(question, "assistant", _answer(self.history, question.id, text), text)

    @precondition(lambda self: any(node.role == "user" for node in self.alive()))
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        question = data.draw(st.sampled_from([node for node in self.alive() if node.role == "user"]))
        text = self.new_text()
        assert question.parent is not None
        self.add(question.parent, "user", self.history.messages.edit_question(question.id, text).id, text)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def select(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.alive()))
        self.history.messages.select(node.id)
        assert node.parent is not None
        node.parent.chosen.remove(node)
        node.parent.chosen.append(node)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = [data.draw(st.sampled_from(self.alive()))]
        deletion = self.history.messages.delete(gone[0].id)
        for node in gone:
            node.is_deleted = True
            gone.extend(child for child in node.children if not child.is_deleted)
        self.deletions.append((deletion, gone))

    @precondition(lambda self: self.deletions)
    @rule()
    def undo(self) -> None:
        deletion, gone = self.deletions.pop()
        self.history.messages.undo_delete(deletion)
        for node in gone:
            node.is_deleted = False

    @invariant()
    def shows_the_same(self) -> None:
        path = self.history.messages.path(self.conversation_id)
        expected = self.shown()
        assert [entry.message.text for entry in path] == [node.text for node in expected]
        for entry, node in zip(path, expected, strict=True):
            assert node.parent is not None
            siblings = [child.id for child in node.parent.children if not child.is_deleted]
            assert list(entry.sibling_ids) == siblings


TestBranching = Branching.TestCase
TestBranching.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
