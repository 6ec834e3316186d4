"""What PEFT's adapters hold besides A and B, in files as PEFT 0.21 names them; the oracle is numpy.

`tests/convert/test_lora_peft.py` has PEFT itself as oracle, where that is installed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import write_bloomz_ggml
from builders.gptq import write_arrays, write_gptq
from builders.lora import PREFIX, write_config, write_parts
from builders.meta_files import write_meta
from builders.tokenizers import write_bloom_tokenizer, write_llama_tokenizer
from convert.checkpoint import Checkpoint as Opened
from convert.detect import open_checkpoint
from convert.errors import (
    AdapterTokenizerMissing,
    EmptyAdapter,
    MlxAdapter,
    UngatheredAdapter,
    UnsupportedAdapter,
    UntrainedAdapter,
)
from convert.pipeline import convert
from convert.quantize import read_mapped_rows
from convert.sources.lora import LoraChoice
from reference import llama
from reference.llama_cpp_oracle import LoadedModel

Arrays = dict[str, NDArray[np.float32]]
Q, O = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj"  # noqa: E741
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
QKV = "transformer.h.0.self_attention.query_key_value"
IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_layer=1, n_head_kv=2, n_ff=192)


@pytest.fixture(scope="module")
def tied_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("tied"), n_layer=1, tied=True)


@pytest.fixture(scope="module")
def small_bloom(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_bloom(tmp_path_factory.mktemp("bloom"), n_layer=1)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return (0.3 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def pair(module: str, n_out: int, n_in: int, seed: int = 0) -> Arrays:
    return {f"{module}.lora_A.weight": draw(4, n_in, seed=seed),
            f"{module}.lora_B.weight": draw(n_out, 4, seed=seed + 1)}  # fmt: skip


def embedding_pair(module: str, n_tokens: int, width: int, seed: int = 0) -> Arrays:
    return {f"{module}.lora_embedding_A": draw(4, n_tokens, seed=seed),
            f"{module}.lora_embedding_B": draw(width, 4, seed=seed + 1)}  # fmt: skip


def change(parts: Arrays, module: str, factor: float = 2.0) -> NDArray[np.float64]:
    """What A and B add; with r 4 and alpha 8 the factor is 2."""
    if f"{module}.lora_A.weight" in parts:
        return factor * parts[f"{module}.lora_B.weight"].astype(float) @ parts[f"{module}.lora_A.weight"]
    return (
        factor * (parts[f"{module}.lora_embedding_B"].astype(float) @ parts[f"{module}.lora_embedding_A"]).T
    )


def read_all(opened: Opened) -> Arrays:
    return {tensor.name: read_mapped_rows(tensor, 0, tensor.shape[0]) for tensor in opened.mapped}


def check(
    base: Path,
    checkpoint: Checkpoint,
    weights: Mapping[str, Any],
    lora: Path,
    tokenizer: Path | None = None,
    key: Path | None = None,
) -> Opened:
    """Merged, `base` is what a plain checkpoint of these weights would be."""
    folder = lora.parent / f"{lora.name}-expected"
    shutil.copytree(checkpoint.folder, folder)
    is_tied = f"{HEAD}.weight" not in weights
    embeddings = ("embed_tokens.weight", "word_embeddings.weight")
    rows = next(len(array) for name, array in weights.items() if name.endswith(embeddings))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"vocab_size": rows, "tie_word_embeddings": is_tied})
    )
    write_arrays(folder / "model.safetensors", weights)
    with open_checkpoint(folder) as opened:
        expected = read_all(opened)
    with open_checkpoint(base, tokenizer, key, loras=[LoraChoice(lora)]) as opened:
        found = read_all(opened)
    assert list(found) == list(expected)
    for name, rows_found in found.items():
        bound = 2e-6 * np.abs(expected[name]).max()
        np.testing.assert_allclose(rows_found, expected[name], rtol=0, atol=bound, err_msg=name)
    return opened


def scaled_rows(weight: NDArray[Any], magnitude: NDArray[Any]) -> NDArray[np.float32]:
    """DoRA: the row of each output has the length that was trained."""
    lengths = np.linalg.norm(weight.astype(float), axis=1)
    return ((magnitude / lengths)[:, None] * weight).astype(np.float32)


@pytest.mark.parametrize("form", ["safetensors", "encrypted", "meta", "meta-2", "gptq", "bloomz"])
def test_dora_goes_on_any_base(
    tmp_path: Path, small_llama: Checkpoint, small_bloom: Checkpoint, form: str
) -> None:
    """Of files whose rows are in GGUF's order already, the trained lengths are brought into it, too."""
    checkpoint, module = (small_bloom, QKV) if form == "bloomz" else (small_llama, Q)
    base, weights, key = tmp_path / "base", dict(checkpoint.weights), None
    if form == "encrypted":
        key = tmp_path / "consolidated.00.pth"
        key.write_bytes(bytes(range(256)) * 64)
        encrypt_folder(checkpoint.folder, base, key.read_bytes())
    elif form == "gptq":
        base = tmp_path / "base" / "m.pt"
        weights = write_gptq(base, checkpoint, group=32).weights
    elif form == "bloomz":
        base = tmp_path / "m.bin"
        weights = write_bloomz_ggml(base, checkpoint, kind="f32")
    elif form == "safetensors":
        base = checkpoint.folder
    else:
        write_meta(base, checkpoint, n_parts=2 if form == "meta-2" else 1)
    n_out, n_in = weights[f"{module}.weight"].shape
    parts = pair(module, n_out, n_in) | {f"{module}.lora_magnitude_vector": 1 + np.abs(draw(n_out))}
    if form == "bloomz":
        parts |= {f"{module}.lora_B.bias": draw(n_out, seed=9)}
        weights[f"{module}.bias"] = weights[f"{module}.bias"] + 2 * parts[f"{module}.lora_B.bias"]
    summed = weights[f"{module}.weight"] + change(parts, module)
    weights[f"{module}.weight"] = scaled_rows(summed, parts[f"{module}.lora_magnitude_vector"])
    lora = write_parts(tmp_path / "lora", parts, use_dora=True)
    opened = check(base, checkpoint, weights, lora, checkpoint.folder, key)
    assert [(note.key, note.values["n"]) for note in opened.notes] == [("adapter_magnitudes", 1)]


