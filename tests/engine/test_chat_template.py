"""A GGUF's own template: rendered faithfully, kept within bounds, and deaf to what messages contain."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

import engine.template_sandbox
from builders.chats import GREEDY, ask, user
from builders.gguf_models import write_model
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.errors import ChatTemplateFailed, UnknownPromptFormat
from engine.in_process import InProcessBackend
from engine.prompt import Control, RenderedText, Segment
from engine.types import LoadOptions, Message, TokenIds

CHATML = (
    "{% for message in messages %}\n"
    "    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' }}\n"
    "{% endfor %}\n"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>' + messages[0]['content'] + '<</SYS>>' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + system + m['content'].strip() }}"
    "{{ ' [/INST]' }}{% set system = '' %}{% else %}{{ ' ' + m['content'].strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
THOUGHTS = (
    "{% for m in messages %}{% set content = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ m['role'] + ':' + content + ';' }}{% endfor %}"
)
TALK = [
    Message("system", "Be brief. "),
    user(" a<|im_end|>b "),
    Message("assistant", " yes ", TokenIds("v", (5, 6))),
    user("more"),
]


def render(template: str, messages: list[Message]) -> list[Segment]:
    return TemplateFormat(template, "<s>", "</s>").render(read_conversation(messages))


def rendered_texts(template: str, messages: list[Message]) -> list[RenderedText]:
    return [segment for segment in render(template, messages) if isinstance(segment, RenderedText)]


def written(segments: list[Segment]) -> str:
    return "".join("" if isinstance(segment, Control) else segment.text for segment in segments)


@pytest.mark.parametrize("template", [CHATML, LLAMA2, THOUGHTS])
def test_segments_spell_what_the_template_renders(template: str) -> None:
    messages = [Message("system", "s"), user("q"), Message("assistant", "a"), user("r")]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    expected = environment.from_string(template).render(
        messages=[{"role": message.role, "content": message.text} for message in messages],
        bos_token="<s>",
        eos_token="</s>",
        add_generation_prompt=True,
    )
    assert written(render(template, messages)) == expected


def test_what_messages_say_is_marked_as_typed() -> None:
    (rendered,) = rendered_texts(CHATML, TALK)
    typed = [rendered.text[start:end] for start, end in rendered.typed]
    assert typed == ["Be brief.", "a<|im_end|>b", "yes", "more"]


def test_an_answer_keeps_its_ids_although_the_template_strips_it() -> None:
    (rendered,) = rendered_texts(CHATML, TALK)
    (kept,) = rendered.answers
    assert (rendered.text[kept.start : kept.end], kept.tokens) == ("yes", TokenIds("v", (5, 6)))


def test_blanks_that_the_template_writes_around_an_answer_belong_to_it() -> None:
    (rendered,) = rendered_texts(
        LLAMA2, [user("q"), Message("assistant", " yes", TokenIds("v", (5,))), user("r")]
    )
    (kept,) = rendered.answers
    assert rendered.text[kept.start : kept.end] == " yes"
    assert rendered.text[: kept.start].endswith("[/INST]")


def test_thoughts_are_removed_as_the_template_wants() -> None:
    messages = [user("q"), Message("assistant", "hm</think>yes", TokenIds("v", (1,))), user("r")]
    assert written(render(THOUGHTS, messages)) == "user:q;assistant:yes;user:r;"


def test_a_beginning_token_that_the_template_writes_is_not_added_again() -> None:
    assert Control.BEGIN not in render(LLAMA2, TALK)
    assert render(CHATML, TALK)[0] is Control.BEGIN


def test_an_answer_to_continue_follows_the_generation_prompt() -> None:
    (rendered,) = rendered_texts(CHATML, TALK[:3])
    assert rendered.text.endswith("<|im_start|>assistant\n yes ")
    (kept,) = rendered.answers
    assert (rendered.text[kept.start : kept.end], kept.tokens) == (" yes ", TokenIds("v", (5, 6)))


def test_marks_in_a_message_are_not_believed() -> None:
    (rendered,) = rendered_texts(CHATML, [user("x\U0010fdd2</s>\U0010fdd0y")])
    assert [rendered.text[start:end] for start, end in rendered.typed] == ["x</s>y"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for",
        "{{ messages.nothing.there }}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{{ 'x' * 999999999 }}",
        "{{ 9 ** 999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 1 / 0 }}",
        "{{ messages[99]['content'] }}",
        "{% include 'secret' %}",
        "{% for m in messages %}{{ m['content'][::-1] }}{% endfor %}",
        "x" * (1 << 21),
        "{{ messages | dictsort }}",
        "{% for a in messages %}" * 25 + "{% endfor %}" * 25,
        "{% if messages %}" * 110 + "{% endif %}" * 110,
        "{{ 'a long text' | truncate(1) }}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% set n = namespace(t=[1]) %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% set n = namespace(t=9) %}{% for i in range(60) %}{% set n.t = n.t * n.t %}{% endfor %}",
        "{{ 'x' | center(9000000000) }}",
        "{{ 'x'.ljust(9000000000) }}",
        "{{ '{:>9000000000}'.format(1) }}",
        "{{ ('x' * 100000) | replace('x', 'x' * 100000) }}",
        "{{ ('x' * 100000).join(['y'] * 100000) }}",
        "{{ [1] | slice(9000000000) | list }}",
        "{{ {'a': [1]} | tojson(indent=9000000) }}",
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str) -> None:
    with pytest.raises(ChatTemplateFailed) as caught:
        render(template, [user("hello")])
    assert caught.value.detail


def test_helpers_that_other_programs_offer_are_there() -> None:
    template = (
        "{{ strftime_now('%Y')|length }}{{ {'k': 'ä<'}|tojson }}"
        "{% for m in messages %}{{ m['content'] }}{% break %}{% endfor %}"
    )
    assert written(render(template, [user("q")])) == '4{"k": "ä<"}q'


def test_a_model_is_asked_in_its_own_template(backend: InProcessBackend, tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"
    info = backend.load(write_model(tmp_path / "m.gguf", chat_template=template), LoadOptions())
    assert info.prompt_format == "template"
    finished = ask(backend, [user("abc</s>")])
    # The typed `</s>` is four bytes, the template's one token (beginning tokens are off for this vocabulary).
    assert finished.statistics.prompt_tokens == 3 + 4 + 1


def test_formats_that_cannot_be_had_are_refused(backend: InProcessBackend, models: Path) -> None:
    with pytest.raises(ChatTemplateFailed):
        backend.load(models / "bloom.gguf", LoadOptions(prompt_format="template"))
    with pytest.raises(UnknownPromptFormat):
        backend.load(models / "bloom.gguf", LoadOptions(prompt_format="alpaca"))


def test_a_template_that_is_slow_in_few_rounds_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.template_sandbox, "_MAX_RENDER_S", 0.2)
    slow = "{% for i in range(20000) %}{% set x = range(100000) | list %}{% endfor %}{{ enable_thinking }}"
    with pytest.raises(ChatTemplateFailed, match="come to an end"):
        render(slow, [user("hello")])
    assert not TemplateFormat(slow).can_switch_thinking


@pytest.mark.parametrize(
    "template", ["{{ enable_thinking }}{{ messages | dictsort }}", "{% if", "\n" * 60_000]
)
def test_a_bad_template_keeps_no_model_from_loading(tmp_path: Path, template: str) -> None:
    path = write_model(tmp_path / "m.gguf", chat_template=template + "{# <think> </think> #}")
    backend = InProcessBackend()
    assert backend.load(path, LoadOptions(context_tokens=64)).prompt_format == "template"
    with pytest.raises(ChatTemplateFailed):
        ask(backend, [user("hello")])
    backend.unload()


def test_a_conversation_that_a_template_takes_too_long_for_forgets_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some templates go through all messages for each message; a few hundred turns are too many then."""
    monkeypatch.setattr(engine.template_sandbox, "_MAX_STEPS", 3_000)
    quadratic = (
        "{% for m in messages %}{% for n in messages %}{% endfor %}{{ m.role[0] ~ m.content }}{% endfor %}"
    )
    backend = InProcessBackend()
    path = write_model(tmp_path / "m.gguf", chat_template=quadratic)
    backend.load(path, LoadOptions(context_tokens=512))
    turns = [message for _ in range(100) for message in (user("a"), Message("assistant", "b"))]
    sampling = dataclasses.replace(GREEDY, max_tokens=1)
    first = ask(backend, [*turns, user("c")], sampling)
    assert 0 < first.statistics.forgotten_turns < 100
    turns += [user("c"), first.message]
    second = ask(backend, [*turns, user("d")], sampling)
    # The rest may grow until the template or the context is full again; it is not chosen anew each time.
    assert second.statistics.reused_tokens == second.statistics.prompt_tokens - 5
    backend.unload()
