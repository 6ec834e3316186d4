"""A converted checkpoint with Llama 3's or Qwen's tokenizer chats with its own template, to its own ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from builders.byte_level import FAMILIES, write_byte_level_tokenizer
from builders.chats import ask, user
from builders.checkpoints import write_json, write_llama, write_weights
from convert.detect import open_checkpoint
from convert.pipeline import convert
from engine.chat_template import TemplateFormat
from engine.conversation import read_conversation
from engine.in_process import InProcessBackend
from engine.llama import Model
from engine.prompt_tokens import PromptTokenizer
from engine.types import FinishReason, LoadOptions, Message

N_VOCAB = 480
ANSWER = "Open the file."
LISTED = {
    "llama-3": ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
    "qwen-2": ("<|im_end|>", "<|endoftext|>"),
    "qwen-3": ("<|im_end|>", "<|endoftext|>"),
}
"""What generation_config.json lists for these models."""

ENDS = [(family, text) for family, texts in LISTED.items() for text in texts]


def write_checkpoint(folder: Path, family: str, said: Sequence[str]) -> Path:
    """A model that says `said`, texts of which the last is one token, after any prompt of the template."""
    folder.mkdir()
    n_tokens = write_byte_level_tokenizer(folder, family, N_VOCAB)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = ["\n\n" if family == "llama-3" else "\n", *said]
    ids = [token for text in texts for token in tokenizer.encode(text, add_special_tokens=False).ids]
    _script(folder, n_tokens, dict(itertools.pairwise(ids)))
    write_json(
        folder / "generation_config.json",
        {"eos_token_id": [tokenizer.token_to_id(text) for text in LISTED[family]]},
    )
    return folder


def _script(folder: Path, n_tokens: int, following: Mapping[int, int]) -> None:
    """Weights with which the last token alone decides on the next."""
    checkpoint = write_llama(
        folder, n_tokens=n_tokens, hidden=256, n_layer=1, tokenizer=False, config={"eos_token_id": None}
    )
    weights = {name: np.zeros_like(values) for name, values in checkpoint.weights.items()}
    embedding = checkpoint.weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = embedding
    for name in weights:
        if name.endswith("norm.weight"):
            weights[name] = np.ones_like(weights[name])
    for token, next_token in following.items():
        weights["lm_head.weight"][next_token] += embedding[token]
    write_weights(folder, weights)


def converted(folder: Path, family: str, said: Sequence[str]) -> Path:
    output = folder / "m.gguf"
    with open_checkpoint(write_checkpoint(folder / "checkpoint", family, said)) as checkpoint:
        prompt = checkpoint.prompt("auto")
        assert (prompt.name, prompt.reason) == ("template", "own-template")
        for _ in convert(checkpoint.plan("f16", prompt), output):
            pass
    return output


@pytest.mark.parametrize(("family", "end"), ENDS)
def test_every_token_that_the_makers_list_ends_an_answer(tmp_path: Path, family: str, end: str) -> None:
    backend = InProcessBackend()
    backend.load(converted(tmp_path, family, [ANSWER, end]), LoadOptions())
    finished = ask(backend, [user("How do I convert a model?")])
    backend.unload()

    assert finished.message.text == ANSWER
    assert finished.reason is FinishReason.END


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    from transformers import AutoTokenizer

    path = converted(tmp_path, family, [ANSWER, LISTED[family][0]])
    original = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    messages = [
        Message("user", "你好，1234！"),
        Message("assistant", ANSWER),
        Message("user", " It's  \n\n x"),
    ]
    dictionaries = [{"role": message.role, "content": message.text} for message in messages]
    expected = original.apply_chat_template(dictionaries, add_generation_prompt=True, return_dict=False)
    with Model(path, vocabulary_only=True) as model:
        rendered = TemplateFormat(
            original.chat_template, model.token_text(model.begin_token), model.token_text(model.end_token)
        )
        assert list(PromptTokenizer(model, "").ids(rendered.render(read_conversation(messages)))) == expected
