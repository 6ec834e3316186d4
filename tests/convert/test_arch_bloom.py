"""BLOOM's mapping: llama.cpp computes the paper's forward pass; wrong checkpoints are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_bloom
from builders.gguf_files import ArrayTensor, as_tensors, gather, write_gguf
from convert.arch import Architecture, read_architecture
from convert.arch.bloom import Bloom, qkv_row_order
from convert.errors import (
    InvalidConfig,
    MissingTensor,
    TensorShapeMismatch,
    UnsupportedDtype,
    UnsupportedModel,
)
from convert.vocab import read_vocabulary
from reference import bloom as reference
from reference.llama_cpp_oracle import LoadedModel

IDS = [2, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]


def _open(checkpoint: Checkpoint) -> Architecture:
    return read_architecture(checkpoint.folder / "config.json", checkpoint.config)


def _names(checkpoint: Checkpoint) -> list[str]:
    mapped = _open(checkpoint).map_tensors(checkpoint.folder, as_tensors(checkpoint.weights))
    return [tensor.name for tensor in mapped]


@pytest.mark.parametrize(("n_head", "hidden"), [(4, 64), (6, 96), (3, 96)])
def test_llama_cpp_computes_the_reference_logits(tmp_path: Path, n_head: int, hidden: int) -> None:
    checkpoint = write_bloom(tmp_path / "hf", n_head=n_head, hidden=hidden)
    architecture = _open(checkpoint)
    mapped = architecture.map_tensors(tmp_path, as_tensors(checkpoint.weights))
    vocabulary = read_vocabulary(checkpoint.folder, config=checkpoint.config)
    write_gguf(tmp_path / "x.gguf", vocabulary, architecture=architecture, tensors=mapped)
    expected = reference.logits(checkpoint.config, checkpoint.weights, IDS)
    with LoadedModel(tmp_path / "x.gguf") as model:
        found = model.logits(IDS)
    # ggml's GELU goes through a float16 table, hence not 1e-6.
    assert np.abs(found - expected).max() / np.abs(expected).max() < 5e-4


def test_fused_qkv_is_taken_apart_by_head() -> None:
    assert qkv_row_order(2, 2).tolist() == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]


def test_qkv_bias_moves_with_its_weight(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path)
    mapped = {t.name: t for t in _open(checkpoint).map_tensors(tmp_path, as_tensors(checkpoint.weights))}
    bias = checkpoint.weights["transformer.h.0.self_attention.query_key_value.bias"].reshape(4, 3, 16)
    expected = np.concatenate([bias[:, part].reshape(-1) for part in range(3)])
    np.testing.assert_array_equal(gather(mapped["blk.0.attn_qkv.bias"]), expected)


def test_names_with_and_without_prefix_give_the_same_file(tmp_path: Path) -> None:
    with_prefix = write_bloom(tmp_path / "a")
    without = write_bloom(tmp_path / "b", prefix="")
    assert without.config["architectures"] == ["BloomModel"]
    assert _names(with_prefix) == _names(without)


def test_stored_output_is_dropped_when_tied_and_kept_when_not(tmp_path: Path) -> None:
    tied = write_bloom(tmp_path / "a", lm_head=True)
    untied = write_bloom(tmp_path / "b", lm_head=True, config={"tie_word_embeddings": False})
    assert "output.weight" not in _names(tied)
    assert _names(untied)[-1] == "output.weight"


def test_saved_masks_are_ignored_and_unknown_tensors_refused(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path)
    mask = np.zeros((1, 1), np.float32)
    checkpoint.weights["transformer.h.1.self_attention.masked_bias"] = mask
    assert "blk.1.attn_qkv.weight" in _names(checkpoint)
    checkpoint.weights["transformer.h.2.mlp.dense_h_to_4h.weight"] = mask
    with pytest.raises(UnsupportedModel) as caught:
        _names(checkpoint)
    assert (caught.value.setting, caught.value.found) == ("tensor", "h.2.mlp.dense_h_to_4h.weight")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path)
    del checkpoint.weights["transformer.h.1.mlp.dense_4h_to_h.bias"]
    with pytest.raises(MissingTensor) as caught:
        _names(checkpoint)
    assert caught.value.tensor == "h.1.mlp.dense_4h_to_h.bias"


def test_a_shape_that_contradicts_the_config_is_refused(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path, config={"vocab_size": 500})
    with pytest.raises(TensorShapeMismatch) as caught:
        _names(checkpoint)
    assert (caught.value.expected, caught.value.found) == ((500, 64), (400, 64))


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    checkpoint = write_bloom(tmp_path)
    tensors = as_tensors(checkpoint.weights)
    name = "transformer.ln_f.weight"
    tensors[name] = ArrayTensor(name, checkpoint.weights[name], "i8")
    with pytest.raises(UnsupportedDtype) as caught:
        _open(checkpoint).map_tensors(tmp_path, tensors)
    assert (caught.value.tensor, caught.value.dtype) == (name, "i8")


def test_metadata_has_llama_cpps_keys_in_its_order(tmp_path: Path) -> None:
    metadata = _open(write_bloom(tmp_path)).metadata()
    assert list(metadata.items()) == [
        ("bloom.context_length", 2048),
        ("bloom.embedding_length", 64),
        ("bloom.feed_forward_length", 256),
        ("bloom.block_count", 2),
        ("bloom.attention.head_count", 4),
        ("bloom.attention.head_count_kv", 4),
        ("bloom.attention.layer_norm_epsilon", 1e-5),
    ]


def test_every_spelling_of_the_config_is_read() -> None:
    old = {"vocab_size": 250880, "n_embed": 4096, "num_attention_heads": 32, "num_hidden_layers": 30}
    model = Bloom.from_config(Path("config.json"), old)
    assert (model.n_embd, model.n_head, model.n_layer, model.n_context) == (4096, 32, 30, 2048)


GOOD = {"vocab_size": 400, "hidden_size": 64, "n_head": 4, "n_layer": 2}


@pytest.mark.parametrize("setting", list(GOOD))
@pytest.mark.parametrize(
    "value", [None, 0, -1, 2**40, 10**400, 1.5, "64", True, [64], {"a": 1}, float("nan")]
)
def test_impossible_settings_are_named(setting: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as caught:
        Bloom.from_config(Path("config.json"), {**GOOD, setting: value})
    assert caught.value.setting == setting
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ({"n_embed": 32}, "n_embed"),
        ({"n_head": 5}, "n_head"),
        ({"seq_length": 0}, "seq_length"),
        ({"layer_norm_epsilon": "1e-5"}, "layer_norm_epsilon"),
        ({"layer_norm_epsilon": float("inf")}, "layer_norm_epsilon"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    ],
)
def test_contradictions_and_wrong_types_are_refused(extra: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        Bloom.from_config(Path("config.json"), {**GOOD, **extra})
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("setting", "value"),
    [("apply_residual_connection_post_layernorm", True), ("n_inner", 128), ("n_inner", "256")],
)
def test_what_llama_cpp_cannot_do_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        Bloom.from_config(Path("config.json"), {**GOOD, setting: value})
    assert caught.value.setting == setting
