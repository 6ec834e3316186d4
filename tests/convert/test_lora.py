"""LoRA adapters of PEFT merged into checkpoints of every form; the oracle is a plain matrix product."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.ggml_files import write_bloomz_ggml
from builders.gptq import write_arrays, write_gptq
from builders.lora import PREFIX, Adapter, write_adapter, write_config
from builders.meta_files import write_meta
from convert.checkpoint import Checkpoint as Opened
from convert.detect import open_checkpoint
from convert.errors import (
    AdapterAlone,
    AdapterMismatch,
    AdapterRowsMissing,
    AdapterTargetMissing,
    ConvertError,
    InvalidConfig,
    InvalidFile,
    NotAnAdapter,
    PromptAdapter,
    UngatheredAdapter,
    UnsupportedAdapter,
)
from convert.pipeline import convert
from convert.quantize import read_mapped_rows
from convert.recipes import AUTO
from convert.sources.lora import LoraChoice
from reference import bloom, llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]
LLAMA_TARGETS = ("q_proj", "k_proj", "v_proj", "down_proj")
BLOOM_TARGETS = ("query_key_value", "dense")


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_layer=1, n_head_kv=2, n_ff=192, dtype="f16")


@pytest.fixture(scope="module")
def small_bloom(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_bloom(tmp_path_factory.mktemp("bloom"), n_layer=1, lm_head=True)


@pytest.fixture
def adapter(tmp_path: Path, small_llama: Checkpoint) -> Adapter:
    return write_adapter(tmp_path / "lora", small_llama.weights, LLAMA_TARGETS)


def read_all(opened: Opened) -> dict[str, NDArray[np.float32]]:
    """All weights as the GGUF will have them, before rounding to a type."""
    return {tensor.name: read_mapped_rows(tensor, 0, tensor.shape[0]) for tensor in opened.mapped}


def expected_of(tmp_path: Path, checkpoint: Checkpoint, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The same, of a plain checkpoint with these weights."""
    folder = tmp_path / "expected"
    shutil.copytree(checkpoint.folder, folder, dirs_exist_ok=True)
    write_arrays(folder / "model.safetensors", weights)
    with open_checkpoint(folder) as opened:
        return read_all(opened)


def check_equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, rows in found.items():
        np.testing.assert_allclose(rows, expected[name], rtol=0, atol=3e-7, err_msg=name)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("adapter_name", ["", "default"])
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_a_merged_llama_is_the_sum(
    tmp_path: Path, small_llama: Checkpoint, file: str, adapter_name: str, scale: float
) -> None:
    lora = write_adapter(
        tmp_path / "lora", small_llama.weights, LLAMA_TARGETS, file=file, adapter_name=adapter_name, rank=3
    )
    expected = expected_of(tmp_path, small_llama, lora.merged(small_llama.weights, scale))
    with open_checkpoint(small_llama.folder, loras=[LoraChoice(tmp_path / "lora", scale)]) as opened:
        assert opened.form == "safetensors + LoRA"
        check_equal(read_all(opened), expected)