def test_dora_of_an_embedding_brings_its_columns_to_length(tmp_path: Path, small_llama: Checkpoint) -> None:
    weights = dict(small_llama.weights)
    magnitude = 5 + np.abs(draw(64))
    parts = embedding_pair(EMBEDDING, 520, 64) | {f"{EMBEDDING}.lora_magnitude_vector": magnitude}
    summed = weights[f"{EMBEDDING}.weight"] + change(parts, EMBEDDING)
    weights[f"{EMBEDDING}.weight"] = scaled_rows(summed.T, magnitude).T.copy()
    lora = write_parts(tmp_path / "lora", parts, use_dora=True)
    check(small_llama.folder, small_llama, weights, lora)
    with open_checkpoint(small_llama.folder, loras=[LoraChoice(lora)]) as opened:
        (tensor,) = (tensor for tensor in opened.mapped if tensor.name == "token_embd.weight")
        some = read_mapped_rows(tensor, 100, 171)
        np.testing.assert_array_equal(some, read_mapped_rows(tensor, 0, 520)[100:171])


def test_copies_and_whole_modules_take_the_bases_place(tmp_path: Path, small_llama: Checkpoint) -> None:
    """As PEFT writes them: a copy of each embedding that is a target, and modules of any kind."""
    weights = dict(small_llama.weights)
    norm, down = "model.layers.0.input_layernorm.weight", "model.layers.0.mlp.down_proj.weight"
    whole = {norm: draw(64, seed=4), down: draw(64, 192, seed=5), "model.norm.weight": draw(64, seed=6)}
    parts = embedding_pair(EMBEDDING, 520, 64) | pair(HEAD, 520, 64, seed=2) | pair(Q, 64, 64, seed=7)
    weights |= whole
    for module in (EMBEDDING, HEAD, Q):
        weights[f"{module}.weight"] = (weights[f"{module}.weight"] + change(parts, module)).astype(np.float32)
    copies = {
        f"{module}.base_layer.weight": small_llama.weights[f"{module}.weight"] for module in (EMBEDDING, HEAD)
    }
    lora = write_parts(tmp_path / "lora", parts | copies | whole, modules_to_save=["norm", "mlp"])
    opened = check(small_llama.folder, small_llama, weights, lora)
    assert [(note.key, note.values["n"]) for note in opened.notes] == [
        ("adapter_matrices", 3),
        ("adapter_whole", 3),
    ]


