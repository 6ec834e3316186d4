"""The checkpoint that the self-test computes: other libraries read it, and every type says its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.demo_model import DEMO_SAMPLING
from app.self_test.checkpoint import WORDS, write_checkpoint
from convert.detect import open_checkpoint
from convert.pipeline import convert
from engine.in_process import InProcessBackend
from engine.models.model_sampling import resolve_for
from engine.types import Finished, FinishReason, LoadOptions, Message


@pytest.mark.parametrize("type_name", ["q4_0", "q8_0", "f16"])
@pytest.mark.parametrize("question", ["你好", "What is it?"])
def test_it_says_its_sentence_in_any_type(tmp_path: Path, type_name: str, question: str) -> None:
    write_checkpoint(tmp_path)
    target = tmp_path / "done.gguf"
    with open_checkpoint(tmp_path) as checkpoint:
        list(convert(checkpoint.plan(type_name, checkpoint.prompt("belle")), target))

    backend = InProcessBackend()
    backend.load(target, LoadOptions(context_tokens=256, threads=1))
    *_, finished = backend.chat([Message("user", question)], resolve_for(DEMO_SAMPLING).sampling)
    backend.unload()

    assert isinstance(finished, Finished)
    assert finished.message.text == "".join(WORDS)
    assert finished.reason is FinishReason.END


def test_other_libraries_read_its_files(tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    write_checkpoint(tmp_path)

    weights = load_file(tmp_path / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert weights["transformer.word_embeddings.weight"].shape == (tokenizer.get_vocab_size(), 64)
    assert tokenizer.decode([tokenizer.token_to_id("A"), *tokenizer.encode("：你好").ids]) == "A：你好"
    assert tokenizer.encode("Assistant:").tokens[-1] == ":"