@pytest.mark.parametrize("text", ["", ":0.5", "a:nan"])
def test_an_adapter_is_a_folder_with_a_sensible_scale(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        LoraChoice.parse(text)


def test_several_adapters_add_up_on_bloom(tmp_path: Path, small_bloom: Checkpoint) -> None:
    first = write_adapter(tmp_path / "a", small_bloom.weights, BLOOM_TARGETS, rank=2, seed=1)
    second = write_adapter(tmp_path / "b", small_bloom.weights, BLOOM_TARGETS[:1], alpha=3, seed=2)
    merged = second.merged(first.merged(small_bloom.weights), 0.25)
    choices = [LoraChoice.parse(str(first.folder)), LoraChoice.parse(f"{second.folder}:0.25")]
    with open_checkpoint(small_bloom.folder, loras=choices) as opened:
        check_equal(read_all(opened), expected_of(tmp_path, small_bloom, merged))
        *_, _ = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=1)
    expected = bloom.logits(small_bloom.config, merged, IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert np.abs(loaded.logits(IDS) - expected).max() < 5e-4 * np.abs(expected).max()


def test_rows_do_not_depend_on_the_piece(small_llama: Checkpoint, adapter: Adapter) -> None:
    with open_checkpoint(small_llama.folder, loras=[LoraChoice(adapter.folder)]) as opened:
        for tensor in opened.mapped:
            rows = read_mapped_rows(tensor, 0, tensor.shape[0])
            for start, stop in ((0, 1), (7, 31), (tensor.shape[0] // 2, tensor.shape[0])):
                np.testing.assert_array_equal(read_mapped_rows(tensor, start, stop), rows[start:stop])


@pytest.mark.parametrize("form", ["meta", "meta-2", "gptq", "bloomz"])
def test_an_adapter_goes_on_any_base(
    tmp_path: Path, small_llama: Checkpoint, small_bloom: Checkpoint, form: str
) -> None:
    """Of files whose rows are in GGUF's order already, the adapter's rows are brought into it."""
    checkpoint = small_bloom if form == "bloomz" else small_llama
    weights, file, tokenizer = checkpoint.weights, tmp_path / "base", checkpoint.folder
    if form == "gptq":
        file = tmp_path / "base" / "m.pt"
        weights = write_gptq(file, checkpoint, group=32).weights
    elif form == "bloomz":
        file = tmp_path / "m.bin"
        weights = write_bloomz_ggml(file, checkpoint, kind="f32")
    else:
        write_meta(file, checkpoint, n_parts=2 if form == "meta-2" else 1)
    targets = BLOOM_TARGETS if form == "bloomz" else LLAMA_TARGETS
    lora = write_adapter(tmp_path / "lora", weights, targets)
    saved_name = "word_embeddings" if form == "bloomz" else "embed_tokens"
    (name,) = [name for name in weights if saved_name in name and "norm" not in name]
    saved = weights[name][::-1].copy()
    path = lora.folder / "adapter_model.safetensors"
    pairs = {f"{PREFIX}{module}.lora_{side}.weight": matrix for module, pair in lora.pairs.items()
             for side, matrix in zip("AB", pair, strict=True)}  # fmt: skip
    write_arrays(path, pairs | {f"{PREFIX}{name}": saved})
    merged = lora.merged(weights) | {name: saved}
    with open_checkpoint(file, tokenizer, loras=[LoraChoice(lora.folder)]) as opened:
        check_equal(read_all(opened), expected_of(tmp_path, checkpoint, merged))
        types = {tensor.name: tensor.packed for tensor in opened.mapped}
        target = opened.plan(AUTO, opened.prompt("none")).target
    if form == "gptq":
        assert types["blk.0.attn_q.weight"] is None, "merged blocks can't be copied"
        assert types["blk.0.attn_output.weight"] is not None
        assert target.name == AUTO


def test_a_saved_row_permuted_matrix_keeps_transformers_order_on_metas_files(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    saved = np.random.default_rng(3).standard_normal((64, 64)).astype(np.float32)
    lora = write_adapter(tmp_path / "a", small_llama.weights, ["v_proj"], modules_to_save=["q_proj"],
                         extra={f"{PREFIX}{name}": saved})  # fmt: skip
    second = write_adapter(tmp_path / "b", small_llama.weights, ["q_proj"])
    write_meta(tmp_path / "base", small_llama)
    merged = second.merged(lora.merged(small_llama.weights) | {name: saved})
    choices = [LoraChoice(lora.folder), LoraChoice(second.folder)]
    with open_checkpoint(tmp_path / "base", small_llama.folder, loras=choices) as opened:
        check_equal(read_all(opened), expected_of(tmp_path, small_llama, merged))


def test_merging_everything_of_a_quantized_base_leaves_q8_0(tmp_path: Path, small_llama: Checkpoint) -> None:
    written = write_gptq(tmp_path / "base" / "m.pt", small_llama, group=32)
    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    lora = write_adapter(tmp_path / "lora", written.weights, targets)
    with open_checkpoint(tmp_path / "base", small_llama.folder, loras=[LoraChoice(lora.folder)]) as opened:
        assert opened.plan(AUTO, opened.prompt("none")).target.name == "q8_0"


def test_logits_of_a_merged_meta_model(tmp_path: Path, small_llama: Checkpoint, adapter: Adapter) -> None:
    write_meta(tmp_path / "base", small_llama, n_parts=2)
    with open_checkpoint(tmp_path / "base", small_llama.folder, loras=[LoraChoice(adapter.folder)]) as opened:
        assert opened.prompt("auto").name == "belle"
        *_, _ = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=1)
    expected = llama.logits(small_llama.config, adapter.merged(small_llama.weights), IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert np.abs(loaded.logits(IDS) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({"use_rslora": True}, 4.0),
        ({"alpha_pattern": {"self_attn.q_proj": 16}}, 4.0),
        ({"init_lora_weights": "gaussian", "rank_pattern": {"q_proj": 4}, "r": 9}, 2.0),
    ],
)
def test_factors(tmp_path: Path, small_llama: Checkpoint, settings: dict[str, Any], factor: float) -> None:
    lora = write_adapter(tmp_path / "lora", small_llama.weights, ["q_proj"])
    write_config(lora.folder, **settings)
    expected = Adapter(lora.folder, lora.pairs, factor).merged(small_llama.weights)
    with open_checkpoint(small_llama.folder, loras=[LoraChoice(lora.folder)]) as opened:
        check_equal(read_all(opened), expected_of(tmp_path, small_llama, expected))


@pytest.mark.parametrize(
    ("text", "path", "scale"),
    [("dir", "dir", 1), ("dir:0.5", "dir", 0.5), ("C:\\dir", "C:\\dir", 1), ("C:\\d:-2", "C:\\d", -2)],
)
def test_a_choice_is_a_folder_and_a_scale(text: str, path: str, scale: float) -> None:
    assert LoraChoice.parse(text) == LoraChoice(Path(path), scale)


@pytest.mark.parametrize("text", ["dir:nan", "dir:inf", "dir:1e9"])
def test_impossible_scales_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="dir"):
        LoraChoice.parse(text)


# Refusals.


def check_refused(base: Path, lora: Path, error: type[ConvertError]) -> ConvertError:
    with pytest.raises(error) as caught:
        open_checkpoint(base, loras=[LoraChoice(lora)])
    return caught.value


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"use_dora": True}, InvalidFile),
        ({"peft_type": "PREFIX_TUNING"}, PromptAdapter),
        ({"alora_invocation_tokens": [1, 2]}, PromptAdapter),
        ({"peft_type": "IA3"}, UnsupportedAdapter),
        ({"peft_type": "LOHA"}, UnsupportedAdapter),
        ({"enable_lora": [True, False, True]}, UnsupportedAdapter),
        ({"use_qalora": True}, UnsupportedAdapter),
        ({"init_lora_weights": "pissa_niter_4"}, UnsupportedAdapter),
        ({"init_lora_weights": {"a": []}}, UnsupportedAdapter),
        ({"layer_replication": [[0, 1]]}, UnsupportedAdapter),
        ({"alpha_pattern": {"(?=a)b": 3}}, UnsupportedAdapter),
        ({"alpha_pattern": {"q_proj(": 3}}, UnsupportedAdapter),
        ({"trainable_token_indices": [1, 1]}, InvalidConfig),
        ({"trainable_token_indices": [-1]}, InvalidConfig),
        ({"trainable_token_indices": {"embed_tokens": [True]}}, InvalidConfig),
        ({"r": 8}, AdapterMismatch),
        ({"r": 1 << 31}, InvalidConfig),
        ({"r": 0}, InvalidConfig),
        ({"lora_alpha": 1e300}, InvalidConfig),
        ({"lora_alpha": "8"}, InvalidConfig),
        ({"rank_pattern": {"q_proj": 5}}, AdapterMismatch),
        ({"rank_pattern": []}, InvalidConfig),
        ({"modules_to_save": "all"}, InvalidConfig),
    ],
)
def test_settings_that_cannot_be_merged_are_refused(
    small_llama: Checkpoint, adapter: Adapter, settings: dict[str, Any], error: type[ConvertError]
) -> None:
    write_config(adapter.folder, **settings)
    check_refused(small_llama.folder, adapter.folder, error)


