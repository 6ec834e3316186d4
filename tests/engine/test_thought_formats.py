"""Which thoughts a model can have is read from its chat template and vocabulary, and from nothing else."""

from __future__ import annotations

import pytest

from engine.thought_formats import ThoughtFormat, thought_format

# Lines as they stand in the makers' templates.
QWEN3 = "{{- '<|im_start|>' + role + '\\n<think>\\n' + thought + '\\n</think>\\n\\n' + content }}"
R1 = "{% set content = content.split('</think>')[-1] %}{{ '<｜Assistant｜><think>\\n' }}"
V3_1 = "{%- if not thinking -%}{{'<think></think>'}}{%- else -%}{{'<think>'}}{%- endif -%}"
SMOLLM3 = '{{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" }}'
GLM = "<|assistant|>{{- '</think>' if no_thinking else '<think>' -}}"
HUNYUAN = "{%- set HYTK = ':opensource' %}{%- set begin = '<think{}>'.format(HYTK) %}"
HUNYUAN_A13B = "{% if '<answer>' in content and '</answer>' in content %}{{ '<think>\\n\\n</think>\\n' }}"
GRANITE = "Write your thoughts between <think></think> and your response between <response></response>."
GRANITE_3_2 = "thoughts after 'Here is my thought process:' and your response after 'Here is my response:'"
ERNIE = "{{ '<think>\\n' + thought + '\\n</think>\\n' }}{{ '<response>\\n' + content + '\\n</response>\\n' }}"
MINIMAX = "{{- ']~b]ai' ~ '\\n' ~ '<think>' ~ '\\n' }}{{ '<response>' ~ output ~ '</response>' }}"
MAGISTRAL = "First draft your thinking: [THINK]thoughts[/THINK], not <think>."
SEED = "{%- set think_begin_token = '<seed:think>' -%}{%- set think_end_token = '</seed:think>' -%}"
APRIEL = "present the final solution as: [BEGIN FINAL RESPONSE] ... [END FINAL RESPONSE]."
HARMONY = "{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}"
GEMMA4 = "{{- '<|channel>thought\\n' + thinking_text + '\\n<channel|>' -}}"
KIMI_K3 = "{{- '<|open|>' + tag + '<|sep|>' -}}{{- '<|close|>' + tag + '<|sep|>' -}}{{- '<|end_of_msg|>' -}}"
KIMI_VL = "{{'<|im_middle|>'}}{{'<|media_start|>image<|media_content|>'}}"
MUSE = "{{- '<|start|>assistant to=self<|message|>' + message['reasoning_content'] + '<|eom|>' -}}"
SOLAR = '{{- "<|begin|>assistant<|think|>" + reasoning + "<|end|>" }}{{- "<|begin|>assistant<|content|>" }}'
COMMAND_R = "<|START_THINKING|>{{ plan }}<|END_THINKING|><|START_RESPONSE|>{{ content }}<|END_RESPONSE|>"
COMMAND_MOE = "<|START_THINKING|>{{ plan }}<|END_THINKING|><|START_TEXT|>{{ content }}<|END_TEXT|>"
APERTUS = "{%- set inner_token = '<|inner_prefix|>' -%}{%- set outer_token = '<|inner_suffix|>' -%}"


def read(template: str, *, architecture: str = "llama", tokens: bool = True) -> ThoughtFormat | None:
    return thought_format(template, architecture, lambda _: tokens)


@pytest.mark.parametrize(
    ("template", "opening", "closing", "after"),
    [
        (QWEN3, "<think>", "</think>", "\n</think>\n\n"),
        (R1, "<think>", "</think>", "\n</think>\n\n"),
        (V3_1, "<think>", "</think>", "</think>"),
        (SMOLLM3, "<think>", "</think>", "\n</think>\n"),
        (GLM, "<think>", "</think>", "</think>"),
        (HUNYUAN, "<think:opensource>", "</think:opensource>", "</think:opensource>"),
        (HUNYUAN_A13B, "<think>", "</think>", "\n</think>\n<answer>"),
        (GRANITE, "<think>", "</think>", "</think><response>"),
        (ERNIE, "<think>", "</think>", "\n</think>\n<response>"),
        (MINIMAX, "<think>", "</think>", "</think>"),
        (MAGISTRAL, "[THINK]", "[/THINK]", "[/THINK]"),
        (SEED, "<seed:think>", "</seed:think>", "</seed:think>"),
        (KIMI_VL, "◁think▷", "◁/think▷", "◁/think▷"),
        (
            GRANITE_3_2,
            "Here is my thought process:",
            "Here is my response:",
            "\n\nHere is my response:\n\n",
        ),
        (GEMMA4, "<|channel>thought", "<channel|>", "\n<channel|>"),
        (
            KIMI_K3,
            "<|open|>think<|sep|>",
            "<|close|>think<|sep|>",
            "<|close|>think<|sep|><|open|>response<|sep|>",
        ),
        (SOLAR, "<|think|>", "<|end|>", "<|end|><|begin|>assistant<|content|>"),
        (
            COMMAND_R,
            "<|START_THINKING|>",
            "<|END_THINKING|>",
            "<|END_THINKING|><|START_RESPONSE|>",
        ),
        (COMMAND_MOE, "<|START_THINKING|>", "<|END_THINKING|>", "<|END_THINKING|><|START_TEXT|>"),
        (APERTUS, "<|inner_prefix|>", "<|inner_suffix|>", "<|inner_suffix|>"),
    ],
)
def test_a_template_tells_the_tags(template: str, opening: str, closing: str, after: str) -> None:
    found = read(template)
    assert found is not None
    assert (found.openings[0], found.closings[0]) == (opening, closing)
    assert found.after == after


@pytest.mark.parametrize(
    ("template", "name", "after"),
    [
        (HARMONY, "harmony", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        (MUSE, "muse", "<|eom|><|start|>assistant to=user<|message|>"),
        (APRIEL, "apriel", "\n[BEGIN FINAL RESPONSE]\n"),
    ],
)
def test_a_template_tells_its_channels(template: str, name: str, after: str) -> None:
    found = read(template)
    assert found is not None
    assert (found.name, found.after) == (name, after)


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}",
        "{{ '<|im_middle|>' }}{{ '<|media_start|>' }}{{ '<|tool_calls_section_begin|>' }}",
        "{{ 'Human: ' + message['content'] + '\\n\\nAssistant:' }}",
    ],
)
def test_other_templates_have_no_thoughts(template: str) -> None:
    assert read(template) is None


@pytest.mark.parametrize("template", [HARMONY, GEMMA4, KIMI_K3, MUSE, SOLAR, COMMAND_R, APERTUS])
def test_control_tokens_that_the_vocabulary_lacks_are_no_tags(template: str) -> None:
    assert read(template, tokens=False) is None


def test_qwen3_is_told_to_make_haste_as_its_maker_does() -> None:
    found = read(QWEN3, architecture="qwen3")
    assert found is not None
    assert "limited time" in found.haste
    assert (found.haste + found.after).endswith("now.\n</think>\n\n")
    distilled = read(R1, architecture="qwen3")
    assert distilled is not None
    assert (distilled.haste, distilled.after) == ("", "\n</think>\n\n")
