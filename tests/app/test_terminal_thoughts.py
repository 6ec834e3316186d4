"""Thoughts in the terminal: beside the answer, never in it, and asked for by options."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.chat_loop import ChatLoop
from app.commands import chat
from app.dialogue import Dialogue
from app.home import Home
from app.i18n import Texts, catalog
from app.questions import LineReader
from app.shell import Shell
from app.terminal import Terminal
from builders.fake_backend import INFO, FakeBackend
from convert.i18n import Language
from convert.i18n.arguments import LocalizedParser
from engine.types import FinishReason, Sampling

SWITCHABLE = replace(INFO, thinks=True, can_switch_thinking=True)
ALWAYS = replace(INFO, thinks=True)


class Screen:
    """The three streams in memory. has_colours: stderr claims to be a terminal that shows them."""

    def __init__(self, *, has_colours: bool = False, lines: Sequence[str] = ()) -> None:
        class Colourful(io.StringIO):
            def isatty(self) -> bool:
                return has_colours

        self.stdout, self.stderr = io.StringIO(), Colourful()
        self.terminal = Terminal(
            io.StringIO("".join(f"{line}\n" for line in lines)), self.stdout, self.stderr
        )

    @property
    def answers(self) -> str:
        return self.stdout.getvalue()

    @property
    def notes(self) -> list[str]:
        return self.stderr.getvalue().splitlines()


def _options(arguments: Sequence[str], language: Language = "en") -> argparse.Namespace:
    parser = LocalizedParser(catalog=catalog(), language=language, prog="chatbelle")
    chat.add_parser(parser.add_subparsers(parser_class=LocalizedParser), parser)
    return parser.parse_args([chat.NAME, *arguments])


def _chat(screen: Screen, backend: FakeBackend, tmp_path: Path, *arguments: str) -> int:
    model = tmp_path / "模型.gguf"
    model.write_bytes(b"GGUF")
    shell = Shell(Texts("en"), screen.terminal, Home(tmp_path / "数据"), lambda: backend)
    return chat.run(_options(["--model", str(model), *arguments]), shell)


def _thinking_backend() -> FakeBackend:
    return FakeBackend([["four", ".\n"]], thoughts=[["\ntwo and\n", "two \x1b[31m\n"]], info=SWITCHABLE)


def test_the_answer_alone_goes_to_stdout(tmp_path: Path) -> None:
    screen = Screen()
    assert _chat(screen, _thinking_backend(), tmp_path, "2 + 2?") == 0

    assert screen.answers == "four.\n"
    assert screen.notes[:3] == ["Thinking ...", "two and", "two [31m"]
    assert screen.notes[3].startswith("Thought for ")


def test_a_thought_is_dim_where_there_are_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.platform", "linux")
    screen = Screen(has_colours=True)
    _chat(screen, _thinking_backend(), tmp_path, "2 + 2?")

    assert screen.notes[1:3] == ["\x1b[2mtwo and\x1b[0m\x1b[2m", "two [31m\x1b[0m"]
    assert "\x1b" not in screen.answers


def test_an_answer_that_is_stopped_in_its_thought_ends_its_line(tmp_path: Path) -> None:
    screen = Screen()
    backend = FakeBackend([[]], thoughts=[["hm"]], reason=FinishReason.LENGTH, info=SWITCHABLE)
    _chat(screen, backend, tmp_path, "2 + 2?")

    assert screen.answers == ""
    assert screen.notes[1] == "hm"
    assert screen.notes[2].startswith("Thought for ")


def test_a_thought_of_blanks_only_is_not_mentioned(tmp_path: Path) -> None:
    screen = Screen()
    _chat(screen, FakeBackend([["four."]], thoughts=[["\n", "\n"]], info=SWITCHABLE), tmp_path, "2 + 2?")

    assert screen.answers == "four.\n"
    assert len(screen.notes) == 1


def test_json_has_the_thought_beside_the_answer(tmp_path: Path) -> None:
    screen = Screen()
    _chat(screen, _thinking_backend(), tmp_path, "--json", "2 + 2?")

    document = json.loads(screen.answers)
    assert (document["answer"], document["thought"]) == ("four.", "two and\ntwo \x1b[31m")
    assert document["statistics"]["thought_tokens"] == 2
    assert document["model"]["can_switch_thinking"] is True
    assert screen.notes == []


@pytest.mark.parametrize(
    ("arguments", "thinking", "budget"),
    [
        ((), "automatic", None),
        (("--think",), "on", None),
        (("--no-think", "--thought-budget", "64"), "off", 64),
    ],
)
def test_options_say_whether_and_how_long_to_think(
    tmp_path: Path, arguments: tuple[str, ...], thinking: str, budget: int | None
) -> None:
    screen, backend = Screen(), _thinking_backend()
    assert _chat(screen, backend, tmp_path, *arguments, "2 + 2?") == 0

    (_, sampling) = backend.asked[0]
    assert (sampling.thinking, sampling.thought_budget) == (thinking, budget)
    assert screen.notes[0] == "Thinking ..."


@pytest.mark.parametrize(
    ("info", "arguments", "notes"),
    [
        (INFO, ["--think"], ["doesn't think before it answers: --think"]),
        (INFO, ["--no-think"], ["doesn't think before it answers: --no-think"]),
        (INFO, ["--thought-budget", "9"], ["doesn't think before it answers: --thought-budget"]),
        (ALWAYS, ["--no-think"], ["always thinks before it answers: --no-think"]),
        (ALWAYS, ["--thought-budget", "9"], []),
    ],
)
def test_what_a_model_can_not_do_is_said_and_no_failure(
    tmp_path: Path, info: object, arguments: list[str], notes: list[str]
) -> None:
    screen = Screen()
    backend = FakeBackend([["four."]], info=info)  # type: ignore[arg-type]
    assert _chat(screen, backend, tmp_path, *arguments, "2 + 2?") == 0

    assert screen.answers == "four.\n"
    said = screen.notes[:-1]  # the last one has the numbers
    assert len(said) == len(notes)
    assert all(part in line for part, line in zip(notes, said, strict=True))


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("arguments", [["--think", "--no-think", "x"], ["--thought-budget", "0", "x"]])
def test_options_that_contradict_each_other_are_refused(
    arguments: list[str], language: Language, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        _options(arguments, language)

    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "not allowed with argument" not in message
    assert arguments[0] in message


def test_statistics_and_saved_files_tell_of_the_thought(tmp_path: Path) -> None:
    names = [tmp_path / "对话.md", tmp_path / "对话.json"]
    screen = Screen(lines=["2 + 2?", "/stats", *(f"/save {name}" for name in names)])
    dialogue = Dialogue(_thinking_backend(), Sampling())
    assert ChatLoop(dialogue, LineReader(screen.terminal), screen.terminal, Texts("en"), "fake").run() == 0

    assert any(line.startswith("Thought, part of it: 2 tokens, 0.25 s") for line in screen.notes)
    fold = "<details>\n<summary>Thought</summary>\n\ntwo and\ntwo \x1b[31m\n\n</details>"
    assert names[0].read_text(encoding="utf-8").endswith(f"## Answer\n\n{fold}\n\nfour.\n")
    answer = json.loads(names[1].read_text(encoding="utf-8"))["messages"][-1]
    assert answer == {"role": "assistant", "text": "four.\n", "thought": "\ntwo and\ntwo \x1b[31m\n"}


def test_numbers_of_an_answer_without_a_thought_do_not_mention_one() -> None:
    screen = Screen(lines=["x", "/stats"])
    ChatLoop(
        Dialogue(FakeBackend(), Sampling()), LineReader(screen.terminal), screen.terminal, Texts("en"), "fake"
    ).run()

    assert "hought" not in screen.stderr.getvalue()