Q = f"{PREFIX}model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({f"{Q}.lora_B.weight": None}, InvalidFile),
        ({f"{Q}.lora_A.weight": None}, InvalidFile),
        ({f"{Q}.lora_A.weight": np.zeros((4, 65), np.float32)}, AdapterMismatch),
        ({f"{Q}.lora_A.weight": np.zeros((3, 64), np.float32)}, AdapterMismatch),
        ({f"{Q}.lora_A.weight": np.zeros(64, np.float32)}, AdapterMismatch),
        ({f"{Q}.lora_A.weight": np.zeros((4, 64), np.int8)}, AdapterMismatch),
        ({f"{Q}.lora_A.weight": np.zeros((4, 0), np.float32)}, UngatheredAdapter),
        ({f"{Q}.lora_A.weight": np.zeros(0, np.float32)}, UngatheredAdapter),
        ({f"{Q}.lora_A.other.weight": np.zeros((4, 64), np.float32)}, InvalidFile),
        (
            {f"{Q}.lora_A.{name}.weight": np.zeros((4, 64), np.float32) for name in ("first", "second")},
            UnsupportedAdapter,
        ),
        (
            {
                f"{PREFIX}layers.0.self_attn.q_proj.lora_A.weight": np.ones((4, 64), np.float32),
                f"{PREFIX}layers.0.self_attn.q_proj.lora_B.weight": np.ones((64, 4), np.float32),
            },
            InvalidFile,
        ),
        ({f"{Q}.lora_A.bias": np.zeros(4, np.float32)}, UnsupportedAdapter),
        ({f"{Q}.lora_B.bias": np.ones(64, np.float32)}, AdapterTargetMissing),
        ({f"{Q}.base_layer.bias": np.ones(64, np.float32)}, AdapterTargetMissing),
        ({f"{Q}.lora_magnitude_vector": np.zeros(64, np.float32)}, InvalidFile),
        ({f"{Q}.weight": np.zeros((64, 63), np.float32)}, AdapterMismatch),
        ({f"{PREFIX}lm_head.weight": np.zeros((521, 64), np.float32)}, AdapterRowsMissing),
        ({f"{PREFIX}model.embed_tokens.weight": np.zeros((521, 64), np.float32)}, AdapterRowsMissing),
        ({f"{PREFIX}model.embed_tokens.weight": np.zeros((520, 65), np.float32)}, AdapterMismatch),
        (
            {
                f"{PREFIX}lm_head.lora_A.weight": np.zeros((4, 64), np.float32),
                f"{PREFIX}lm_head.lora_B.weight": np.zeros((521, 4), np.float32),
            },
            AdapterRowsMissing,
        ),
        (
            {
                f"{PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta": np.zeros(
                    (1, 64), np.float32
                )
            },
            InvalidFile,
        ),
        (
            {f"{PREFIX}model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(8, np.float32)},
            UnsupportedAdapter,
        ),
        ({f"{PREFIX}strange": np.zeros(1, np.float32)}, UnsupportedAdapter),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    small_llama: Checkpoint, adapter: Adapter, changes: dict[str, Any], error: type[ConvertError]
) -> None:
    arrays = {f"{PREFIX}{module}.lora_{side}.weight": matrix for module, pair in adapter.pairs.items()
              for side, matrix in zip("AB", pair, strict=True)}  # fmt: skip
    arrays |= changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    write_arrays(adapter.folder / "adapter_model.safetensors", kept)
    check_refused(small_llama.folder, adapter.folder, error)


