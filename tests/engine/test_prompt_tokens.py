"""Token ids of rendered prompts, beside llama.cpp's own tokenization of the whole text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders.checkpoints import write_llama
from builders.gguf_models import CONTROL_TEXTS, byte_vocabulary, write_model
from convert.detect import open_checkpoint
from convert.pipeline import convert
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.llama import Model
from engine.named_templates import NAMED_TEMPLATES
from engine.prompt import KeptAnswer, RenderedText
from engine.prompt_tokens import PromptTokenizer
from engine.types import Message, TokenIds
from reference.llama_cpp_oracle import LoadedModel

VOCABULARY = "fingerprint"

PLAIN = (
    "{% for m in messages %}{{ m['role'] | capitalize + ': ' + m['content'] + '\n' }}{% endfor %}Assistant:"
)
ENDED = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ ' [INST] ' + m['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TURNS = (
    "{% for m in messages %}{{ '<s>' + m['role'] + '\n' + m['content'] + '</s>\n' }}{% endfor %}"
    "{{ '<s>assistant\n' }}"
)
TEMPLATES = {"plain": PLAIN, "ended": ENDED, "turns": TURNS, "llama2": NAMED_TEMPLATES["llama2"].template}

CONVERSATIONS = {
    "one": [Message("user", "你好")],
    "blanks": [Message("user", "  around \n"), Message("assistant", " yes"), Message("user", "\n 42")],
    "system": [
        Message("system", "Be brief."),
        Message("user", "7"),
        Message("assistant", "8"),
        Message("user", "?"),
    ],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A byte-level BPE vocabulary, and a SentencePiece one, which puts a space before the first word."""
    folder = tmp_path_factory.mktemp("models")
    sentencepiece = folder / "spm.gguf"
    with open_checkpoint(write_llama(folder / "checkpoint").folder) as checkpoint:
        list(convert(checkpoint.plan("f16", checkpoint.prompt("none")), sentencepiece))
    return {"bpe": write_model(folder / "bpe.gguf"), "spm": sentencepiece}


def open_model(path: Path) -> tuple[Model, PromptTokenizer]:
    model = Model(path, gpu_layers=0, vocabulary_only=True)
    return model, PromptTokenizer(model, VOCABULARY)


def render(model: Model, template: str, messages: list[Message]) -> list[RenderedText]:
    segments = TemplateFormat(
        template,
        model.token_text(model.begin_token),
        model.token_text(model.end_token),
        controls=lambda: [control.text for control in model.control_tokens],
    ).render(read_conversation(messages))
    return [segment for segment in segments if isinstance(segment, RenderedText)]


@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_a_prompt_is_tokenized_as_llama_cpp_tokenizes_the_whole(
    models: dict[str, Path], vocabulary: str, template: str, conversation: str
) -> None:
    model, tokenizer = open_model(models[vocabulary])
    (rendered,) = render(model, TEMPLATES[template], CONVERSATIONS[conversation])
    with LoadedModel(models[vocabulary], vocab_only=True) as oracle:
        assert list(tokenizer.ids([rendered])) == oracle.tokenize(rendered.text, parse_special=True)


@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
@pytest.mark.parametrize("spelling", CONTROL_TEXTS[:3])
def test_a_control_token_in_a_message_stays_text(
    models: dict[str, Path], vocabulary: str, spelling: str
) -> None:
    model, tokenizer = open_model(models[vocabulary])
    (rendered,) = render(model, TURNS, [Message("user", f"a {spelling} b")])
    control = {token.text: token.id for token in model.control_tokens}[spelling]
    n_written = rendered.text.count(spelling) - 1
    assert list(tokenizer.ids([rendered])).count(control) == n_written


def test_a_control_token_in_a_message_that_the_template_takes_apart_stays_text(
    models: dict[str, Path],
) -> None:
    """Templates that remove thoughts from answers lose the marks around them."""
    template = TURNS.replace("m['content']", "m['content'].split('</think>')[-1]")
    messages = [Message("user", "a </s> b"), Message("assistant", "hm</think>c </s> d"), Message("user", "e")]
    model, tokenizer = open_model(models["bpe"])
    (rendered,) = render(model, template, messages)
    assert "c </s> d" in rendered.text
    assert "hm" not in rendered.text
    end = model.end_token
    assert list(tokenizer.ids([rendered])).count(end) == rendered.text.count("</s>") - 2


@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_next_prompt_begins_with_all_that_is_in_the_cache(
    models: dict[str, Path], vocabulary: str, template: str
) -> None:
    model, tokenizer = open_model(models[vocabulary])
    question = [Message("user", "one")]
    first = tokenizer.ids(render(model, TEMPLATES[template], question))
    # As a model generates it: after the prompt, with a blank of its own, in whatever tokens.
    generated = tuple(token for word in (" yes", " no") for token in model.tokenize(word))
    text = b"".join(model.piece(token) for token in generated).decode()
    answer = Message("assistant", text, TokenIds(VOCABULARY, generated))
    second = tokenizer.ids(render(model, TEMPLATES[template], [*question, answer, Message("user", "two")]))
    assert second[: len(first) + len(generated)] == (*first, *generated)


@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
def test_text_after_a_kept_answer_gets_no_space_that_nobody_wrote(
    models: dict[str, Path], vocabulary: str
) -> None:
    model, tokenizer = open_model(models[vocabulary])
    kept = TokenIds(VOCABULARY, model.tokenize("yes"))
    rendered = RenderedText("a: yesno", answers=(KeptAnswer(3, 6, kept),))
    ids = tokenizer.ids([rendered])
    written = b"".join(model.piece(token) for token in ids).decode()
    assert written.removeprefix(" ").replace(" yes", "yes", 1) in ("a: yesno", "a:yesno")


def test_ids_of_another_vocabulary_are_not_believed(models: dict[str, Path]) -> None:
    model, tokenizer = open_model(models["bpe"])
    messages = [
        Message("user", "a"),
        Message("assistant", "yes", TokenIds("other", (5, 6))),
        Message("user", "b"),
    ]
    without = [messages[0], Message("assistant", "yes"), messages[2]]
    assert tokenizer.ids(render(model, TURNS, messages)) == tokenizer.ids(render(model, TURNS, without))


def test_white_space_goes_with_control_tokens_that_take_it_along(tmp_path: Path) -> None:
    """llama.cpp knows Phi-3 by its name, and strips what follows most of its control tokens."""
    vocabulary = byte_vocabulary()
    vocabulary = replace(vocabulary, tokens=(*vocabulary.tokens, "<|endoftext|>"))
    path = write_model(tmp_path / "phi-3.gguf", name="phi-3 tiny", vocabulary=vocabulary)
    model, tokenizer = open_model(path)
    (rendered,) = render(
        model, TURNS, [Message("user", "  a"), Message("assistant", "b"), Message("user", "c")]
    )
    assert any(control.strips_right for control in model.control_tokens)
    with LoadedModel(path, vocab_only=True) as oracle:
        assert list(tokenizer.ids([rendered])) == oracle.tokenize(rendered.text, parse_special=True)
