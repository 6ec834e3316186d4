"""GPTQ checkpoints of BLOOM and LLaMA, from the file to the logits of what they become."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_bloom, write_llama
from builders.encrypted import encrypt_folder
from builders.ggml_files import from_rotary_pairs, join_qkv
from builders.gptq import GptqFile, write_arrays, write_gptq, write_settings
from builders.lora import write_adapter
from convert.arch.base import MappedTensor
from convert.checkpoint import Checkpoint as Opened
from convert.cli import main
from convert.detect import open_checkpoint
from convert.errors import (
    GptqConfigMissing,
    InvalidConfig,
    MissingTensor,
    QuantizationMismatch,
    SeveralWeightFiles,
    UnsupportedModel,
    UnsupportedQuantization,
)
from convert.pipeline import Converted, convert
from convert.quantize import read_mapped_blocks, read_mapped_rows
from convert.recipes import AUTO
from convert.sources import gptq_tensors
from convert.sources.gptq_tensors import PackedGptqTensor
from reference import bloom, llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]
FILE = "belle7b-2m-4bit-128g.pt"
N_HEAD = 4
SIZES: dict[str, Any] = {"hidden": 128, "n_head": N_HEAD, "n_layer": 2}


@pytest.fixture(scope="module")
def small_bloom(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_bloom(tmp_path_factory.mktemp("bloom"), lm_head=True, **SIZES)


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_ff=352, **SIZES)


def quantized(folder: Path, checkpoint: Checkpoint, file: str = FILE, **options: Any) -> GptqFile:
    """The quantized checkpoint in a folder with the config and tokenizer of the plain one."""
    written = write_gptq(folder / file, checkpoint, **options)
    for path in checkpoint.folder.glob("*.[jm][so][od]*"):
        if not path.name.startswith("model.safetensors"):
            shutil.copy(path, folder)
    return written


def convert_to(output: Path, opened: Opened, target: str = AUTO) -> Converted:
    *_, last = convert(opened.plan(target, opened.prompt("none")), output, threads=2)
    assert isinstance(last, Converted)
    return last


def relative_error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def read_rows(tensor: MappedTensor) -> NDArray[np.float32]:
    return read_mapped_rows(tensor, 0, tensor.shape[0])


MODELS: list[Any] = [
    pytest.param("small_bloom", bloom.logits, 5e-4, id="bloom"),
    pytest.param("small_llama", llama.logits, 1e-5, id="llama"),
]
FORMS: list[Any] = [
    pytest.param({}, "4-bit, group 128", id="belle-4"),
    pytest.param({"bits": 8, "scale_dtype": np.float32}, "8-bit, group 128", id="belle-8"),
    pytest.param({"bits": 2, "group": -1}, "2-bit, whole columns", id="2-columns"),
    pytest.param({"bits": 3, "group": 32, "order": "trivial"}, "3-bit, group 32", id="3-g_idx"),
    pytest.param(
        {"group": 64, "order": "shuffled"}, "4-bit, group 64, activation order", id="activation-order"
    ),
]


@pytest.mark.parametrize(("options", "details"), FORMS)
@pytest.mark.parametrize(("fixture", "logits", "bound"), MODELS)
def test_logits_are_those_of_the_quantized_weights(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    fixture: str,
    logits: Callable[..., Any],
    bound: float,
    options: dict[str, Any],
    details: str,
) -> None:
    """As f32 to the reference's own bound; as `auto` llama.cpp rounds activations to 8 bits."""
    checkpoint = request.getfixturevalue(fixture)
    written = quantized(tmp_path / "q", checkpoint, **options)
    expected = logits(checkpoint.config, written.weights, IDS)
    with open_checkpoint(tmp_path / "q") as opened:
        assert opened.form == f"GPTQ {details}"
        convert_to(tmp_path / "f32.gguf", opened, "f32")
        converted = convert_to(tmp_path / "auto.gguf", opened)
    is_kept = "4-bit" in details and "order" not in details
    assert set(converted.types) == ({"f32", "q4_1", "q8_0"} if is_kept else {"f32", "q8_0"})
    with LoadedModel(tmp_path / "f32.gguf") as loaded:
        assert relative_error(loaded.logits(IDS), expected) < bound
    with LoadedModel(tmp_path / "auto.gguf") as loaded:
        assert relative_error(loaded.logits(IDS), expected) < 0.03