def test_another_base_model_is_refused_with_the_right_ones_name(
    small_bloom: Checkpoint, adapter: Adapter
) -> None:
    error = check_refused(small_bloom.folder, adapter.folder, AdapterTargetMissing)
    assert isinstance(error, AdapterTargetMissing)
    assert error.base == "BelleGroup/BELLE-7B-2M"


def test_a_scaled_adapter_cannot_replace_modules(tmp_path: Path, small_llama: Checkpoint) -> None:
    extra = {f"{PREFIX}lm_head.weight": np.zeros((520, 64), np.float32)}
    lora = write_adapter(tmp_path / "lora", small_llama.weights, ["q_proj"], extra=extra)
    with pytest.raises(UnsupportedAdapter):
        open_checkpoint(small_llama.folder, loras=[LoraChoice(lora.folder, 0.5)])


def test_an_adapter_alone_names_its_base(small_llama: Checkpoint, adapter: Adapter) -> None:
    for path in (adapter.folder, adapter.folder / "adapter_model.safetensors"):
        with pytest.raises(AdapterAlone) as caught:
            open_checkpoint(path)
        assert caught.value.base == "BelleGroup/BELLE-7B-2M"


def test_a_folder_without_an_adapter_says_what_is_missing(
    tmp_path: Path, small_llama: Checkpoint, adapter: Adapter
) -> None:
    (adapter.folder / "adapter_model.safetensors").unlink()
    error = check_refused(small_llama.folder, adapter.folder, NotAnAdapter)
    assert isinstance(error, NotAnAdapter)
    assert error.missing == "adapter_model.safetensors"
    (adapter.folder / "adapter_config.json").write_text(json.dumps([]))
    check_refused(small_llama.folder, adapter.folder, InvalidFile)
    check_refused(small_llama.folder, tmp_path, NotAnAdapter)
