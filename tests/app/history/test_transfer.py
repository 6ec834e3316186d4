"""Export and import: our JSON without loss, other programs' forms, and files that are neither."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.history.errors import (
    ConversationMissing,
    ExportFailed,
    ImportEmpty,
    ImportInvalid,
    ImportTooLarge,
    ImportTooNew,
    ImportUnknownFormat,
    ImportUnreadable,
    TransferError,
)
from app.history.exchange import ExchangeConversation, ExchangeMessage, read_conversations
from app.history.records import Origin, Overrides, Status
from app.history.store import HistoryStore
from app.history.transcript import Labels
from app.transcript import save_transcript
from app.typed_json import to_json
from engine.partial_sampling import PartialSampling
from engine.types import Message, Sampling, Statistics, TokenIds

TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('中文\n\x00"\\')), max_size=20
)
NUMBER = st.floats(0, 1e6, allow_nan=False)
COUNT = st.integers(0, 2**40)
SAMPLING = st.builds(
    Sampling, temperature=NUMBER, seed=st.none() | COUNT, stop=st.lists(TEXT, max_size=2).map(tuple)
)
STATISTICS = st.builds(
    Statistics, COUNT, COUNT, COUNT, NUMBER, NUMBER, st.none() | NUMBER, COUNT, COUNT, COUNT, COUNT
)
ORIGIN = st.builds(Origin, TEXT, TEXT, TEXT, st.none() | TEXT, TEXT, st.none() | SAMPLING)
PARTIAL = st.builds(PartialSampling, temperature=st.none() | NUMBER, max_tokens=st.none() | COUNT)
OVERRIDES = st.builds(
    Overrides,
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | PARTIAL,
    st.sampled_from([None, "on", "off"]),
    st.none() | COUNT,
)
TOKENS = st.builds(TokenIds, TEXT, st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple))
AT_REST = st.sampled_from([status for status in Status if status is not Status.STREAMING])


def test_sampling_of_an_older_export_is_what_was_chosen() -> None:
    usual = {
        **{"temperature": 0.35, "top_k": 30, "top_p": 0.85, "min_p": 0.0, "repetition_penalty": 1.2},
        **{"presence_penalty": 0.0, "frequency_penalty": 0.0, "seed": None, "max_tokens": 512, "stop": []},
    }
    answer = {"uid": "b", "parent": None, "role": "assistant", "text": "x"}
    answer |= {"origin": {"model": "BELLE", "sampling": usual}}
    value = {"uid": "a", "overrides": {"sampling": {**usual, "top_k": 7}}, "messages": [answer]}
    (conversation,) = read_conversations([value])

    assert conversation.overrides.sampling == PartialSampling(top_k=7)
    origin = conversation.messages[0].origin
    assert origin is not None
    assert origin.sampling is not None  # what made an answer stays as it was
    assert (origin.sampling.repetition_penalty, origin.sampling.max_tokens) == (1.2, 512)


@st.composite
def conversations(draw: st.DrawFn, uid: str = "c") -> ExchangeConversation:
    """A tree of up to eight messages with everything that a message can have."""
    messages: list[ExchangeMessage] = []
    for index in range(draw(st.integers(0, 8))):
        parent = draw(st.sampled_from([None, *(message.uid for message in messages)]))
        messages.append(
            ExchangeMessage(
                uid=f"{uid}{index}",
                parent=parent,
                role=draw(st.sampled_from(["user", "assistant", "system"])),
                text=draw(TEXT),
                status=draw(AT_REST),
                created_at=draw(COUNT),
                choice=draw(st.integers(0, 9)),
                tokens=draw(st.none() | TOKENS),
                statistics=draw(st.none() | STATISTICS),
                origin=draw(st.none() | ORIGIN),
                thought=draw(TEXT),
                thought_s=draw(NUMBER),
            )
        )
    return ExchangeConversation(
        uid=uid,
        title=draw(TEXT),
        title_is_own=draw(st.booleans()),
        created_at=draw(COUNT),
        updated_at=draw(COUNT),
        pinned=draw(st.booleans()),
        folder=draw(st.none() | TEXT),
        draft=draw(TEXT),
        overrides=draw(OVERRIDES),
        messages=tuple(messages),
    )


def _file(path: Path, items: list[ExchangeConversation]) -> Path:
    head = {"format": "chatbelle-history", "version": 1, "exported_at": 0}
    content = {**head, "conversations": [json.loads(to_json(item)) for item in items]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _export(history: HistoryStore, path: Path) -> Any:
    history.transfer.export(path, "json")
    return json.loads(path.read_text(encoding="utf-8"))["conversations"]


@settings(max_examples=8, deadline=None)
@given(first=conversations("a"), second=conversations("b"))
def test_our_json_comes_back_without_loss(first: ExchangeConversation, second: ExchangeConversation) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with HistoryStore.open(folder / "一") as history:
            report = history.transfer.import_file(_file(folder / "in.json", [first, second]))
            assert len(report.added) == 2
            exported = _export(history, folder / "out.json")
        assert exported == [json.loads(to_json(item)) for item in (first, second)]
        with HistoryStore.open(folder / "二") as other:
            other.messages.ask(other.conversations.create().id, "so that ids differ")
            other.transfer.import_file(folder / "out.json")
            assert _export(other, folder / "again.json")[1:] == exported
            unchanged = other.transfer.import_file(folder / "again.json")
            assert (unchanged.added, unchanged.extended, unchanged.n_unchanged) == ((), (), 3)


def _converse(history: HistoryStore) -> int:
    conversation = history.conversations.create()
    question = history.messages.ask(conversation.id, "问题一")
    for text in ("答案甲", "答案乙"):
        writer = history.answers.begin(question.id)
        writer.append(text)
        writer.finish(Status.COMPLETE)
    return conversation.id


@pytest.fixture
def conversation_id(history: HistoryStore) -> int:
    """A question with two answers, the second one shown."""
    return _converse(history)


def test_markdown_has_the_shown_branch(history: HistoryStore, conversation_id: int, tmp_path: Path) -> None:
    report = history.transfer.export(
        tmp_path / "对话.md", "markdown", conversation_id=conversation_id, labels=Labels("我", "贝拉")
    )
    text = report.path.read_text(encoding="utf-8")

    assert text.startswith("# 问题一\n\n*2023-11-")
    assert text.endswith("### 我\n\n问题一\n\n### 贝拉\n\n答案乙\n")
    assert "答案甲" not in text


def _think(history: HistoryStore, thought: str, text: str) -> int:
    """The id of a conversation with one answer and its thought."""
    question = history.messages.ask(history.conversations.create().id, "问题")
    writer = history.answers.begin(question.id)
    writer.append_thought(thought)
    writer.append(text)
    return writer.finish(Status.COMPLETE).conversation_id


def test_markdown_folds_thoughts_away(history: HistoryStore, tmp_path: Path) -> None:
    _think(history, "\n想想\n\n</details>\n", "答案")
    history.transfer.export(tmp_path / "a.md", "markdown", labels=Labels("我", "贝拉", thought="思考 <过程>"))

    text = (tmp_path / "a.md").read_text(encoding="utf-8")
    fold = "<details>\n<summary>思考 &lt;过程&gt;</summary>\n\n想想\n\n&lt;/details>\n\n</details>"
    assert text.endswith(f"### 贝拉\n\n{fold}\n\n答案\n")


def test_belle_text_has_answers_only(history: HistoryStore, tmp_path: Path) -> None:
    conversation_id = _think(history, "想想", "答案")
    history.transfer.export(tmp_path / "a.txt", "text", conversation_id=conversation_id)

    assert (tmp_path / "a.txt").read_bytes().decode() == "Human: 问题\n\nAssistant: 答案\n"


def test_thoughts_come_back_with_our_json(history: HistoryStore, tmp_path: Path) -> None:
    _think(history, "想想 <b>", "答案")
    _export(history, tmp_path / "a.json")
    with HistoryStore.open(tmp_path / "other") as other:
        (added,) = other.transfer.import_file(tmp_path / "a.json").added
        answer = other.messages.path(added)[-1].message

        assert (answer.thought, answer.text) == ("想想 <b>", "答案")
        assert [hit.message_id for hit in other.search.thoughts("想想")] == [answer.id]


def test_what_the_terminal_saves_can_be_imported(history: HistoryStore, tmp_path: Path) -> None:
    said = [
        Message("system", "简短"),
        Message("user", "问"),
        Message("assistant", "答", thought="想"),
        Message("user", "再问"),
        Message("assistant", "再答"),
    ]
    save_transcript(tmp_path / "a.json", said, "BELLE", {})
    (added,) = history.transfer.import_file(tmp_path / "a.json").added

    path = [entry.message for entry in history.messages.path(added)]
    assert [Message(each.role, each.text, thought=each.thought) for each in path] == said[1:]
    assert history.conversations.get(added).overrides.system == "简短"


def test_a_thought_in_a_field_of_its_own_is_read_and_tags_stay_text(
    history: HistoryStore, tmp_path: Path
) -> None:
    answers = [
        {"role": "assistant", "content": "a", "reasoning_content": "r"},
        {"role": "assistant", "content": "b", "reasoning_content": None},
        {"role": "assistant", "content": "<think>t</think>c"},
    ]
    (tmp_path / "in.json").write_text(json.dumps({"messages": answers}))
    (added,) = history.transfer.import_file(tmp_path / "in.json").added

    found = [(entry.message.thought, entry.message.text) for entry in history.messages.path(added)]
    assert found == [("r", "a"), ("", "b"), ("", "<think>t</think>c")]


def test_a_conversation_without_thoughts_keeps_the_uid_it_always_got(
    history: HistoryStore, tmp_path: Path
) -> None:
    _import_text(history, tmp_path / "in.json", json.dumps(ROLES))

    uid = history.conversations.page().conversations[0].uid
    assert (
        uid == "import-" + hashlib.sha256(b'["", [["user", "hi"], ["assistant", "hello"]]]').hexdigest()[:32]
    )


def test_text_is_the_form_that_belle_had(history: HistoryStore, conversation_id: int, tmp_path: Path) -> None:
    history.transfer.export(tmp_path / "one.txt", "text", conversation_id=conversation_id)

    assert (tmp_path / "one.txt").read_bytes().decode() == "Human: 问题一\n\nAssistant: 答案乙\n"


def test_a_text_of_all_conversations_can_be_read_again(
    history: HistoryStore, tmp_path: Path, conversation_id: int
) -> None:
    _converse(history)
    history.conversations.rename(conversation_id, "标题")
    history.transfer.export(tmp_path / "all.txt", "text")
    with HistoryStore.open(tmp_path / "other") as other:
        report = other.transfer.import_file(tmp_path / "all.txt")
        titles = [other.conversations.get(each).title for each in report.added]
        paths = [other.messages.path(each) for each in report.added]

    assert titles == ["标题", "问题一"]
    assert [[entry.message.text for entry in path] for path in paths] == [["问题一", "答案乙"]] * 2


def test_the_trash_is_not_exported(history: HistoryStore, conversation_id: int, tmp_path: Path) -> None:
    history.conversations.trash(conversation_id)

    assert _export(history, tmp_path / "out.json") == []
    with pytest.raises(ConversationMissing):
        history.transfer.export(tmp_path / "x", "json", conversation_id=99)
    assert not (tmp_path / "x").exists()


def test_a_running_answer_is_exported_as_unfinished(history: HistoryStore, tmp_path: Path) -> None:
    question = history.messages.ask(history.conversations.create().id, "q")
    writer = history.answers.begin(question.id)
    writer.append("so far")
    writer.flush()
    message = _export(history, tmp_path / "out.json")[0]["messages"][1]

    assert (message["text"], message["status"]) == ("so far", "unfinished")


def test_importing_brings_back_what_was_deleted_and_adds_what_is_new(
    history: HistoryStore, conversation_id: int, tmp_path: Path
) -> None:
    _export(history, tmp_path / "before.json")
    root = history.messages.path(conversation_id)[0].message
    history.messages.delete(root.id)
    history.conversations.trash(conversation_id)
    report = history.transfer.import_file(tmp_path / "before.json")

    assert (report.added, report.extended) == ((), (conversation_id,))
    assert [entry.message.text for entry in history.messages.path(conversation_id)] == ["问题一", "答案乙"]
    assert history.conversations.get(conversation_id).trashed_at is None


def test_a_conversation_that_went_on_elsewhere_gets_its_new_messages(
    history: HistoryStore, conversation_id: int, tmp_path: Path
) -> None:
    _export(history, tmp_path / "a.json")
    with HistoryStore.open(tmp_path / "elsewhere") as other:
        (there,) = other.transfer.import_file(tmp_path / "a.json").added
        other.messages.ask(there, "后来的问题")
        _export(other, tmp_path / "b.json")
    history.messages.ask(conversation_id, "这里的问题")
    report = history.transfer.import_file(tmp_path / "b.json")

    assert (report.extended, report.n_messages) == ((conversation_id,), 1)
    shown = history.messages.path(conversation_id)[-1]
    assert (shown.message.text, len(shown.sibling_ids)) == ("后来的问题", 2)


def test_a_stranger_with_known_message_uids_gets_new_ones(
    history: HistoryStore, conversation_id: int, tmp_path: Path
) -> None:
    content = _export(history, tmp_path / "a.json")
    content[0]["uid"] = "another"
    (tmp_path / "b.json").write_text(
        json.dumps({"format": "chatbelle-history", "version": 1, "conversations": content})
    )
    (added,) = history.transfer.import_file(tmp_path / "b.json").added

    mine, theirs = (history.messages.path(each) for each in (conversation_id, added))
    assert [entry.message.text for entry in mine] == [entry.message.text for entry in theirs]
    assert {entry.message.uid for entry in mine}.isdisjoint(entry.message.uid for entry in theirs)


SHAREGPT = {
    "id": "x1",
    "conversations": [
        {"from": "system", "value": "简短"},
        {"from": "human", "value": " 问\n"},
        {"from": "gpt", "value": "答 🦜"},
    ],
}
ROLES = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
BELLE = {"instruction": "Human:你好\nAssistant:您好\nHuman:再见\nAssistant:", "input": "", "output": "再会"}


def _import_text(history: HistoryStore, path: Path, text: str | bytes) -> list[list[tuple[str, str]]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    report = history.transfer.import_file(path)
    paths = [history.messages.path(each) for each in report.added]
    return [[(entry.message.role, entry.message.text) for entry in shown] for shown in paths]


@pytest.mark.parametrize("form", ["object", "list", "lines"])
def test_other_programs_json_is_read(history: HistoryStore, tmp_path: Path, form: str) -> None:
    items = [SHAREGPT] if form == "object" else [SHAREGPT, ROLES, BELLE]
    texts = {"object": json.dumps(SHAREGPT), "list": json.dumps(items)}
    text = texts.get(form, "\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n\n")
    found = _import_text(history, tmp_path / "in.json", text)

    assert (
        found
        == [
            [("user", " 问\n"), ("assistant", "答 🦜")],
            [("user", "hi"), ("assistant", "hello")],
            [("user", "你好"), ("assistant", "您好"), ("user", "再见"), ("assistant", "再会")],
        ][: len(items)]
    )
    first = history.conversations.page().conversations[-1]
    assert (first.title, first.overrides.system) == ("问", "简短")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_belle_text_is_read(history: HistoryStore, tmp_path: Path, encoding: str) -> None:
    text = "\n Human：第一行\n第二行: Assistant: 不是标记\n\nAssistant: 好的\nHuman: 谢谢\n\nAssistant:"
    found = _import_text(history, tmp_path / "in.txt", text.encode(encoding))

    assert found == [
        [("user", "第一行\n第二行: Assistant: 不是标记"), ("assistant", "好的"), ("user", "谢谢")]
    ]


def test_importing_twice_adds_nothing(history: HistoryStore, tmp_path: Path) -> None:
    text = json.dumps([SHAREGPT, ROLES, ROLES])
    assert len(_import_text(history, tmp_path / "in.json", text)) == 3

    report = history.transfer.import_file(tmp_path / "in.json")
    assert (report.added, report.extended, report.n_unchanged) == ((), (), 3)


def test_half_characters_in_json_are_replaced(history: HistoryStore, tmp_path: Path) -> None:
    turns = r'{"from": "human", "value": "a\ud83d"}, {"from": "gpt", "value": "\ud83d\ude00"}'
    text = '{"conversations": [' + turns + "]}"

    assert _import_text(history, tmp_path / "in.json", text) == [[("user", "a\ufffd"), ("assistant", "😀")]]


def _ours(**changes: Any) -> str:
    message: dict[str, Any] = {"uid": "m", "parent": None, "role": "user", "text": "x"}
    message |= changes.pop("message", {})
    good = {"uid": "good", "messages": [{**message, "uid": "g", "parent": None, "role": "user", "text": ""}]}
    conversation = {"uid": "c", "messages": [message], **changes.pop("conversation", {})}
    content = {"format": "chatbelle-history", "version": 1, "conversations": [good, conversation]}
    return json.dumps(content | changes)


INVALID: list[tuple[str, type[TransferError]]] = [
    ("", ImportEmpty),
    (" \n", ImportEmpty),
    ("[]", ImportEmpty),
    ("Assistant:", ImportEmpty),
    ("Human:\nAssistant: ", ImportEmpty),
    ("hello", ImportUnknownFormat),
    ("{", ImportUnknownFormat),
    ("{}\n{", ImportUnknownFormat),
    ("[" * 100_000, ImportUnknownFormat),
    ('{"a": ' * 100_000, ImportUnknownFormat),
    ("[1]", ImportUnknownFormat),
    ('{"x": NaN}', ImportUnknownFormat),
    ('{"x": ' + "9" * 10_000 + "}", ImportUnknownFormat),
    ('{"format": "other"}', ImportUnknownFormat),
    (json.dumps([SHAREGPT, {"x": 1}]), ImportInvalid),
    ('{"conversations": [{"from": "alien", "value": "x"}]}', ImportInvalid),
    ('{"conversations": [{"from": "human", "value": 3}]}', ImportInvalid),
    ('{"conversations": ["x"]}', ImportInvalid),
    ('{"conversations": [{"from": "human"}]}', ImportInvalid),
    (_ours(version=2), ImportTooNew),
    (_ours(version=0), ImportInvalid),
    (_ours(version="1"), ImportInvalid),
    (_ours(version=True), ImportInvalid),
    (_ours(conversations=None), ImportInvalid),
    (_ours(conversations=[1]), ImportInvalid),
    (_ours(conversation={"uid": ""}), ImportInvalid),
    (_ours(conversation={"uid": "x" * 1000}), ImportInvalid),
    (_ours(conversation={"created_at": -1}), ImportInvalid),
    (_ours(conversation={"created_at": 10**30}), ImportInvalid),
    (_ours(conversation={"pinned": 1}), ImportInvalid),
    (_ours(conversation={"overrides": {"sampling": {"temperature": "hot"}}}), ImportInvalid),
    (_ours(conversation={"messages": {}}), ImportInvalid),
    (_ours(message={"parent": "m"}), ImportInvalid),
    (_ours(message={"thought": 1}), ImportInvalid),
    (_ours(message={"thought_s": -1.0}), ImportInvalid),
    (_ours(conversation={"overrides": {"thinking": "hard"}}), ImportInvalid),
    (_ours(message={"parent": "nobody"}), ImportInvalid),
    (_ours(message={"role": "tool"}), ImportInvalid),
    (_ours(message={"role": ["user"]}), ImportInvalid),
    (_ours(message={"status": "great"}), ImportInvalid),
    (_ours(message={"text": None}), ImportInvalid),
    (_ours(message={"choice": 2**63 - 1}), ImportInvalid),
    (_ours(message={"tokens": {"vocabulary": "v", "ids": [-1]}}), ImportInvalid),
    (_ours(message={"tokens": {"vocabulary": "v", "ids": [2**32]}}), ImportInvalid),
    (_ours(message={"statistics": {"prompt_tokens": 1}}), ImportInvalid),
]


@pytest.mark.parametrize(("text", "error"), INVALID, ids=range(len(INVALID)))
def test_what_cannot_be_imported_changes_nothing(
    history: HistoryStore, tmp_path: Path, text: str, error: type[TransferError]
) -> None:
    path = tmp_path / "in.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(error) as caught:
        history.transfer.import_file(path)
    assert caught.value.path == path
    assert history.conversations.counts().conversations == 0


def test_the_place_of_what_is_invalid_is_named(history: HistoryStore, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(_ours(message={"role": "tool"}))
    with pytest.raises(ImportInvalid) as caught:
        history.transfer.import_file(tmp_path / "in.json")

    assert caught.value.location == "conversations[1].messages[0].role"
    assert caught.value.expected == "one of system, user, assistant"


def test_bytes_that_are_no_text_are_refused(history: HistoryStore, tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(b"\xff\xfe\x00\xd8" * 3)
    with pytest.raises(ImportUnknownFormat):
        history.transfer.import_file(tmp_path / "in.bin")


def test_a_huge_file_is_refused(history: HistoryStore, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(" " * 1001)
    with pytest.raises(ImportTooLarge) as caught:
        history.transfer.import_file(tmp_path / "in.json", limit_bytes=1000)

    assert (caught.value.size_bytes, caught.value.limit_bytes) == (1001, 1000)


def test_files_that_cannot_be_opened_are_said(history: HistoryStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file" / "x"):
        with pytest.raises(ImportUnreadable):
            history.transfer.import_file(path)
    with pytest.raises(ExportFailed):
        history.transfer.export(tmp_path / "file" / "x.json", "json")


def test_a_failed_export_leaves_the_old_file(
    history: HistoryStore, conversation_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ExportFailed):
        history.transfer.export(path, "json")
    monkeypatch.undo()

    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["out.json"]
