"""GGUFs without a chat template: base models said to be such, and chat formats by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from builders.chats import ask, user
from builders.gguf_models import Vocabulary, byte_vocabulary, chain, write_model, write_scripted_model
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.in_process import InProcessBackend
from engine.named_templates import NAMED_TEMPLATES, recognise_template
from engine.prompt import PROMPT_FORMATS, RenderedText
from engine.types import LoadOptions, Message, ModelInfo

TALK = [
    Message("system", "Be brief."),
    user("one"),
    Message("assistant", "yes"),
    user("two"),
]

# As the makers show their formats, with this conversation in them.
GOLDENS = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\none<|im_end|>\n"
        "<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\none<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nyes<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\ntwo<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "llama2": ("<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\none [/INST] yes </s><s>[INST] two [/INST]"),
    "gemma": (
        "<s><start_of_turn>user\nBe brief.\n\none<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>\n"
        "<start_of_turn>user\ntwo<end_of_turn>\n<start_of_turn>model\n"
    ),
    "phi3": (
        "<|system|>\nBe brief.<|end|>\n<|user|>\none<|end|>\n<|assistant|>\nyes<|end|>\n"
        "<|user|>\ntwo<|end|>\n<|assistant|>\n"
    ),
    "mistral": "<s>[INST]Be brief.\n\none[/INST]yes</s>[INST]two[/INST]",
    "zephyr": (
        "<|system|>\nBe brief.</s>\n<|user|>\none</s>\n<|assistant|>\nyes</s>\n"
        "<|user|>\ntwo</s>\n<|assistant|>\n"
    ),
    "deepseek": "<s>Be brief.<｜User｜>one<｜Assistant｜>yes</s><｜User｜>two<｜Assistant｜>",
}


def with_tokens(texts: Sequence[str]) -> Vocabulary:
    """The byte vocabulary with further tokens in the place of its padding."""
    vocabulary = byte_vocabulary()
    return replace(vocabulary, tokens=(*vocabulary.tokens, *texts))


def load(path: Path, options: LoadOptions | None = None) -> ModelInfo:
    backend = InProcessBackend()
    try:
        return backend.load(path, options or LoadOptions(context_tokens=128))
    finally:
        backend.unload()


@pytest.mark.parametrize("name", NAMED_TEMPLATES)
def test_a_named_format_spells_what_its_makers_show(name: str) -> None:
    segments = TemplateFormat(NAMED_TEMPLATES[name].template, "<s>", "</s>").render(read_conversation(TALK))
    texts = [segment.text for segment in segments if isinstance(segment, RenderedText)]
    assert texts == [GOLDENS[name]]
    assert name in PROMPT_FORMATS


@pytest.mark.parametrize("name", [name for name, named in NAMED_TEMPLATES.items() if named.tokens])
def test_a_vocabulary_tells_the_format_that_it_was_made_for(name: str) -> None:
    assert recognise_template(NAMED_TEMPLATES[name].tokens.__contains__) == name


def test_a_vocabulary_without_control_tokens_for_turns_tells_none() -> None:
    assert recognise_template(["<s>", "</s>", "<unk>"].__contains__) is None


def test_a_model_without_a_template_is_a_base_model_whatever_its_vocabulary(tmp_path: Path) -> None:
    vocabulary = with_tokens(["<|im_start|>", "<|im_end|>"])
    path = write_model(
        tmp_path / "m.gguf",
        architecture="llama",
        vocabulary=vocabulary,
        control=["<|im_start|>", "<|im_end|>"],
    )
    info = load(path)
    assert (info.prompt_format, info.is_base, info.likely_format) == ("base", True, "chatml")


def test_a_base_model_of_a_plain_vocabulary_has_no_likely_format(tmp_path: Path) -> None:
    info = load(write_model(tmp_path / "m.gguf", architecture="llama"))
    assert (info.is_base, info.likely_format) == (True, None)


@pytest.mark.parametrize("options", [LoadOptions(prompt_format="chatml"), LoadOptions(prompt_format="belle")])
def test_a_model_is_no_base_model_once_a_format_was_chosen(tmp_path: Path, options: LoadOptions) -> None:
    info = load(write_model(tmp_path / "m.gguf", architecture="llama"), replace(options, context_tokens=128))
    assert (info.prompt_format, info.is_base) == (options.prompt_format, False)


def test_a_template_of_ones_own_takes_the_place_of_the_files(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", architecture="llama", chat_template="{{ raise_exception('no') }}")
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking %}!{% endif %}"
    options = LoadOptions(context_tokens=128, chat_template=template)
    info = load(path, options)
    assert (info.prompt_format, info.is_base, info.can_switch_thinking) == ("template", False, True)
    backend = InProcessBackend()
    backend.load(path, options)
    assert ask(backend, [user("ab")]).statistics.prompt_tokens == len("ab")
    backend.unload()


def test_a_format_ends_in_text_where_the_vocabulary_has_no_token_for_it(tmp_path: Path) -> None:
    vocabulary = byte_vocabulary(["<end_of", "_turn>"])
    following = chain(b"\n", b"o", b"k", b"<end_of", b"_turn>", b"!", vocabulary=vocabulary)
    path = write_scripted_model(tmp_path / "m.gguf", following, vocabulary=vocabulary)
    backend = InProcessBackend()
    backend.load(path, LoadOptions(context_tokens=256, prompt_format="phi3"))
    finished = ask(backend, [user("hello")])
    assert finished.message.text == "ok<end_of_turn>!"
    backend.load(path, LoadOptions(context_tokens=256, prompt_format="gemma"))
    assert ask(backend, [user("hello")]).message.text == "ok"
    backend.unload()