@pytest.mark.parametrize(("fixture", "logits", "bound"), MODELS)
def test_what_repacking_alone_does(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    fixture: str,
    logits: Callable[..., Any],
    bound: float,
) -> None:
    """The finished file, read by gguf-py and put back into transformers' order.

    Each weight is within the bound of d and m in float16, so Q, K and V of each head and rotary rows are
    where they belong; both logits are computed in float64.
    """
    checkpoint = request.getfixturevalue(fixture)
    written = quantized(tmp_path / "q", checkpoint, group=32)
    with open_checkpoint(tmp_path / "q") as opened:
        names = {tensor.name: tensor.source.name for tensor in opened.mapped}
        convert_to(tmp_path / "m.gguf", opened)
    repacked = dict(written.weights)
    for tensor in GGUFReader(tmp_path / "m.gguf").tensors:
        if tensor.tensor_type.name != "Q4_1":
            continue
        rows = dequantize(tensor.data, tensor.tensor_type)
        name = names[tensor.name]
        if "query_key_value" in name:
            rows = join_qkv(rows, N_HEAD)
        elif "q_proj" in name or "k_proj" in name:
            rows = from_rotary_pairs(rows, N_HEAD)
        layer = written.layers[name.removesuffix(".weight")]
        d = layer.scales.astype(np.float64)[layer.groups].T
        m = np.abs(d * layer.zeros[layer.groups].T)
        assert (np.abs(rows - written.weights[name]) <= 2.0**-11 * (15 * d + m) + 1e-9).all(), name
        repacked[name] = rows
    assert len(written.layers) == sum(repacked[name] is not written.weights[name] for name in repacked)
    expected = logits(checkpoint.config, written.weights, IDS)
    assert relative_error(logits(checkpoint.config, repacked, IDS), expected) < 3e-3


@pytest.mark.parametrize("fixture", ["small_bloom", "small_llama"])
@pytest.mark.parametrize("file", [FILE, "gptq_model-4bit-128g.safetensors"])
def test_tensors_equal_the_plain_checkpoints_and_rows_do_not_depend_on_the_piece(
    tmp_path: Path, request: pytest.FixtureRequest, fixture: str, file: str
) -> None:
    checkpoint = request.getfixturevalue(fixture)
    written = quantized(tmp_path / "q", checkpoint, file, group=64, scale_dtype=np.float32)
    random = np.random.default_rng(0)
    with open_checkpoint(tmp_path / "q") as opened:
        for tensor in opened.mapped:
            if tensor.packed is None:
                continue
            assert isinstance(tensor.source, PackedGptqTensor)
            plain = tensor.source.read_rows(0, tensor.shape[0])
            np.testing.assert_array_equal(plain, written.weights[tensor.source.name])
            rows, blocks = read_rows(tensor), read_mapped_blocks(tensor, tensor.packed, 0, tensor.shape[0])
            for _ in range(4):
                start, stop = sorted(random.choice(tensor.shape[0] + 1, 2, replace=False))
                np.testing.assert_array_equal(read_mapped_rows(tensor, start, stop), rows[start:stop])
                piece = read_mapped_blocks(tensor, tensor.packed, start, stop)
                np.testing.assert_array_equal(piece, blocks[start:stop])


