"""Chat templates by name, for GGUFs that have none of their own: the forms that most models know.

What each form looks like is told by its makers: ChatML (github.com/openai/openai-python, chatml.md), Llama 3
and Llama 2 (llama.com/docs/model-cards-and-prompt-formats), Gemma (ai.google.dev/gemma/docs), Phi-3, Zephyr
and DeepSeek-V3 (their model cards), Mistral (github.com/mistralai/mistral-common). Newlines are escapes in
string expressions: with trim_blocks a literal newline after a tag vanishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A Jinja template, and what a vocabulary has that was made for it.

    tokens: by which it is recognised, () by none. end: the text that ends an answer, "" for the end token.
    """

    template: str
    tokens: tuple[str, ...] = ()
    end: str = ""


_LOOP = "{{% for message in messages %}}{body}{{% endfor %}}{opening}"
_OPENING = "{{% if add_generation_prompt %}}{{{{ {text} }}}}{{% endif %}}"


def _uniform(before: str, after: str, opening: str) -> str:
    """A template that treats all roles alike; Jinja expressions for what stands around each text."""
    body = "{{ " + f"{before} + message['content'] + {after}" + " }}"
    return _LOOP.format(body=body, opening=_OPENING.format(text=opening))


_GEMMA = (
    "{{ bos_token }}"
    "{% set start = namespace(text='') %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{% set start.text = message['content'] + '\\n\\n' %}"
    "{% else %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n'"
    " + start.text + message['content'] + '<end_of_turn>\\n' }}{% set start.text = '' %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)

# The instruction forms end an answer with the end token, and begin every further turn of Llama 2 anew.
_INSTRUCTION = (
    "{{% set start = namespace(text='') %}}"
    "{{% for message in messages %}}"
    "{{% if message['role'] == 'system' %}}{{% set start.text = {system} %}}"
    "{{% elif message['role'] == 'user' %}}"
    "{{{{ {before} + start.text + message['content'] + {after} }}}}{{% set start.text = '' %}}"
    "{{% else %}}{{{{ {answer} + eos_token }}}}{{% endif %}}{{% endfor %}}"
)
_LLAMA2 = _INSTRUCTION.format(
    system="'<<SYS>>\\n' + message['content'] + '\\n<</SYS>>\\n\\n'",
    before="bos_token + '[INST] '",
    after="' [/INST]'",
    answer="' ' + message['content'] + ' '",
)
_MISTRAL = "{{ bos_token }}" + _INSTRUCTION.format(
    system="message['content'] + '\\n\\n'", before="'[INST]'", after="'[/INST]'", answer="message['content']"
)
_DEEPSEEK = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<｜Assistant｜>' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)

NAMED_TEMPLATES: Mapping[str, NamedTemplate] = {
    "chatml": NamedTemplate(
        _uniform("'<|im_start|>' + message['role'] + '\\n'", "'<|im_end|>\\n'", "'<|im_start|>assistant\\n'"),
        ("<|im_start|>", "<|im_end|>"),
        end="<|im_end|>",
    ),
    "llama3": NamedTemplate(
        "{{ bos_token }}"
        + _uniform(
            "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'",
            "'<|eot_id|>'",
            "'<|start_header_id|>assistant<|end_header_id|>\\n\\n'",
        ),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        end="<|eot_id|>",
    ),
    "llama2": NamedTemplate(_LLAMA2),
    "gemma": NamedTemplate(_GEMMA, ("<start_of_turn>", "<end_of_turn>"), end="<end_of_turn>"),
    "phi3": NamedTemplate(
        _uniform("'<|' + message['role'] + '|>\\n'", "'<|end|>\\n'", "'<|assistant|>\\n'"),
        ("<|user|>", "<|assistant|>", "<|end|>"),
        end="<|end|>",
    ),
    "mistral": NamedTemplate(_MISTRAL, ("[INST]", "[/INST]")),
    "zephyr": NamedTemplate(
        _uniform("'<|' + message['role'] + '|>\\n'", "eos_token + '\\n'", "'<|assistant|>\\n'"),
        ("<|user|>", "<|assistant|>"),
    ),
    "deepseek": NamedTemplate(_DEEPSEEK, ("<｜User｜>", "<｜Assistant｜>")),
}


def recognise_template(is_token: Callable[[str], bool]) -> str | None:
    """The form that a vocabulary was made for; `is_token` tells whether a text is one of its tokens.

    That says nothing of the weights: base models often have the vocabulary of the chat models made of them.
    """
    for name, named in NAMED_TEMPLATES.items():
        if named.tokens and all(is_token(text) for text in named.tokens):
            return name
    return None
