"""The interactive chat: commands, failures, what is remembered, and what is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.chat_loop import ChatLoop
from app.dialogue import Dialogue, DisplayText
from app.i18n import Texts
from app.questions import LineReader
from app.terminal import Terminal
from builders.fake_backend import FakeBackend
from engine.errors import GenerationFailed, PromptTooLong
from engine.types import FinishReason, Message, Sampling


class Screen:
    """Streams in memory, as if a person typed `lines`; `is_person` makes them claim to be a terminal."""

    def __init__(self, lines: Sequence[str], *, is_person: bool = False) -> None:
        class Stream(io.StringIO):
            def isatty(self) -> bool:
                return is_person

        self.stdin = Stream("".join(f"{line}\n" for line in lines))
        self.stdout = Stream()
        self.stderr = Stream()
        self.terminal = Terminal(self.stdin, self.stdout, self.stderr)

    def chat(self, backend: FakeBackend, system: str | None = None) -> int:
        dialogue = Dialogue(backend, Sampling(), system)
        return ChatLoop(dialogue, LineReader(self.terminal), self.terminal, Texts("en"), "fake").run()

    @property
    def answers(self) -> str:
        return self.stdout.getvalue()

    @property
    def notes(self) -> str:
        return self.stderr.getvalue()


def test_answers_alone_go_to_stdout() -> None:
    screen = Screen(["你好", "/stats", "再见"])

    assert screen.chat(FakeBackend()) == 0

    assert screen.answers == "echo: 你好\necho: 再见\n"
    assert "Seed: 7" in screen.notes


def test_a_conversation_has_history_and_a_system_text() -> None:
    backend = FakeBackend([["一"], ["二"]])

    Screen(["first", "second"]).chat(backend, system="Be brief.")

    assert backend.asked[1][0] == [
        Message("system", "Be brief."),
        Message("user", "first"),
        Message("assistant", "一"),
        Message("user", "second"),
    ]


def test_reset_forgets_all_but_the_system_text() -> None:
    backend = FakeBackend()

    Screen(["first", "/reset", "second"]).chat(backend, system="Be brief.")

    assert backend.asked[1][0] == [Message("system", "Be brief."), Message("user", "second")]


def test_quit_ends_at_once() -> None:
    backend = FakeBackend()

    assert Screen(["/quit", "never asked"]).chat(backend) == 0

    assert backend.asked == []


def test_help_names_every_command() -> None:
    screen = Screen(["/help"])

    screen.chat(FakeBackend())

    for command in ("/reset", "/save", "/stats", "/quit"):
        assert command in screen.notes


def test_unknown_commands_are_not_sent_to_the_model() -> None:
    backend = FakeBackend()
    screen = Screen(["/foo bar"])

    screen.chat(backend)

    assert backend.asked == []
    assert "/foo" in screen.notes


@pytest.mark.parametrize("question", ["/etc/hosts 是什么", " /foo", "1/2 + 1/3"])
def test_questions_may_hold_slashes(question: str) -> None:
    backend = FakeBackend()

    Screen([question]).chat(backend)

    assert backend.asked[0][0][-1].text == question


def test_empty_lines_are_not_questions() -> None:
    backend = FakeBackend()

    Screen(["", "   ", "x"]).chat(backend)

    assert len(backend.asked) == 1


def test_a_refused_question_leaves_no_trace_and_the_chat_goes_on() -> None:
    backend = FakeBackend([PromptTooLong(900, 700, 1024), ["fine"]])
    screen = Screen(["too long", "short"])

    assert screen.chat(backend) == 1

    assert backend.asked[1][0] == [Message("user", "short")]
    assert "900" in screen.notes
    assert screen.answers == "fine\n"


def test_a_person_who_saw_the_failure_leaves_with_success() -> None:
    assert Screen(["x", "/quit"], is_person=True).chat(FakeBackend([GenerationFailed(-3)])) == 0


def test_forgotten_turns_are_told_once() -> None:
    screen = Screen(["a", "b", "c", "d"])

    screen.chat(FakeBackend(forgotten_turns=[0, 2, 2, 3]))

    assert screen.notes.count("no longer knows") == 2
    assert "first 2 turns" in screen.notes
    assert "first 3 turns" in screen.notes


def test_a_cut_off_answer_is_said_to_be_so() -> None:
    screen = Screen(["a"])

    screen.chat(FakeBackend(reason=FinishReason.LENGTH))

    assert "--max-tokens" in screen.notes


def test_stats_before_any_answer() -> None:
    screen = Screen(["/stats"])

    screen.chat(FakeBackend())

    assert "no answer yet" in screen.notes


def test_escape_sequences_never_reach_the_terminal() -> None:
    screen = Screen(["x"])

    screen.chat(FakeBackend([["a\x1b]0;title\x07b", "\x9b31m", "c\td\r\n"]]))

    assert screen.answers == "a]0;titleb31mc\td\n"


def test_save_writes_markdown(tmp_path: Path) -> None:
    path = tmp_path / "对 话.md"

    assert Screen(["你好", f'/save "{path}"']).chat(FakeBackend([[" 您", "好。\n"]])) == 0

    assert path.read_text(encoding="utf-8") == (
        "# ChatBELLE · fake\n\n## Question\n\n你好\n\n## Answer\n\n您好。\n"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_save_writes_exact_texts_as_json(tmp_path: Path) -> None:
    path = tmp_path / "对 话.JSON"

    Screen(["你好", f"/save {path}"]).chat(FakeBackend([[" 您", "好。\n"]]), system="短")

    assert json.loads(path.read_text(encoding="utf-8")) == {
        "format": "chatbelle-conversation",
        "version": 1,
        "model": "fake",
        "messages": [
            {"role": "system", "text": "短"},
            {"role": "user", "text": "你好"},
            {"role": "assistant", "text": " 您好。\n"},
        ],
    }


def test_save_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("precious")
    screen = Screen(["x", f"/save {path}"])

    assert screen.chat(FakeBackend()) == 1

    assert path.read_text() == "precious"
    assert "exists" in screen.notes
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a.docx", "a", "missing/a.md"])
def test_save_to_an_impossible_place_is_refused(tmp_path: Path, name: str) -> None:
    screen = Screen(["x", f"/save {tmp_path / name}"])

    assert screen.chat(FakeBackend()) == 1

    assert name in screen.notes
    assert list(tmp_path.iterdir()) == []


def test_saving_into_the_home_folder_of_nobody_is_refused() -> None:
    screen = Screen(["x", "/save ~nobody-of-this-name/a.md"])

    assert screen.chat(FakeBackend()) == 1

    assert "~nobody-of-this-name" in screen.notes


def test_save_needs_a_name_and_a_conversation(tmp_path: Path) -> None:
    screen = Screen(["/save", f"/save {tmp_path / 'a.md'}"])

    screen.chat(FakeBackend())

    assert "Name a file" in screen.notes
    assert "nothing to save" in screen.notes
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_answer_without_a_word_is_forgotten() -> None:
    dialogue = Dialogue(FakeBackend([[], ["b"]], reason=FinishReason.CANCELLED), Sampling())

    list(dialogue.ask("first"))
    assert dialogue.messages == ()

    list(dialogue.ask("second"))
    assert [message.text for message in dialogue.messages] == ["second", "b"]


@pytest.mark.parametrize(
    "chunks",
    [
        [" 你", "好 ", "\n\n", "世界", "。\n", " "],
        [" 你好 \n\n世界。\n "],
        ["", "  ", "\n", "你好 \n\n世界。"],
    ],
)
def test_display_trims_only_the_ends(chunks: list[str]) -> None:
    display = DisplayText()

    assert "".join(map(display.push, chunks)) == "你好 \n\n世界。"