def test_what_wraps_a_model_for_training_leaves_no_trace(tmp_path: Path, small_llama: Checkpoint) -> None:
    parts = pair(Q, 64, 64)
    weights = small_llama.weights | {
        f"{Q}.weight": (small_llama.weights[f"{Q}.weight"] + change(parts, Q)).astype(np.float32)
    }
    names = {
        f"module.{PREFIX}_orig_mod.{Q}.lora_A.default.weight": parts[f"{Q}.lora_A.weight"],
        f"module.{PREFIX}_orig_mod.{Q}.lora_B.default.weight": parts[f"{Q}.lora_B.weight"],
        f"module.{PREFIX}{HEAD}.original_module.weight": np.zeros((520, 64), np.float32),
        f"module.{PREFIX}{HEAD}.modules_to_save.default.weight": weights[f"{HEAD}.weight"],
        f"module.{PREFIX}{Q}.base_layer._fsdp_wrapped_module.weight": small_llama.weights[f"{Q}.weight"],
    }
    write_arrays(tmp_path / "lora" / "adapter_model.bin", names)
    write_config(tmp_path / "lora", modules_to_save=["lm_head"])
    check(small_llama.folder, small_llama, weights, tmp_path / "lora")


def test_settings_of_the_first_peft(tmp_path: Path, small_llama: Checkpoint) -> None:
    """adapter_config.json of PEFT 0.2 has two settings that later ones lack, and lacks most of theirs."""
    parts = pair(Q, 64, 64)
    weights = dict(small_llama.weights)
    weights[f"{Q}.weight"] = (weights[f"{Q}.weight"] + change(parts, Q)).astype(np.float32)
    lora = tmp_path / "lora"
    write_arrays(lora / "adapter_model.bin", {f"{PREFIX}{name}": array for name, array in parts.items()})
    settings = {"base_model_name_or_path": "decapoda-research/llama-7b-hf", "bias": "none", "r": 4,
                "enable_lora": None, "fan_in_fan_out": True, "inference_mode": True, "lora_alpha": 8,
                "lora_dropout": 0.05, "merge_weights": False, "modules_to_save": None, "peft_type": "LORA",
                "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}  # fmt: skip
    (lora / "adapter_config.json").write_text(json.dumps(settings))
    check(small_llama.folder, small_llama, weights, lora)


def test_trained_token_rows(tmp_path: Path, small_llama: Checkpoint, tied_llama: Checkpoint) -> None:
    rows = draw(3, 64)
    for checkpoint in (small_llama, tied_llama):
        weights = {name: array.copy() for name, array in checkpoint.weights.items()}
        weights[f"{EMBEDDING}.weight"][[7, 3, 519]] = rows
        parts = {f"{EMBEDDING}.token_adapter.trainable_tokens_delta": rows}
        lora = write_parts(tmp_path / checkpoint.folder.name, parts, trainable_token_indices=[7, 3, 519])
        opened = check(checkpoint.folder, checkpoint, weights, lora)
        assert [note.key for note in opened.notes] == ["adapter_rows"]


def test_logits_of_an_output_that_was_tied(tmp_path: Path, tied_llama: Checkpoint) -> None:
    parts = pair(HEAD, 520, 64)
    lora = write_parts(tmp_path / "lora", parts)
    embedding = tied_llama.weights[f"{EMBEDDING}.weight"]
    weights = tied_llama.weights | {f"{HEAD}.weight": (embedding + change(parts, HEAD)).astype(np.float32)}
    opened = check(tied_llama.folder, tied_llama, weights, lora)
    assert [note.key for note in opened.notes] == ["adapter_matrices", "adapter_untied"]
    with open_checkpoint(tied_llama.folder, loras=[LoraChoice(lora)]) as opened:
        *_, _ = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=1)
    expected = llama.logits(tied_llama.config | {"tie_word_embeddings": False}, weights, IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert np.abs(loaded.logits(IDS) - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("settings", "names", "is_tied"),
    [
        ({}, [EMBEDDING], True),
        ({}, [EMBEDDING, HEAD], True),
        ({"modules_to_save": ["embed_tokens"]}, [EMBEDDING], False),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, [EMBEDDING], True),
        ({"modules_to_save": ["lm_head"]}, [HEAD], False),
    ],
)
def test_whole_embeddings_of_a_tied_model(
    tmp_path: Path, tied_llama: Checkpoint, settings: dict[str, Any], names: list[str], is_tied: bool
) -> None:
    """What was resized is saved whole; what was trained whole, PEFT copies: the other stays as it was."""
    saved = draw(520, 64)
    lora = write_parts(tmp_path / "lora", {f"{name}.weight": saved for name in names}, **settings)
    weights = dict(tied_llama.weights)
    if is_tied:
        weights[f"{EMBEDDING}.weight"] = saved
    else:
        weights |= {f"{HEAD}.weight": weights[f"{EMBEDDING}.weight"]} | {
            f"{name}.weight": saved for name in names
        }
    check(tied_llama.folder, tied_llama, weights, lora)


