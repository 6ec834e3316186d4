"""What chat templates write, beside transformers' own rendering of them."""

from __future__ import annotations

from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.errors import ChatTemplateFailed
from engine.named_templates import NAMED_TEMPLATES
from engine.prompt import RenderedText
from engine.types import Message, Thinking

BEGIN, END = "<s>", "</s>"

# Constructs that templates in the wild use, each in a template of its own.
CONSTRUCTS = {
    "generation": (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        "A:{% generation %}{{ m.content }}|{% endgeneration %}"
        "{% else %}{{ m.role }}:{{ m.content }}|{% endif %}{% endfor %}"
    ),
    "namespace": (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
        "{{ ns.n ~ m.role ~ m.content }}{% endfor %}"
    ),
    "macro": (
        "{% macro say(m) %}{{ m.role }}>{{ m.content|trim }}{% endmacro %}"
        "{% for m in messages %}{{ say(m) }}{% endfor %}"
    ),
    "loop controls": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% continue %}{% endif %}"
        "{{ m.content }};{% endfor %}"
    ),
    "tools": (
        "{% if tools is defined and tools %}{{ tools|length }}{% endif %}"
        "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    ),
    "white space": "{%- for m in messages -%}\n  {{ m.content }}\n{% endfor %}\n\n{{ eos_token }}",
    "slices": (
        "{% for m in messages[::-1] %}{{ m.content }}{{ loop.index0 }}{% endfor %}{{ messages[-1].role }}"
    ),
    "switch": (
        "{% for m in messages %}{{ m.content }}{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    ),
    **{name: named.template for name, named in NAMED_TEMPLATES.items()},
}

CONVERSATIONS = {
    "one": [Message("user", "你好")],
    "system": [Message("system", "Be brief."), Message("user", " 1 + 1 = ? \n")],
    "turns": [
        Message("user", "\n  indented"),
        Message("assistant", " yes\n"),
        Message("user", "`</s>` ends"),
        Message("assistant", "好的。"),
        Message("user", "7"),
    ],
}


def ours(template: str, messages: list[Message], thinking: Thinking = "automatic") -> str:
    rendered = TemplateFormat(template, BEGIN, END).render(read_conversation(messages), thinking)
    return "".join(segment.text for segment in rendered if isinstance(segment, RenderedText))


def theirs(template: str, messages: list[dict[str, Any]], **variables: object) -> str:
    rendered = render_jinja_template(
        [messages],
        chat_template=template,
        add_generation_prompt=True,
        bos_token=BEGIN,
        eos_token=END,
        **variables,
    )
    texts = rendered[0] if isinstance(rendered, tuple) else rendered
    assert isinstance(texts[0], str)
    return texts[0]


def as_dicts(messages: list[Message]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.text} for message in messages]


@pytest.mark.parametrize("construct", CONSTRUCTS)
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_a_template_writes_what_it_writes_in_transformers(construct: str, conversation: str) -> None:
    template, messages = CONSTRUCTS[construct], CONVERSATIONS[conversation]
    assert ours(template, messages) == theirs(template, as_dicts(messages))


@pytest.mark.parametrize(("thinking", "value"), [("on", True), ("off", False)])
def test_the_switch_is_passed_on_under_its_own_name(thinking: Thinking, value: bool) -> None:
    template, messages = CONSTRUCTS["switch"], CONVERSATIONS["one"]
    assert ours(template, messages, thinking) == theirs(template, as_dicts(messages), enable_thinking=value)


@pytest.mark.parametrize(
    ("template", "can_switch"),
    [
        (CONSTRUCTS["switch"], True),
        ("{{ messages[0].content }}{% if thinking %}<think>{% endif %}", True),
        ("{{ messages[0].content }}{% if thinking_budget == 0 %}<skip>{% endif %}", True),
        ("{{ messages[0].content }}{% if reasoning_effort == 'no_think' %}<skip>{% endif %}", True),
        ("{{ messages[0].content }}{% set x = enable_thinking %}", False),  # read, and without effect
        ("{{ messages[0].content }}{{ reasoning_effort or 'medium' }}", False),  # printed, whatever it is
        (CONSTRUCTS["macro"], False),
        ("{% if", False),
    ],
)
def test_a_switch_is_found_where_a_template_has_one(template: str, can_switch: bool) -> None:
    assert TemplateFormat(template).can_switch_thinking is can_switch


