"""Which of two embeddings a model has, where config.json and the weights may say different things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, random_weights, write_bloom, write_llama, write_safetensors
from builders.lora import write_adapter
from convert.detect import open_checkpoint
from convert.notes import Note
from convert.pipeline import Converted, convert
from convert.quantize import read_mapped_rows
from convert.sources.lora import LoraChoice
from reference import bloom, llama
from reference.llama_cpp_oracle import LoadedModel

OUTPUT = "lm_head.weight"
IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250]
FAMILIES: list[Any] = [
    pytest.param(write_llama, llama.logits, "model.embed_tokens.weight", 5e-6, id="llama"),
    pytest.param(write_bloom, bloom.logits, "transformer.word_embeddings.weight", 5e-4, id="bloom"),
]


def _write(folder: Path, write: Callable[..., Checkpoint], name: str, stored: str) -> Checkpoint:
    """A model that is tied by its config.json. stored: "both", "other" (a second matrix), "last row" (of
    the second differs) or "output" (alone).
    """
    checkpoint = write(folder, config={"tie_word_embeddings": True})
    weights = checkpoint.weights
    if stored == "other":
        weights[OUTPUT] = random_weights({OUTPUT: weights[name].shape}, "f32", seed=9)[OUTPUT]
    elif stored == "last row":
        weights[OUTPUT] = weights[name].copy()
        weights[OUTPUT][-1] += 1
    else:
        weights[OUTPUT] = weights[name]
    files = dict(weights)
    if stored == "output":
        del files[name]
    write_safetensors(folder / "model.safetensors", files, "f32")
    return checkpoint


@pytest.mark.parametrize("stored", ["both", "other", "last row", "output"])
@pytest.mark.parametrize(("write", "logits", "name", "bound"), FAMILIES)
def test_the_answers_are_those_of_the_matrices_that_are_stored(
    tmp_path: Path,
    write: Callable[..., Checkpoint],
    logits: Callable[..., Any],
    name: str,
    bound: float,
    stored: str,
) -> None:
    checkpoint = _write(tmp_path / "hf", write, name, stored)
    with open_checkpoint(checkpoint.folder) as opened:
        *_, last = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=1)
        notes = [note for note in opened.notes if note.key.startswith("embeddings")]
    assert isinstance(last, Converted)
    differ = stored in ("other", "last row")
    assert notes == ([Note("embeddings_differ")] if differ else [])
    expected = logits({**checkpoint.config, "tie_word_embeddings": not differ}, checkpoint.weights, IDS)
    with LoadedModel(tmp_path / "m.gguf") as model:
        found = model.logits(IDS)
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) < bound


@pytest.mark.parametrize("stored", ["both", "other", "output"])
@pytest.mark.parametrize(("write", "logits", "name", "bound"), FAMILIES)
def test_transformers_ties_the_same_models(
    tmp_path: Path,
    write: Callable[..., Checkpoint],
    logits: Callable[..., Any],
    name: str,
    bound: float,
    stored: str,
) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    checkpoint = _write(tmp_path, write, name, stored)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).float()
    is_one = torch.equal(theirs.get_input_embeddings().weight, theirs.get_output_embeddings().weight)
    with open_checkpoint(checkpoint.folder) as opened:
        assert opened.architecture.tied is is_one
    with torch.no_grad():
        found = theirs(torch.tensor([IDS])).logits[0].numpy()
    expected = logits({**checkpoint.config, "tie_word_embeddings": is_one}, checkpoint.weights, IDS)
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) < 5e-4


@pytest.mark.parametrize("target", ["q_proj", "embed_tokens", "lm_head"])
def test_an_adapter_goes_on_a_model_that_only_has_the_output(tmp_path: Path, target: str) -> None:
    """Of a module of the tied model as of one with the usual names: both give the same tensors."""
    usual = _write(tmp_path / "usual", write_llama, "model.embed_tokens.weight", "both")
    _write(tmp_path / "output", write_llama, "model.embed_tokens.weight", "output")
    adapter = write_adapter(tmp_path / "lora", usual.weights, [target])
    found = []
    for name in ("usual", "output"):
        with open_checkpoint(tmp_path / name, loras=[LoraChoice(adapter.folder)]) as opened:
            found.append({each.name: read_mapped_rows(each, 0, each.shape[0]) for each in opened.mapped})
    assert list(found[0]) == list(found[1])
    for name, rows in found[0].items():
        np.testing.assert_array_equal(rows, found[1][name])