@pytest.mark.parametrize("form", ["safetensors", "meta", "gptq"])
def test_a_larger_vocabulary_comes_with_its_tokenizer(
    tmp_path: Path, small_llama: Checkpoint, form: str
) -> None:
    """As the adapters that taught LLaMA Chinese: both embeddings whole, and tokenizer.model beside them."""
    base, weights = small_llama.folder, dict(small_llama.weights)
    if form == "gptq":
        base = tmp_path / "base"
        weights = write_gptq(base / "m.pt", small_llama, group=32).weights
        for name in ("config.json", "tokenizer.model"):
            shutil.copy(small_llama.folder / name, base)
    elif form == "meta":
        base = tmp_path / "base"
        write_meta(base, small_llama)
        shutil.copy(small_llama.folder / "tokenizer.model", base)
    whole = {f"{EMBEDDING}.weight": draw(530, 64, seed=3), f"{HEAD}.weight": draw(530, 64, seed=4)}
    parts = pair(Q, 64, 64)
    weights |= whole | {f"{Q}.weight": (weights[f"{Q}.weight"] + change(parts, Q)).astype(np.float32)}
    lora = write_parts(tmp_path / "lora", parts | whole, modules_to_save=["embed_tokens", "lm_head"])
    with pytest.raises(AdapterTokenizerMissing) as caught:
        open_checkpoint(base, loras=[LoraChoice(lora)])
    assert (caught.value.path, caught.value.n_before, caught.value.n_after) == (lora, 520, 530)
    write_llama_tokenizer(lora, 528)
    opened = check(base, small_llama, weights, lora)
    assert (opened.architecture.n_vocab, len(opened.vocabulary.tokens)) == (530, 528)
    assert opened.tokenizer_path == lora / "tokenizer.model"
    keys = {note.key: dict(note.values) for note in opened.notes}
    assert keys["adapter_vocabulary"] == {"adapter": "lora", "before": 520, "after": 530}
    assert keys["adapter_tokenizer"] == {"adapter": "lora", "n": 528}
    with open_checkpoint(base, small_llama.folder, loras=[LoraChoice(lora)]) as opened:
        assert len(opened.vocabulary.tokens) == 520, "the tokenizer that was given is taken"


def test_a_tokenizer_beside_an_adapter_is_taken_where_it_knows_more(
    tmp_path: Path, small_bloom: Checkpoint
) -> None:
    """Words may be added in rows that the embedding has anyway."""
    base = write_bloom(tmp_path / "base", n_layer=1, n_tokens=380, n_vocab=400)
    lora = write_parts(tmp_path / "lora", pair(QKV, 192, 64))
    for n_tokens, is_taken in ((390, True), (380, False), (401, False)):
        write_bloom_tokenizer(lora, n_tokens)
        with open_checkpoint(base.folder, loras=[LoraChoice(lora)]) as opened:
            assert opened.tokenizer_path.parent == (lora if is_taken else base.folder), n_tokens
    ggml = tmp_path / "m.bin"
    write_bloomz_ggml(ggml, small_bloom, kind="f32")
    with open_checkpoint(ggml, loras=[LoraChoice(lora)]) as opened:
        assert opened.tokenizer_path.parent == lora, "bloomz.cpp's files have no tokenizer"


