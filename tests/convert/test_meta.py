"""Meta's own LLaMA files, and what else BELLE was trained from: odd vocabularies and bfloat16 everywhere."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_llama
from builders.gptq import write_arrays
from builders.meta_files import write_meta
from builders.tokenizers import write_llama_tokenizer
from convert.arch.llama import Llama
from convert.detect import open_checkpoint
from convert.errors import (
    ConfigMissing,
    ConvertError,
    InvalidConfig,
    InvalidFile,
    MetaParamsMissing,
    MissingShard,
    MissingTensor,
    TensorShapeMismatch,
    UnsupportedModel,
)
from convert.pipeline import convert
from convert.quantize import read_mapped_rows
from reference import llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_layer=1, n_ff=192, dtype="bf16")


def check_logits(tmp_path: Path, folder: Path, checkpoint: Checkpoint, bound: float = 1e-5) -> None:
    with open_checkpoint(folder) as opened:
        *_, _ = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=1)
    expected = llama.logits(checkpoint.config, checkpoint.weights, IDS)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        assert np.abs(loaded.logits(IDS) - expected).max() < bound * np.abs(expected).max()


@pytest.mark.parametrize(("n_parts", "is_above"), [(1, False), (2, True), (4, False)])
def test_logits_of_metas_files(tmp_path: Path, small_llama: Checkpoint, n_parts: int, is_above: bool) -> None:
    folder = tmp_path / "LLaMA" / "7B"
    write_meta(folder, small_llama, n_parts=n_parts, bf16=True)
    write_llama_tokenizer(folder.parent if is_above else folder, 520)
    with open_checkpoint(folder) as opened:
        assert (opened.form, len(opened.files)) == ("Meta LLaMA", n_parts)
        assert opened.dtypes == ("bf16",)
        prompt = opened.prompt("auto")
        assert (prompt.name, prompt.reason) == ("base", "meta"), "not trained for conversations"
    check_logits(tmp_path, folder, small_llama)


def test_any_file_of_the_folder_stands_for_it(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama, n_parts=2)
    write_llama_tokenizer(tmp_path, 520)
    for name in ("consolidated.00.pth", "consolidated.01.pth", "params.json"):
        with open_checkpoint(tmp_path / name) as opened:
            assert opened.files == ("consolidated.00.pth", "consolidated.01.pth")


def test_transformers_files_beside_metas_win(tmp_path: Path, small_llama: Checkpoint) -> None:
    shutil.copytree(small_llama.folder, tmp_path, dirs_exist_ok=True)
    write_meta(tmp_path, small_llama)
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "safetensors"


@pytest.mark.parametrize(
    ("params", "context"),
    [
        ({"norm_eps": 1e-6}, 2048),
        ({"norm_eps": 1e-5}, 4096),
        ({"norm_eps": 1e-5, "rope_theta": 1e6}, 16384),
    ],
)
def test_what_params_do_not_say_is_what_meta_had_built_in(
    tmp_path: Path, small_llama: Checkpoint, params: dict[str, Any], context: int
) -> None:
    write_meta(tmp_path, small_llama, **params)
    with open_checkpoint(tmp_path, small_llama.folder) as opened:
        assert opened.architecture.metadata()["llama.context_length"] == context


def test_grouped_query_attention(tmp_path: Path) -> None:
    checkpoint = write_llama(tmp_path / "hf", n_layer=1, n_head_kv=2, dtype="f16")
    write_meta(tmp_path / "meta", checkpoint, n_parts=2)
    write_llama_tokenizer(tmp_path / "meta", 520)
    check_logits(tmp_path, tmp_path / "meta", checkpoint)


# Refusals.


def test_a_missing_part_is_named(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama, n_parts=4)
    (tmp_path / "consolidated.02.pth").unlink()
    with pytest.raises(MissingShard) as caught:
        open_checkpoint(tmp_path, small_llama.folder)
    assert caught.value.shard == "consolidated.02.pth"
    (tmp_path / "consolidated.00.pth").unlink()
    with pytest.raises(MissingShard):
        open_checkpoint(tmp_path, small_llama.folder)


def test_a_part_too_many_is_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama)
    shutil.copy(tmp_path / "consolidated.00.pth", tmp_path / "consolidated.01.pth")
    with pytest.raises(InvalidFile):
        open_checkpoint(tmp_path, small_llama.folder)


def test_weights_without_params_say_what_is_missing(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama)
    (tmp_path / "params.json").unlink()
    for path in (tmp_path, tmp_path / "consolidated.00.pth"):
        with pytest.raises(MetaParamsMissing):
            open_checkpoint(path)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"dim": 0}, InvalidConfig),
        ({"dim": 1 << 40}, InvalidConfig),
        ({"dim": 48}, TensorShapeMismatch),
        ({"dim": 64 * 1024}, TensorShapeMismatch),
        ({"n_heads": 3}, InvalidConfig),
        ({"n_layers": 2}, MissingTensor),
        ({"n_layers": 1 << 31}, InvalidConfig),
        ({"n_kv_heads": 2}, TensorShapeMismatch),
        ({"vocab_size": 519}, TensorShapeMismatch),
        ({"vocab_size": -2}, InvalidConfig),
        ({"norm_eps": None}, InvalidConfig),
        ({"use_scaled_rope": True}, UnsupportedModel),
    ],
)
def test_params_that_contradict_the_weights_are_refused(
    tmp_path: Path, small_llama: Checkpoint, params: dict[str, Any], error: type[ConvertError]
) -> None:
    write_meta(tmp_path, small_llama, **params)
    with pytest.raises(error):
        open_checkpoint(tmp_path, small_llama.folder)


def test_an_embedding_without_columns_is_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama)
    for shape in ((5, 0), (64,), (2, 2, 64)):
        write_arrays(
            tmp_path / "consolidated.00.pth",
            {"tok_embeddings.weight": np.zeros(shape, np.float32), "norm.weight": np.ones(4, np.float32)},
        )
        with pytest.raises(ConvertError):
            open_checkpoint(tmp_path, small_llama.folder)


# More of the family.


@pytest.mark.parametrize("hidden", [64, 320])
def test_an_extended_vocabulary_is_a_multiple_of_nothing(tmp_path: Path, hidden: int) -> None:
    """BELLE-LLaMA-EXT has 79,458 tokens, made small: 521 is prime. All in bfloat16, in shards."""
    n_head = hidden // 16
    checkpoint = write_llama(
        tmp_path / "hf", n_tokens=521, hidden=hidden, n_head=n_head, n_layer=1, dtype="bf16", n_shards=3
    )
    with open_checkpoint(checkpoint.folder) as opened:
        assert opened.dtypes == ("bf16",)
        for target in ("q4_k_m", "q8_0", "bf16"):
            *_, _ = convert(opened.plan(target, opened.prompt("none")), tmp_path / "m.gguf", force=True)
            with LoadedModel(tmp_path / "m.gguf") as loaded:
                assert loaded.logits([1, 520, 7]).shape == (3, 521)
    check_logits(tmp_path / "hf", checkpoint.folder, checkpoint)


@pytest.mark.parametrize(
    ("hidden", "name", "reason"), [(32, "belle-llama", "llama-ext-chat"), (4096, "base", "llama-ext-base")]
)
def test_the_extended_models_are_known_by_their_vocabulary(
    tmp_path: Path, hidden: int, name: str, reason: str
) -> None:
    checkpoint = write_llama(
        tmp_path, n_vocab=79_458, hidden=32, n_head=2, n_layer=1, n_ff=32, dtype="bf16", rotary_buffers=False
    )
    with open_checkpoint(checkpoint.folder) as opened:
        assert opened.plan("bf16", opened.prompt("auto")).n_padding_tokens == 79_458 - 520
        architecture = opened.architecture
        assert isinstance(architecture, Llama)
        prompt = replace(opened, architecture=replace(architecture, n_embd=hidden)).prompt("auto")
    assert (prompt.name, prompt.reason) == (name, reason)


def test_llama_2_13b_in_small(tmp_path: Path) -> None:
    """40 heads, a feed-forward of 2.7 widths, norm_eps 1e-5, contexts of 4096, all bfloat16 in shards."""
    config = {
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "pretraining_tp": 1,
        "rope_scaling": None,
    }
    checkpoint = write_llama(
        tmp_path / "hf", hidden=320, n_head=40, n_ff=864, n_layer=1, dtype="bf16", n_shards=2, config=config
    )
    with open_checkpoint(checkpoint.folder) as opened:
        assert opened.prompt("auto").name == "belle-llama"
        assert opened.architecture.metadata()["llama.context_length"] == 4096
        for tensor in opened.mapped:
            plain = checkpoint.weights[tensor.source.name]
            found = read_mapped_rows(tensor, 0, tensor.shape[0])
            assert sorted(found.ravel().tolist()) == sorted(plain.ravel().tolist())
    check_logits(tmp_path, checkpoint.folder, checkpoint)


def test_a_folder_without_any_config_still_says_so(tmp_path: Path, small_llama: Checkpoint) -> None:
    shutil.copy(small_llama.folder / "model.safetensors", tmp_path)
    with pytest.raises(ConfigMissing):
        open_checkpoint(tmp_path)
    (tmp_path / "params.json").write_text(json.dumps({}))
    with pytest.raises(ConfigMissing):
        open_checkpoint(tmp_path)
