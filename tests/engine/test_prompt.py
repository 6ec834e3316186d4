"""BELLE's formats, byte for byte, as segments and as chat templates."""

from __future__ import annotations

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.conversation import read_conversation
from engine.errors import UnknownPromptFormat
from engine.prompt import (
    PROMPT_FORMATS,
    AnswerSegment,
    Control,
    Segment,
    chat_template,
    detect_format,
    own_format,
)
from engine.types import Message, TokenIds

OWN = ["belle", "belle-card", "belle-llama", "base"]

ONE_TURN = [Message("user", " 你好 \n")]
TWO_TURNS = [
    Message("system", " Be brief.\n"),
    Message("user", "first"),
    Message("assistant", " yes\n", TokenIds("v", (7, 8))),
    Message("user", "second </s>"),
]

GOLDENS = {
    "belle": (
        "Human: 你好\n\nAssistant:",
        "Be brief.\n\nHuman: first\n\nAssistant: yes\n</s>Human: second </s>\n\nAssistant:",
    ),
    "belle-card": (
        "Human:  你好 \n \n\nAssistant:",
        "Be brief.\n\nHuman: first \n\nAssistant: yes\n</s>Human: second </s> \n\nAssistant:",
    ),
    "belle-llama": (
        "Human: \n 你好 \n\n\nAssistant: \n",
        "Be brief.\n\nHuman: \nfirst\n\nAssistant: \n yes\n</s>Human: \nsecond </s>\n\nAssistant: \n",
    ),
    "base": (" 你好 \n", "Be brief.\n\nfirst yes\nsecond </s>"),
}


def written(segments: list[Segment]) -> str:
    """What the segments spell, with `</s>` for the end token."""
    return "".join(
        {Control.END: "</s>", Control.BEGIN: ""}[segment] if isinstance(segment, Control) else segment.text
        for segment in segments
    )


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(("index", "messages"), [(0, ONE_TURN), (1, TWO_TURNS)])
def test_each_format_spells_its_golden_prompt(name: str, index: int, messages: list[Message]) -> None:
    assert written(own_format(name).render(read_conversation(messages))) == GOLDENS[name][index]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(("index", "messages"), [(0, ONE_TURN), (1, TWO_TURNS)])
def test_the_written_template_renders_the_same_prompt(name: str, index: int, messages: list[Message]) -> None:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = chat_template(name)
    assert template is not None
    rendered = environment.from_string(template).render(
        messages=[{"role": message.role, "content": message.text} for message in messages],
        eos_token="</s>",
        bos_token="<s>",
        add_generation_prompt=True,
    )
    assert rendered == GOLDENS[name][index]


@pytest.mark.parametrize("name", OWN)
def test_written_templates_have_no_literal_newline(name: str) -> None:
    assert "\n" not in (chat_template(name) or "")


def test_an_earlier_answer_keeps_its_token_ids() -> None:
    segments = own_format("belle").render(read_conversation(TWO_TURNS))
    assert segments[1:3] == [AnswerSegment(" yes\n", TokenIds("v", (7, 8))), Control.END]


@pytest.mark.parametrize("name", OWN)
def test_an_answer_at_the_end_is_left_open_to_be_continued(name: str) -> None:
    segments = own_format(name).render(read_conversation(TWO_TURNS[:3]))
    assert segments[-1] == AnswerSegment(" yes\n", TokenIds("v", (7, 8)))


def test_belle_formats_stop_where_the_model_would_ask_itself() -> None:
    assert own_format("belle").turn_starts == ("\nHuman:", "\nHuman：", "\n Human:", "\n Human：")
    assert own_format("base").turn_starts == ()


@pytest.mark.parametrize("name", OWN)
def test_our_own_template_in_a_file_is_recognised(name: str) -> None:
    assert detect_format("llama", chat_template(name)) == name


@pytest.mark.parametrize(
    ("architecture", "template", "expected"),
    [
        ("bloom", None, "belle"),
        ("bloom", "  ", "belle"),
        ("llama", None, "base"),
        ("llama", "{{ messages }}", "template"),
        ("bloom", "{{ messages }}", "template"),
    ],
)
def test_format_of_other_files(architecture: str, template: str | None, expected: str) -> None:
    assert detect_format(architecture, template) == expected


def test_a_template_model_gets_no_template_written() -> None:
    assert chat_template("template") is None


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownPromptFormat) as caught:
        chat_template("chatml")
    assert caught.value.name == "chatml"
    assert caught.value.known == PROMPT_FORMATS