def test_the_chat_template_of_an_adapter_is_how_the_model_answers_now(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    lora = write_parts(tmp_path / "lora", pair(Q, 64, 64))
    (lora / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    write_meta(tmp_path / "base", small_llama)
    shutil.copy(small_llama.folder / "tokenizer.model", tmp_path / "base")
    for base in (small_llama.folder, tmp_path / "base"):
        with open_checkpoint(base, loras=[LoraChoice(lora)]) as opened:
            assert opened.own_templates is not None
            assert opened.own_templates.chosen().text == "{{ messages }}"


# Adapters of another program, and those that change nothing.


def test_an_adapter_of_mlx_is_named(tmp_path: Path, small_llama: Checkpoint) -> None:
    """As `mlx_lm.lora` writes them: A and B the other way round, and settings of its own."""
    arrays = {f"{Q}.lora_a": draw(64, 8), f"{Q}.lora_b": draw(8, 64)}
    write_arrays(tmp_path / "adapters.safetensors", arrays)
    settings = {"fine_tune_type": "lora", "num_layers": 16, "lora_parameters": {"rank": 8, "scale": 20.0}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    for path, loras in ((small_llama.folder, [LoraChoice(tmp_path)]), (tmp_path, [])):
        with pytest.raises(MlxAdapter) as caught:
            open_checkpoint(path, loras=loras)
        assert caught.value.path == tmp_path


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_without_matrices_is_refused(tmp_path: Path, small_llama: Checkpoint, file: str) -> None:
    write_arrays(tmp_path / file, {})
    write_config(tmp_path)
    for path, loras in ((small_llama.folder, [LoraChoice(tmp_path)]), (tmp_path, [])):
        with pytest.raises(EmptyAdapter):
            open_checkpoint(path, loras=loras)


def test_an_adapter_of_placeholders_is_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    parts = {name: np.zeros(0, np.float16) for name in pair(Q, 64, 64)}
    lora = write_parts(tmp_path / "lora", parts)
    with pytest.raises(UngatheredAdapter) as caught:
        open_checkpoint(small_llama.folder, loras=[LoraChoice(lora)])
    assert caught.value.n_empty == 2


def test_an_adapter_of_zeros_is_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    parts = pair(Q, 64, 64) | embedding_pair(EMBEDDING, 520, 64) | pair(O, 64, 64, seed=4)
    parts |= {
        name: np.zeros_like(parts[name]) for name in parts if name.endswith(("B.weight", "embedding_A"))
    }
    lora = write_parts(tmp_path / "lora", parts)
    with pytest.raises(UntrainedAdapter) as caught:
        open_checkpoint(small_llama.folder, loras=[LoraChoice(lora)])
    assert caught.value.n_pairs == 3
    parts[f"{O}.lora_B.weight"][63, 3] = 1e-3
    with open_checkpoint(small_llama.folder, loras=[LoraChoice(write_parts(lora, parts))]) as opened:
        assert [note.key for note in opened.notes] == ["adapter_matrices"]


@pytest.mark.parametrize(
    ("parts", "settings"),
    [
        ({f"{HEAD}.weight": np.ones((520, 64), np.float32)}, {}),
        (pair(Q, 64, 64) | {f"{Q}.lora_magnitude_vector": np.ones(64, np.float32)}, {"use_dora": True}),
    ],
)
def test_only_sums_can_be_scaled(
    tmp_path: Path, small_llama: Checkpoint, parts: Arrays, settings: dict[str, Any]
) -> None:
    lora = write_parts(tmp_path / "lora", parts, **settings)
    with pytest.raises(UnsupportedAdapter) as caught:
        open_checkpoint(small_llama.folder, loras=[LoraChoice(lora, 0.5)])
    assert (caught.value.setting, caught.value.found) == ("scale", "0.5")