def test_a_template_without_a_system_role_gets_the_system_text_with_the_first_question() -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{{ m.role }}:{{ m.content }}|{% endfor %}"
    )
    merged = [{"role": "user", "content": "Be brief.\n 1 + 1 = ? \n"}]
    assert ours(template, CONVERSATIONS["system"]) == theirs(template, merged)


def test_a_system_text_that_a_template_ignores_is_not_lost() -> None:
    template = "{% for m in messages if m.role != 'system' %}{{ m.content }}|{% endfor %}"
    assert ours(template, CONVERSATIONS["system"]) == "Be brief.\n 1 + 1 = ? \n|"


def test_a_template_that_wants_parts_gets_parts() -> None:
    template = (
        "{% for m in messages %}{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}|{% endfor %}"
    )
    parts = [
        {"role": message.role, "content": [{"type": "text", "text": message.text}]}
        for message in CONVERSATIONS["turns"]
    ]
    assert ours(template, CONVERSATIONS["turns"]) == theirs(template, parts)


@pytest.mark.parametrize(
    "template",
    [
        "no message at all",
        "{{ messages[-1].content }}",  # forgets the earlier question
        "{% for m in messages %}{{ m.content[:1] }}{% endfor %}",
        "{% for m in messages %}{{ m.content|length }}{% endfor %}",
    ],
)
def test_a_question_is_never_left_out_in_silence(template: str) -> None:
    messages = [Message("user", "first"), Message("assistant", "a"), Message("user", "second")]
    with pytest.raises(ChatTemplateFailed):
        ours(template, messages)


@pytest.mark.parametrize(
    ("template", "detail"),
    [
        ("{% for m in messages %}\n{{ m.content }}\n{% endif %}", "line 3"),
        ("{{ messages[0].content }}{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content | unknown_filter }}", "unknown_filter"),
    ],
)
def test_what_failed_in_a_template_is_said(template: str, detail: str) -> None:
    with pytest.raises(ChatTemplateFailed) as caught:
        ours(template, CONVERSATIONS["one"])
    assert detail in caught.value.detail


COMMANDS = (
    "{% for m in messages %}{{ m.role }}:{{ m.content.replace('/no_think', '').rstrip() }}\n{% endfor %}"
    "{{ '<think></think>' if '/no_think' in messages[0].content else '<think>' }}"
)


@pytest.mark.parametrize("where", ["system", "question"])
def test_a_command_that_a_template_takes_out_of_a_text_is_no_loss(where: str) -> None:
    command = "Be brief. /no_think"
    messages = (
        [Message("system", command), Message("user", "x")]
        if where == "system"
        else [Message("user", command)]
    )
    assert ours(COMMANDS, messages) == theirs(COMMANDS, as_dicts(messages))


@pytest.mark.parametrize("question", ["a", "think", "x /no_think"])
def test_what_opens_an_answer_is_told_where_marks_are_lost(question: str) -> None:
    messages = [Message("user", "/no_think"), Message("assistant", "b"), Message("user", question)]
    rendered = TemplateFormat(COMMANDS).render(read_conversation(messages))[-1]
    assert isinstance(rendered, RenderedText)
    assert rendered.text[rendered.opening :].strip() == "<think></think>"


THOUGHTFUL = [
    Message("user", "first"),
    Message("assistant", "a", thought="because"),
    Message("user", "second"),
]


@pytest.mark.parametrize("name", ["reasoning_content", "thinking", "reasoning"])
def test_a_template_that_wants_earlier_thoughts_gets_them(name: str) -> None:
    template = f"{{% for m in messages %}}{{{{ m.{name} or '' }}}}|{{{{ m.content }}}};{{% endfor %}}"
    assert ours(template, THOUGHTFUL) == "|first;because|a;|second;"


def test_a_template_that_takes_thoughts_as_parts_gets_them_so() -> None:
    template = (
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for part in m.content %}{% if part['type'] == 'thinking' %}[{{ part['thinking'] }}]"
        "{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %};{% endfor %}"
    )
    assert ours(template, THOUGHTFUL) == "first;[because]a;second;"


def test_a_template_that_leaves_earlier_thoughts_out_does() -> None:
    written = ours(NAMED_TEMPLATES["mistral"].template, THOUGHTFUL)
    assert written == "<s>[INST]first[/INST]a</s>[INST]second[/INST]"