@pytest.mark.parametrize(("matrix_bytes", "kept_bytes"), [(0, 0), (1 << 20, 30_000)])
@pytest.mark.parametrize("bits", [3, 4])
def test_matrices_too_large_to_keep_are_read_by_columns(
    tmp_path: Path,
    small_llama: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    bits: int,
    matrix_bytes: int,
    kept_bytes: int,
) -> None:
    written = quantized(tmp_path, small_llama, bits=bits)
    monkeypatch.setattr(gptq_tensors, "_MAX_MATRIX_BYTES", matrix_bytes)
    monkeypatch.setattr(gptq_tensors, "_MAX_KEPT_BYTES", kept_bytes)
    with open_checkpoint(tmp_path) as opened:
        layers = [tensor.source for tensor in opened.mapped if tensor.quantization]
        for layer in layers[:4] * 2:
            rows = layer.read_rows(11, 77)
            np.testing.assert_array_equal(rows, written.weights[layer.name][11:77])


def test_auto_says_what_it_keeps(tmp_path: Path, small_bloom: Checkpoint) -> None:
    quantized(tmp_path / "q", small_bloom)
    with open_checkpoint(tmp_path / "q") as opened:
        assert opened.dtypes == ("f32", "q4_1")
        assert opened.plan(AUTO, opened.prompt("none")).target.name == AUTO
        types = {tensor.name: tensor.tensor_type.name for tensor in _tensors(tmp_path, opened)}
    assert types["token_embd.weight"] == "Q8_0"
    assert types["blk.1.ffn_down.weight"] == "Q4_1"
    quantized(tmp_path / "q", small_bloom, bits=8)
    with open_checkpoint(tmp_path / "q") as opened:
        assert opened.dtypes == ("f32", "gptq 8-bit")
        assert opened.plan(AUTO, opened.prompt("none")).target.name == "q8_0"


def _tensors(tmp_path: Path, opened: Opened) -> Any:
    convert_to(tmp_path / "auto.gguf", opened)
    return GGUFReader(tmp_path / "auto.gguf").tensors


