"""Type recipes as tables; test_quantization_oracle.py holds them against llama.cpp itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from llama_cpp import llama_cpp

from convert.errors import QuantizationUnsupported
from convert.recipes import DEFAULT_TARGET, TARGETS, ModelTraits, choose_type, find_target, read_traits
from engine.native.kernels import GgmlType

BLOOM_7B = ModelTraits(n_layers=30, n_heads=32, n_kv_heads=32, tied=True)
LLAMA_7B = ModelTraits(n_layers=32, n_heads=32, n_kv_heads=32, tied=False)


def layers_with(target: str, name: str, type_: GgmlType, model: ModelTraits, width: int = 4096) -> list[int]:
    return [
        layer
        for layer in range(model.n_layers)
        if choose_type(TARGETS[target], f"blk.{layer}.{name}", (4096, width), model) is type_
    ]


def test_the_fifteen_targets_have_llama_cpps_file_types() -> None:
    names = "f32 f16 bf16 q8_0 q6_k q5_k_m q5_k_s q5_0 q5_1 q4_k_m q4_k_s q4_0 q4_1 iq4_xs q3_k_m"
    assert list(TARGETS) == names.split()
    assert DEFAULT_TARGET == "q4_k_m"
    for name, target in TARGETS.items():
        prefix = "LLAMA_FTYPE_ALL_" if name == "f32" else "LLAMA_FTYPE_MOSTLY_"
        assert target.file_type == getattr(llama_cpp, prefix + name.upper())


def test_unknown_target_is_refused_by_name() -> None:
    with pytest.raises(QuantizationUnsupported) as caught:
        find_target("q1_0")
    assert caught.value.target == "q1_0"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.attn_norm.weight", (4096,)),
        ("blk.0.attn_qkv.bias", (12288,)),
        ("token_embd_norm.weight", (64, 64)),
        ("blk.0.ffn_up.weight", (1, 4096)),
    ],
)
def test_vectors_and_norms_stay_float32(target: str, name: str, shape: tuple[int, ...]) -> None:
    assert choose_type(TARGETS[target], name, shape, BLOOM_7B) is GgmlType.F32


def test_q4_k_m_of_belle_7b() -> None:
    sensitive = [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert layers_with("q4_k_m", "attn_qkv.weight", GgmlType.Q6_K, BLOOM_7B) == sensitive
    assert layers_with("q4_k_m", "ffn_down.weight", GgmlType.Q6_K, BLOOM_7B, 16384) == sensitive
    assert layers_with("q4_k_m", "attn_output.weight", GgmlType.Q4_K, BLOOM_7B) == list(range(30))
    embedding = choose_type(TARGETS["q4_k_m"], "token_embd.weight", (250880, 4096), BLOOM_7B)
    assert embedding is GgmlType.Q6_K


def test_untied_embedding_is_plain_and_the_output_has_more_bits() -> None:
    shape = (32000, 4096)
    assert choose_type(TARGETS["q4_0"], "token_embd.weight", shape, LLAMA_7B) is GgmlType.Q4_0
    assert choose_type(TARGETS["q4_0"], "output.weight", shape, LLAMA_7B) is GgmlType.Q6_K
    assert choose_type(TARGETS["q8_0"], "output.weight", shape, LLAMA_7B) is GgmlType.Q8_0


def test_first_layers_of_the_small_targets() -> None:
    assert layers_with("q4_k_s", "attn_v.weight", GgmlType.Q5_K, LLAMA_7B) == [0, 1, 2, 3]
    assert layers_with("q4_k_s", "ffn_down.weight", GgmlType.Q5_K, LLAMA_7B) == [0, 1, 2, 3]
    assert layers_with("q3_k_m", "attn_v.weight", GgmlType.Q5_K, LLAMA_7B) == [0, 1]
    assert layers_with("q3_k_m", "ffn_down.weight", GgmlType.Q5_K, LLAMA_7B) == [0, 1]
    assert layers_with("q3_k_m", "attn_output.weight", GgmlType.Q4_K, LLAMA_7B) == list(range(32))
    assert layers_with("iq4_xs", "ffn_down.weight", GgmlType.Q5_K, LLAMA_7B) == [0, 1, 2, 3]


def test_values_shared_by_four_heads_get_more_bits() -> None:
    grouped = replace(LLAMA_7B, n_kv_heads=8)
    assert layers_with("iq4_xs", "attn_v.weight", GgmlType.Q5_K, grouped) == list(range(32))
    assert layers_with("iq4_xs", "attn_v.weight", GgmlType.Q5_K, LLAMA_7B) == []


def test_llama_70b_never_has_4_bit_values() -> None:
    large = replace(LLAMA_7B, n_layers=80, n_heads=64, n_kv_heads=8, has_fine_values=True)
    assert layers_with("q3_k_m", "attn_v.weight", GgmlType.Q5_K, large) == list(range(80))
    plain = replace(large, has_fine_values=False)
    assert layers_with("q3_k_m", "attn_v.weight", GgmlType.Q5_K, plain) == [0, 1]


@pytest.mark.parametrize(
    ("target", "width", "expected"),
    [
        ("q6_k", 96, GgmlType.Q8_0),
        ("q5_k_s", 96, GgmlType.Q5_1),
        ("q4_k_s", 96, GgmlType.Q5_0),
        ("q3_k_m", 96, GgmlType.Q4_0),
        ("iq4_xs", 96, GgmlType.IQ4_NL),
        ("q4_0", 96, GgmlType.Q4_0),
        ("q4_0", 80, GgmlType.F16),
        ("q4_k_m", 80, GgmlType.F16),
        ("q8_0", 80, GgmlType.F16),
        ("f32", 80, GgmlType.F32),
    ],
)
def test_rows_that_are_not_whole_blocks_fall_back(target: str, width: int, expected: GgmlType) -> None:
    assert choose_type(TARGETS[target], "blk.9.ffn_up.weight", (64, width), LLAMA_7B) is expected


def test_traits_are_read_from_the_metadata() -> None:
    keys = {"llama.block_count": 4, "llama.attention.head_count": 8, "llama.attention.head_count_kv": 2}
    traits = read_traits("llama", keys, ["token_embd.weight", "output.weight"])
    assert traits == ModelTraits(4, 8, 2, tied=False)
    assert traits.heads_per_kv == 4
    del keys["llama.attention.head_count_kv"]
    assert read_traits("llama", keys, ["token_embd.weight"]) == ModelTraits(4, 8, 8, tied=True)
