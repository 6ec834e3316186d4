"""LLaMA's mapping: llama.cpp computes the paper's forward pass; wrong checkpoints are refused."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_llama
from builders.gguf_files import as_tensors, write_gguf
from convert.arch import FAMILIES, Architecture, read_architecture
from convert.arch.llama import Llama, rotary_row_order
from convert.detect import open_checkpoint
from convert.errors import (
    InvalidConfig,
    MissingTensor,
    TensorShapeMismatch,
    UnknownArchitecture,
    UnsupportedModel,
)
from convert.notes import Note
from convert.vocab import read_vocabulary
from reference import llama as reference
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0] * 2
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
SIZES: list[dict[str, Any]] = [
    {},
    {"n_head_kv": 2, "tied": True},
    {"n_head": 6, "hidden": 96, "n_head_kv": 3},
    {"n_head_kv": 1, "config": {"head_dim": 32, "rope_theta": 5e5}},
    {"config": {"rope_scaling": {"type": "linear", "factor": 4.0}}},
    {"config": {"rope_scaling": LLAMA3}},
    {"config": {"rope_parameters": {**LLAMA3, "rope_theta": 5e5}}, "tied": True, "n_head_kv": 2},
    {"config": {"rope_scaling": YARN, "rope_theta": 5e5}},
    {"config": {"rope_scaling": {**YARN, "attention_factor": 1.5}}},
    {"config": {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5}}},
    {"config": {"hidden_act": "swish", "rope_scaling": {"type": "dynamic", "factor": 2.0}}},
]
SIZE_NAMES = ["mha", "gqa-tied", "heads-6", "mqa-head-dim", "linear", "llama3", "llama3-v5", "yarn"]
SIZE_NAMES += ["yarn-attention-factor", "yarn-mscale", "dynamic"]


def _open(checkpoint: Checkpoint) -> Architecture:
    return read_architecture(checkpoint.folder / "config.json", checkpoint.config)


def _names(checkpoint: Checkpoint) -> list[str]:
    mapped = _open(checkpoint).map_tensors(checkpoint.folder, as_tensors(checkpoint.weights))
    return [tensor.name for tensor in mapped]


def _add_biases(checkpoint: Checkpoint) -> None:
    random = np.random.default_rng(3)
    for name, weight in list(checkpoint.weights.items()):
        if name.endswith("_proj.weight"):
            bias = 0.2 * random.standard_normal(weight.shape[0])
            checkpoint.weights[name.replace(".weight", ".bias")] = bias.astype(np.float32)


def _largest_relative_error(checkpoint: Checkpoint, folder: Path) -> float:
    architecture = _open(checkpoint)
    mapped = architecture.map_tensors(folder, as_tensors(checkpoint.weights))
    vocabulary = read_vocabulary(checkpoint.folder, config=checkpoint.config)
    write_gguf(folder / "x.gguf", vocabulary, architecture=architecture, tensors=mapped)
    expected = reference.logits(checkpoint.config, checkpoint.weights, IDS)
    with LoadedModel(folder / "x.gguf") as model:
        found = model.logits(IDS)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("sizes", SIZES, ids=SIZE_NAMES)
def test_llama_cpp_computes_the_reference_logits(tmp_path: Path, sizes: dict[str, Any]) -> None:
    assert _largest_relative_error(write_llama(tmp_path / "hf", **sizes), tmp_path) < 5e-6


def test_biases_are_permuted_and_kept_where_the_config_asks_for_them(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "hf", n_head_kv=2, config={"attention_bias": True, "mlp_bias": True})
    with pytest.raises(MissingTensor):
        _names(checkpoint)
    _add_biases(checkpoint)
    assert _largest_relative_error(checkpoint, tmp_path) < 5e-6


def test_biases_that_the_config_denies_are_refused(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path)
    _add_biases(checkpoint)
    with pytest.raises(UnsupportedModel) as caught:
        _names(checkpoint)
    assert caught.value.found.endswith("_proj.bias")


def test_rotary_halves_become_pairs() -> None:
    assert rotary_row_order(2, 4).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_stored_frequencies_are_left_out(tmp_path: Path) -> None:
    names = _names(write_llama(tmp_path))
    assert not any("freq" in name for name in names)
    assert names[0] == "token_embd.weight"
    assert names[-1] == "output.weight"


def test_output_is_needed_unless_tied(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "a")
    del checkpoint.weights["lm_head.weight"]
    with pytest.raises(MissingTensor) as caught:
        _names(checkpoint)
    assert caught.value.tensor == "lm_head.weight"
    assert "output.weight" not in _names(write_llama(tmp_path / "b", tied=True))


def test_key_heads_that_contradict_the_config_are_refused(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path, n_head_kv=2)
    del checkpoint.config["num_key_value_heads"]
    with pytest.raises(TensorShapeMismatch) as caught:
        _names(checkpoint)
    assert caught.value.tensor == "model.layers.0.self_attn.k_proj.weight"


def test_metadata_has_llama_cpps_keys_in_its_order(tmp_path: Path) -> None:
    extra = {"head_dim": 32, "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}}
    metadata = _open(write_llama(tmp_path, n_head_kv=2, config=extra)).metadata()
    assert list(metadata.items()) == [
        ("llama.block_count", 2),
        ("llama.context_length", 2048),
        ("llama.embedding_length", 64),
        ("llama.feed_forward_length", 96),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 2),
        ("llama.rope.scaling.type", "linear"),
        ("llama.rope.scaling.factor", 2.0),
        ("llama.rope.freq_base", 5e5),
        ("llama.attention.layer_norm_rms_epsilon", 1e-6),
        ("llama.attention.key_length", 32),
        ("llama.attention.value_length", 32),
        ("llama.vocab_size", 520),
        ("llama.rope.dimension_count", 32),
    ]


GOOD = {
    "vocab_size": 79458,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
}


def test_a_config_of_2023_is_read() -> None:
    old = {**GOOD, "max_sequence_length": 1024, "pad_token_id": -1, "bos_token_id": 0}
    model = Llama.from_config(Path("config.json"), old)
    assert (model.n_context, model.norm_eps, model.tied) == (1024, 1e-6, False)
    assert "llama.attention.head_count_kv" not in model.metadata()
    assert "llama.rope.freq_base" not in model.metadata()


def test_todays_rope_parameters_are_read_and_rope_scaling_comes_first_as_in_transformers() -> None:
    config = {**GOOD, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    assert Llama.from_config(Path("config.json"), config).metadata()["llama.rope.freq_base"] == 1e6
    both = {**config, "rope_scaling": {"type": "linear", "factor": 2.0}}
    metadata = Llama.from_config(Path("config.json"), both).metadata()
    assert metadata["llama.rope.scaling.factor"] == 2.0
    assert "llama.rope.freq_base" not in metadata


def test_yarn_writes_the_keys_that_llama_cpp_reads_and_reaches_as_far_as_it_stretches() -> None:
    found = {name: value for name, value in _rope_keys(YARN | {"attention_factor": 1.3862943}).items()}
    assert found == {
        "llama.context_length": 2048,
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 32,
        "llama.rope.scaling.attn_factor": pytest.approx(1.3862943 / (1 + 0.1 * np.log(4.0))),
    }
    assert "llama.rope.scaling.attn_factor" not in _rope_keys(YARN)
    stretched = _rope_keys({"type": "yarn", "factor": 4.0})
    assert stretched["llama.context_length"] == 8192
    assert stretched["llama.rope.scaling.original_context_length"] == 2048
    assert _rope_keys(YARN | {"factor": None})["llama.rope.scaling.factor"] == 2048 / 32


def test_dynamic_scaling_keeps_the_trained_context_and_says_so() -> None:
    config = {**GOOD, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    model = Llama.from_config(Path("config.json"), config)
    assert _rope_keys({"rope_type": "dynamic", "factor": 2.0}) == {"llama.context_length": 2048}
    assert model.notes == (Note("rope_dynamic", {"n_tokens": 2048}),)


def _rope_keys(scaling: dict[str, Any]) -> dict[str, Any]:
    model = Llama.from_config(Path("config.json"), {**GOOD, "rope_scaling": scaling})
    wanted = ("llama.rope.scaling.", "llama.context_length")
    return {name: value for name, value in model.metadata().items() if name.startswith(wanted)}


@pytest.mark.parametrize("setting", list(GOOD))
@pytest.mark.parametrize("value", [None, 0, -1, 2**40, 10**400, 1.5, "64", True, [64]])
def test_impossible_settings_are_named(setting: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as caught:
        Llama.from_config(Path("config.json"), {**GOOD, setting: value})
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"num_attention_heads": 48}, "num_attention_heads"),
        ({"head_dim": 3}, "head_dim"),
        ({"head_dim": -2}, "head_dim"),
        ({"head_dim": 1 << 17}, "head_dim"),
        ({"rms_norm_eps": True}, "rms_norm_eps"),
        ({"rope_theta": 10**400}, "rope_theta"),
        ({"rope_theta": 0}, "rope_theta"),
        ({"rope_scaling": "linear"}, "rope_scaling"),
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling"),
        ({"rope_scaling": {"type": "linear"}}, "factor"),
        ({"rope_scaling": {"type": "dynamic"}}, "factor"),
        ({"rope_scaling": {**YARN, "factor": 1e6, "original_max_position_embeddings": 8192}}, "factor"),
        (
            {"rope_scaling": {**YARN, "original_max_position_embeddings": 0}},
            "original_max_position_embeddings",
        ),
        ({"rope_scaling": {**LLAMA3, "high_freq_factor": 1.0}}, "high_freq_factor"),
        ({"max_position_embeddings": "2048"}, "max_position_embeddings"),
        ({"attention_bias": 1}, "attention_bias"),
    ],
)
def test_contradictions_and_wrong_types_are_refused(extra: dict[str, Any], setting: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        Llama.from_config(Path("config.json"), {**GOOD, **extra})
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    ("extra", "setting"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "rope_scaling"),
        ({"rope_scaling": {**YARN, "beta_fast": 64}}, "beta_fast"),
        ({"rope_scaling": {**YARN, "beta_slow": 2}}, "beta_slow"),
        ({"rope_scaling": {**YARN, "truncate": False}}, "truncate"),
        ({"rope_scaling": {**YARN, "extrapolation_factor": 0.5}}, "extrapolation_factor"),
        ({"rope_parameters": {"rope_type": ["x"], "factor": 2.0}}, "rope_parameters"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"is_causal": False}, "is_causal"),
    ],
)
def test_what_is_not_converted_is_refused(extra: dict[str, Any], setting: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        Llama.from_config(Path("config.json"), {**GOOD, **extra})
    assert caught.value.setting == setting


@pytest.mark.parametrize("names", ["GPT2LMHeadModel", ["GPT2LMHeadModel"], [7], {"a": 1}, ["x" * 999]])
def test_an_unknown_architecture_is_named_with_the_known_ones(names: Any) -> None:
    with pytest.raises(UnknownArchitecture) as caught:
        read_architecture(Path("config.json"), {"architectures": names})
    assert caught.value.known == tuple(name for family in FAMILIES for name in family.class_names)
    assert len(caught.value.architecture) < 100


@pytest.mark.parametrize("settings", [{}, {"architectures": None}, {"architectures": [], "model_type": None}])
def test_a_config_that_names_no_model_is_not_one(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_architecture(Path("config.json"), {**GOOD, **settings})
    assert (caught.value.setting, caught.value.found) == ("architectures", "nothing")


def test_the_model_type_names_the_family_where_no_class_does() -> None:
    path = Path("config.json")
    assert read_architecture(path, {**GOOD, "model_type": "llama"}).family.gguf_name == "llama"
    with pytest.raises(UnknownArchitecture) as caught:
        read_architecture(path, {**GOOD, "model_type": "qwen2_moe", "architectures": []})
    assert caught.value.architecture == "qwen2_moe"


def test_a_config_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    with open_checkpoint(tmp_path) as opened:
        assert opened.architecture.n_vocab == checkpoint.config["vocab_size"]


def test_a_model_with_a_vocabulary_that_no_belle_model_had_is_not_asked_as_belle() -> None:
    for n_vocab, name in ((128_256, "base"), (79_458, "base"), (32_000, "belle"), (32_001, "belle")):
        model = Llama.from_config(Path("config.json"), {**GOOD, "vocab_size": n_vocab})
        assert model.default_prompt().name == name