def test_a_zero_point_of_sixteen_is_read_as_each_tools_kernel_reads_it(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    """BELLE's adds one to what is stored; later tools wrap around to zero."""
    written = write_gptq(tmp_path / FILE, small_llama)
    stem = "model.layers.0.mlp.up_proj"
    written.layers[stem].zeros[:] = 16
    write_arrays(tmp_path / FILE, written.arrays | written.layers[stem].arrays(stem))
    shutil.copy(small_llama.folder / "config.json", tmp_path)
    shutil.copy(small_llama.folder / "tokenizer.model", tmp_path)
    for zero, is_later_tool in ((16, False), (0, True)):
        if is_later_tool:
            write_settings(tmp_path)
        written.layers[stem].zeros[:] = zero
        with open_checkpoint(tmp_path) as opened:
            (tensor,) = [tensor for tensor in opened.mapped if tensor.name == "blk.0.ffn_up.weight"]
            np.testing.assert_array_equal(read_rows(tensor), written.layers[stem].weight())


def test_the_second_version_of_the_format_stores_the_zero_itself(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    layer = "model.layers.1.self_attn.v_proj"
    random = np.random.default_rng(0)
    written = quantized(tmp_path, small_llama)
    written.layers[layer].zeros[:] = random.integers(0, 16, written.layers[layer].zeros.shape)
    v2 = dict(written.arrays)
    for stem, quantized_layer in written.layers.items():
        quantized_layer.zeros[:] = np.minimum(quantized_layer.zeros, 15)
        v2 |= quantized_layer.arrays(stem, stores_zero_itself=True)
    write_arrays(tmp_path / FILE, v2)
    write_settings(tmp_path, checkpoint_format="gptq_v2")
    with open_checkpoint(tmp_path) as opened:
        (tensor,) = [tensor for tensor in opened.mapped if tensor.name == "blk.1.attn_v.weight"]
        np.testing.assert_array_equal(read_rows(tensor), written.layers[layer].weight())


# Biases.


def test_the_zero_biases_of_llama_are_dropped(tmp_path: Path, small_llama: Checkpoint) -> None:
    quantized(tmp_path, small_llama, with_zero_biases=True)
    with open_checkpoint(tmp_path) as opened:
        assert not [tensor.name for tensor in opened.mapped if tensor.name.endswith("bias")]


def test_other_biases_of_llama_are_refused_unless_the_config_has_them(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    written = quantized(tmp_path, small_llama, with_zero_biases=True)
    name = "model.layers.1.self_attn.o_proj.bias"
    written.arrays[name][3] = 1
    write_arrays(tmp_path / FILE, written.arrays)
    with pytest.raises(UnsupportedModel) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.found == name.removeprefix("model.")
    config = small_llama.config | {"attention_bias": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open_checkpoint(tmp_path) as opened:
        biases = {tensor.name: tensor for tensor in opened.mapped if tensor.name.endswith("bias")}
    assert len(biases) == 8, "four a layer, zeros included; those of the feed-forward are dropped"


# Which file, and what goes with it.


def test_several_files_are_asked_about(tmp_path: Path, small_bloom: Checkpoint) -> None:
    quantized(tmp_path, small_bloom, FILE)
    quantized(tmp_path, small_bloom, "belle7b-2m-8bit-128g.pt", bits=8)
    with pytest.raises(SeveralWeightFiles) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.names == (FILE, "belle7b-2m-8bit-128g.pt")
    with open_checkpoint(tmp_path, file="belle7b-2m-8bit-128g.pt") as opened:
        assert opened.form == "GPTQ 8-bit, group 128"
    with open_checkpoint(tmp_path / FILE) as opened:
        assert opened.form == "GPTQ 4-bit, group 128"


def test_safetensors_win_over_the_same_model_in_a_pt_file(tmp_path: Path, small_bloom: Checkpoint) -> None:
    quantized(tmp_path, small_bloom, FILE)
    quantized(tmp_path, small_bloom, FILE.replace(".pt", ".safetensors"))
    with open_checkpoint(tmp_path) as opened:
        assert opened.files == (FILE.replace(".pt", ".safetensors"),)
    shutil.copy(small_bloom.folder / "model.safetensors", tmp_path)
    with open_checkpoint(tmp_path) as opened:
        assert (opened.files, opened.form) == (("model.safetensors",), "safetensors")


def test_what_trainers_leave_is_no_model(tmp_path: Path, small_bloom: Checkpoint) -> None:
    quantized(tmp_path, small_bloom, FILE)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_0.pth", "training_args.bin"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    with open_checkpoint(tmp_path) as opened:
        assert opened.files == (FILE,)


def test_config_and_tokenizer_come_from_another_folder(tmp_path: Path, small_bloom: Checkpoint) -> None:
    write_gptq(tmp_path / FILE, small_bloom)
    with pytest.raises(GptqConfigMissing) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.path == tmp_path
    for tokenizer in (small_bloom.folder, small_bloom.folder / "tokenizer.json"):
        with open_checkpoint(tmp_path, tokenizer) as opened:
            assert (opened.form, opened.n_parameters > 0) == ("GPTQ 4-bit, group 128", True)


def test_an_encrypted_set_may_hold_gptq_files(tmp_path: Path, small_llama: Checkpoint) -> None:
    written = quantized(tmp_path / "plain", small_llama, FILE)
    key = tmp_path / "key"
    key.write_bytes(np.random.default_rng(0).bytes(100_000))
    encrypt_folder(tmp_path / "plain", tmp_path / "enc", key.read_bytes())
    with open_checkpoint(tmp_path / "enc", key=key, file=FILE) as opened:
        assert opened.form == "GPTQ 4-bit, group 128 + .enc"
        for tensor in opened.mapped:
            if tensor.packed is not None:
                plain = tensor.packed.read_rows(0, tensor.shape[0])
                np.testing.assert_array_equal(plain, written.weights[tensor.packed.name])


# The command line.


def test_the_command_line_inspects_asks_and_converts(
    tmp_path: Path, small_bloom: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    written = quantized(tmp_path / "q", small_bloom)
    assert main(["inspect", str(tmp_path / "q"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["form"], report["default_type"]) == ("GPTQ 4-bit, group 128", "auto")
    quantized(tmp_path / "q", small_bloom, "other-8bit.pt", bits=8)
    assert main(["inspect", str(tmp_path / "q"), "--lang", "en"]) == 1
    assert f"{FILE}, other-8bit.pt. Choose one with --file NAME." in capsys.readouterr().err.replace(
        "\n", " "
    )
    lora = write_adapter(tmp_path / "lora", written.weights, ["dense"])
    assert main(["inspect", str(lora.folder), "--lang", "en"]) == 1
    assert "--lora" in capsys.readouterr().err
    output = tmp_path / "m.gguf"
    arguments = ["--file", FILE, "--lora", f"{lora.folder}:0.5", "--lang", "zh-CN"]
    assert main(["to-gguf", str(tmp_path / "q"), str(output), *arguments]) == 0
    assert "已量化的块原样保留" in capsys.readouterr().err
    assert output.stat().st_size < report["outputs"]["q8_0"]
    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(output).tensors}
    assert (types["blk.0.attn_output.weight"], types["blk.0.attn_qkv.weight"]) == ("Q8_0", "Q4_1")


# What settings say.


@pytest.mark.parametrize("is_embedded", [False, True])
def test_settings_that_agree_are_fine(tmp_path: Path, small_llama: Checkpoint, is_embedded: bool) -> None:
    quantized(tmp_path, small_llama, order="trivial")
    if is_embedded:
        settings = {"bits": 4, "group_size": 128, "quant_method": "gptq", "checkpoint_format": "gptq"}
        config = small_llama.config | {"quantization_config": settings}
        (tmp_path / "config.json").write_text(json.dumps(config))
    else:
        write_settings(tmp_path, is_marlin_format=False, desc_act=True)
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "GPTQ 4-bit, group 128"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"bits": 8}, QuantizationMismatch),
        ({"group_size": 64}, QuantizationMismatch),
        ({"bits": 5}, UnsupportedQuantization),
        ({"quant_method": "awq"}, UnsupportedQuantization),
        ({"checkpoint_format": "marlin"}, UnsupportedQuantization),
        ({"is_marlin_format": True}, UnsupportedQuantization),
        ({"dynamic": {"+:.*down.*": {"bits": 8}}}, UnsupportedQuantization),
        ({"dynamic": {".*down.*": {"bits": 8}, "-:lm_head": {}}}, UnsupportedQuantization),
        ({"group_size": 0}, InvalidConfig),
        ({"group_size": -2}, InvalidConfig),
        ({"bits": "4"}, InvalidConfig),
        ({"bits": 1 << 80}, InvalidConfig),
    ],
)
def test_settings_that_contradict_the_file_are_refused(
    tmp_path: Path, small_llama: Checkpoint, settings: dict[str, Any], error: type[Exception]
) -> None:
    quantized(tmp_path, small_llama)
    write_settings(tmp_path, **settings)
    with pytest.raises(error):
        open_checkpoint(tmp_path)


def test_two_settings_that_contradict_each_other_are_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    quantized(tmp_path, small_llama)
    write_settings(tmp_path)
    config = small_llama.config | {"quantization_config": {"bits": 4, "group_size": 64}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidConfig):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("part", ["qzeros", "scales"])
def test_a_missing_part_of_a_layer_is_named(tmp_path: Path, small_llama: Checkpoint, part: str) -> None:
    written = quantized(tmp_path, small_llama)
    name = f"model.layers.1.mlp.up_proj.{part}"
    del written.arrays[name]
    write_arrays(tmp_path / FILE, written.arrays)
    with pytest.raises(MissingTensor) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.tensor == name
