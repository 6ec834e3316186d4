"""Qwen2's and Qwen3's mapping: llama.cpp computes the reference's forward pass; what it can't is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from builders.checkpoints import Checkpoint
from builders.gguf_files import as_tensors, write_gguf
from builders.qwen import write_qwen
from convert.arch import Architecture, read_architecture
from convert.arch.qwen2 import Qwen2
from convert.arch.qwen3 import Qwen3
from convert.errors import InvalidConfig, MissingTensor, UnknownArchitecture, UnsupportedModel
from convert.notes import Note
from convert.vocab import read_vocabulary
from reference import llama as reference
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0] * 2
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
SIZES: dict[str, dict[str, Any]] = {
    "qwen2": {"family": "qwen2"},
    "qwen2-tied": {"family": "qwen2", "tied": True, "n_head_kv": 1},
    "qwen2-mha": {"family": "qwen2", "n_head": 6, "hidden": 96, "n_head_kv": 6},
    "qwen2-yarn": {"family": "qwen2", "config": {"rope_scaling": YARN}},
    "qwen3": {"family": "qwen3"},
    "qwen3-wide-heads": {"family": "qwen3", "head_dim": 32, "tied": True},
    "qwen3-v5": {
        "family": "qwen3",
        "config": {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    },
    "qwen3-yarn": {"family": "qwen3", "config": {"rope_scaling": {**YARN, "attention_factor": 1.3}}},
}
GOOD = {
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_hidden_layers": 28,
}


def _open(checkpoint: Checkpoint) -> Architecture:
    return read_architecture(checkpoint.folder / "config.json", checkpoint.config)


def _names(checkpoint: Checkpoint) -> list[str]:
    mapped = _open(checkpoint).map_tensors(checkpoint.folder, as_tensors(checkpoint.weights))
    return [tensor.name for tensor in mapped]


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_llama_cpp_computes_the_reference_logits(tmp_path: Path, sizes: dict[str, Any]) -> None:
    checkpoint = write_qwen(tmp_path / "hf", **sizes)
    architecture = _open(checkpoint)
    mapped = architecture.map_tensors(tmp_path, as_tensors(checkpoint.weights))
    vocabulary = read_vocabulary(checkpoint.folder, config=checkpoint.config)
    write_gguf(tmp_path / "x.gguf", vocabulary, architecture=architecture, tensors=mapped)
    expected = reference.logits(checkpoint.config, checkpoint.weights, IDS)
    with LoadedModel(tmp_path / "x.gguf") as model:
        found = model.logits(IDS)
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) < 5e-6


def test_metadata_has_llama_cpps_keys(tmp_path: Path) -> None:
    assert _open(write_qwen(tmp_path / "3", head_dim=32)).metadata() == {
        "qwen3.block_count": 2,
        "qwen3.context_length": 32768,
        "qwen3.embedding_length": 64,
        "qwen3.feed_forward_length": 96,
        "qwen3.attention.head_count": 4,
        "qwen3.attention.head_count_kv": 2,
        "qwen3.rope.freq_base": 1e6,
        "qwen3.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen3.attention.key_length": 32,
        "qwen3.attention.value_length": 32,
    }
    second = _open(write_qwen(tmp_path / "2", family="qwen2")).metadata()
    assert {name.partition(".")[0] for name in second} == {"qwen2"}
    assert "qwen2.attention.key_length" not in second


@pytest.mark.parametrize(
    ("family", "tensor"),
    [("qwen2", "model.layers.1.self_attn.k_proj.bias"), ("qwen3", "model.layers.1.self_attn.q_norm.weight")],
)
def test_what_makes_the_family_is_needed(
    tmp_path: Path, family: Literal["qwen2", "qwen3"], tensor: str
) -> None:
    checkpoint = write_qwen(tmp_path, family=family)
    assert "output.weight" in _names(checkpoint)
    del checkpoint.weights[tensor]
    with pytest.raises(MissingTensor) as caught:
        _names(checkpoint)
    assert caught.value.tensor == tensor.removeprefix("model.")


def test_what_a_config_leaves_out_is_as_in_transformers() -> None:
    missing = {name: value for name, value in GOOD.items() if name != "num_key_value_heads"}
    path = Path("config.json")
    many = Qwen3.from_config(path, missing | {"num_attention_heads": 32, "hidden_size": 4096})
    assert (many.n_head_kv, many.head_dim, many.n_context, many.norm_eps) == (32, 128, 32768, 1e-6)
    same = Qwen2.from_config(path, {**GOOD, "num_key_value_heads": None})
    assert (same.kv_heads, same.rope_dim, same.tied) == (8, 128, False)
    assert many.rope.theta is None


WINDOW = {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 21}


@pytest.mark.parametrize("family", [Qwen2, Qwen3])
@pytest.mark.parametrize(
    ("extra", "n_context"),
    [
        (WINDOW, 4096),
        (WINDOW | {"use_sliding_window": False}, 32768),
        (WINDOW | {"max_window_layers": 28}, 32768),
        (WINDOW | {"sliding_window": 32768}, 32768),
        (WINDOW | {"sliding_window": None}, 32768),
        (WINDOW | {"layer_types": ["full_attention"] * 28}, 32768),
        (WINDOW | {"layer_types": ["full_attention"] * 27 + ["sliding_attention"]}, 4096),
        (WINDOW | {"max_window_layers": None}, 32768),
        ({"use_sliding_window": True, "max_window_layers": 0}, 4096),
    ],
)
def test_the_context_ends_where_a_window_would_begin_to_hide_something(
    family: type[Qwen2 | Qwen3], extra: dict[str, Any], n_context: int
) -> None:
    model = family.from_config(Path("config.json"), {**GOOD, **extra})
    assert model.n_context == n_context
    note = Note("sliding_window", {"n_tokens": 4096, "n_trained": 32768})
    assert model.notes == ((note,) if n_context == 4096 else ())


@pytest.mark.parametrize(
    ("family", "extra", "setting"),
    [
        (Qwen2, {"head_dim": 64}, "head_dim"),
        (Qwen3, {"attention_bias": True}, "attention_bias"),
        (Qwen3, {"hidden_act": "gelu"}, "hidden_act"),
        (Qwen2, {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling"),
        (Qwen2, {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}, "rope_scaling"),
    ],
)
def test_what_llama_cpp_has_no_code_for_is_refused(
    family: type[Qwen2 | Qwen3], extra: dict[str, Any], setting: str
) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        family.from_config(Path("config.json"), {**GOOD, **extra})
    assert caught.value.setting == setting


def test_layers_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(InvalidConfig) as caught:
        Qwen3.from_config(Path("config.json"), {**GOOD, **WINDOW, "layer_types": ["linear_attention"] * 28})
    assert caught.value.setting == "layer_types"


@pytest.mark.parametrize(
    "name", ["Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM", "Qwen2VLForConditionalGeneration"]
)
def test_experts_and_eyes_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownArchitecture) as caught:
        read_architecture(Path("config.json"), {**GOOD, "architectures": [name], "model_type": "qwen2"})
    assert caught.value.architecture == name
    assert {"Qwen2ForCausalLM", "Qwen3ForCausalLM"} <= set(caught.value.known)


def test_only_qwen2_of_80_layers_keeps_fine_values() -> None:
    path = Path("config.json")
    second, third = (family.from_config(path, GOOD) for family in (Qwen2, Qwen3))
    assert not second.has_fine_values
    assert replace(second, n_layer=80).has_fine_values
    assert not replace(third, n_layer=80).has_fine_values
