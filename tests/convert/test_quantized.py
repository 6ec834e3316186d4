"""FP8, bitsandbytes and AWQ checkpoints, from the folder to what is written; other kinds, refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_llama
from builders.packed_weights import Matrix, Parts, Stored, awq, four_bit, fp8, int8, write_stored
from builders.torch_zip import write_torch_zip
from convert.checkpoint import Checkpoint as Opened
from convert.detect import open_checkpoint
from convert.errors import (
    ConvertError,
    InvalidConfig,
    InvalidFile,
    MissingTensor,
    QuantizationMismatch,
    UnsupportedDtype,
    UnsupportedQuantization,
)
from convert.i18n import LANGUAGES, Catalog
from convert.pipeline import Converted, convert
from convert.quantize import read_mapped_rows
from convert.recipes import AUTO
from convert.sources.tensors import Tensor, stored_reads
from reference import llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]
Quantize = Callable[[str, Matrix], tuple[Parts, Matrix]]


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Rows of 192 and 320 are not whole blocks of 128."""
    return write_llama(
        tmp_path_factory.mktemp("llama"), hidden=192, n_ff=320, n_layer=2, rotary_buffers=False
    )


def write(
    folder: Path,
    checkpoint: Checkpoint,
    quantize: Quantize,
    *,
    config: dict[str, Any] | None = None,
    extra: Parts | None = None,
) -> dict[str, Matrix]:
    """The checkpoint with its blocks' matrices quantized; what all of it means."""
    folder.mkdir(exist_ok=True)
    parts: Parts = {}
    meant: dict[str, Matrix] = {}
    for name, weight in checkpoint.weights.items():
        if ".layers." in name and weight.ndim == 2:
            stored, meant[name] = quantize(name, weight)
            parts |= stored
        else:
            parts[name], meant[name] = Stored.of(weight), weight
    write_stored(folder / "model.safetensors", parts | (extra or {}))
    shutil.copy(checkpoint.folder / "tokenizer.model", folder)
    settings = checkpoint.config | ({"quantization_config": config} if config else {})
    (folder / "config.json").write_text(json.dumps(settings))
    return meant


def fp8_as(**options: Any) -> Quantize:
    return lambda name, weight: fp8(name, weight, **options)


def a_scale_a_row(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
    return fp8(name, weight, block=(1, weight.shape[1]), scale_end="_scale", scale_dtype="BF16")


def a_scale_a_matrix(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
    return fp8(name, weight, block=weight.shape, scale_end="_scale", scale_shape=())


def four_bit_as(**options: Any) -> Quantize:
    return lambda name, weight: four_bit(name, weight, **options)


BLOCKS = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
FORMS: list[Any] = [
    pytest.param(fp8_as(block=(128, 128)), BLOCKS, "FP8 E4M3, block 128x128", id="blocks"),
    pytest.param(fp8_as(block=(128, 128)), None, "FP8 E4M3, block 128x128", id="blocks-unsaid"),
    pytest.param(
        fp8_as(block=(128, 128), scale_dtype="BF16"), BLOCKS, "FP8 E4M3, block 128x128", id="blocks-bf16"
    ),
    pytest.param(
        *(fp8_as(block=(1, 32), scale_dtype="U8"), {"quant_method": "fp8"}, "FP8 E4M3, block 1x32"),
        id="microscaling-bytes",
    ),
    pytest.param(
        *(fp8_as(block=(64, 64), scale_dtype="F8_E8M0"), None, "FP8 E4M3, block 64x64"), id="microscaling"
    ),
    pytest.param(
        *(a_scale_a_row, {"quant_method": "compressed-tensors", "format": "float-quantized"}),
        *("FP8 E4M3, a scale a row",),
        id="rows",
    ),
    pytest.param(a_scale_a_matrix, {"quant_method": "fp8"}, "FP8 E4M3, a scale a matrix", id="matrices"),
    pytest.param(fp8_as(block=None), None, "FP8 E4M3, no scales", id="cast"),
    pytest.param(fp8_as(block=None, kind="F8_E5M2"), None, "FP8 E5M2, no scales", id="cast-e5m2"),
    pytest.param(
        *(four_bit_as(nested=True), {"quant_method": "bitsandbytes", "load_in_4bit": True}),
        *("bitsandbytes 4-bit nf4, double quantization",),
        id="nf4",
    ),
    pytest.param(four_bit_as(nested=False, block=128), None, "bitsandbytes 4-bit nf4", id="nf4-128"),
    pytest.param(int8, {"quant_method": "bitsandbytes"}, "bitsandbytes 8-bit (LLM.int8)", id="int8"),
]


def opened_rows(opened: Opened) -> dict[str, Matrix]:
    return {tensor.source.name: tensor.source.read_rows(0, tensor.shape[0]) for tensor in opened.mapped}


@pytest.mark.parametrize(("quantize", "config", "form"), FORMS)
def test_every_weight_is_what_the_folder_means(
    tmp_path: Path, small_llama: Checkpoint, quantize: Quantize, config: dict[str, Any] | None, form: str
) -> None:
    meant = write(tmp_path / "q", small_llama, quantize, config=config)
    random = np.random.default_rng(0)
    with open_checkpoint(tmp_path / "q") as opened:
        assert opened.form == form
        assert opened.plan(AUTO, opened.prompt("none")).target.name == "q8_0"
        rows = opened_rows(opened)
        assert rows.keys() == meant.keys()
        for tensor in opened.mapped:
            name, n_rows = tensor.source.name, tensor.shape[0]
            np.testing.assert_allclose(rows[name], meant[name], rtol=2e-7, err_msg=name)
            start, stop = sorted(random.choice(n_rows + 1, 2, replace=False))
            np.testing.assert_array_equal(tensor.source.read_rows(start, stop), rows[name][start:stop])
            check_announced(tensor.source, start, stop)


def check_announced(tensor: Tensor, start: int, stop: int) -> None:
    """What a distant source is told of is what is read."""
    announced = list(stored_reads(tensor, start, stop))
    read: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        source = type(announced[0].source)
        whole = source.read_at

        def read_at(self: Any, offset: int, size: int) -> bytes:
            read.append((offset, size))
            return whole(self, offset, size)

        patch.setattr(source, "read_at", read_at)
        tensor.read_rows(start, stop)
    assert sorted(read) == sorted((each.offset, each.size) for each in announced)


def test_logits_are_those_of_the_dequantized_weights(tmp_path: Path, small_llama: Checkpoint) -> None:
    meant = write(tmp_path / "q", small_llama, four_bit_as(nested=True))
    expected = llama.logits(small_llama.config, meant, IDS)
    with open_checkpoint(tmp_path / "q") as opened:
        assert opened.dtypes == ("bitsandbytes nf4", "f32")
        *_, done = convert(opened.plan("f32", opened.prompt("none")), tmp_path / "m.gguf", threads=2)
    assert isinstance(done, Converted)
    with LoadedModel(tmp_path / "m.gguf") as loaded:
        found = loaded.logits(IDS)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_awq_is_repacked_and_not_quantized_again(tmp_path: Path, small_llama: Checkpoint) -> None:
    config = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}
    meant = write(tmp_path, small_llama, lambda name, weight: awq(name, weight, group=64), config=config)
    with open_checkpoint(tmp_path) as opened:
        assert (opened.form, opened.dtypes) == ("AWQ 4-bit, group 64", ("f32", "q4_1"))
        for name, rows in opened_rows(opened).items():
            np.testing.assert_array_equal(rows, meant[name], err_msg=name)
        for tensor in opened.mapped:
            part = read_mapped_rows(tensor, 5, 17)
            np.testing.assert_array_equal(part, read_mapped_rows(tensor, 0, 17)[5:])
        *_, done = convert(opened.plan(AUTO, opened.prompt("none")), tmp_path / "m.gguf", threads=2)
    assert isinstance(done, Converted)
    assert done.types == {"f32": 5, "q4_1": 14, "q8_0": 2}


def test_fp8_needs_the_scales_that_its_configuration_speaks_of(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    write(tmp_path, small_llama, fp8_as(block=None), config=BLOCKS)
    with pytest.raises(MissingTensor) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.tensor.endswith(".weight_scale_inv")


def test_blocks_are_those_that_the_configuration_has(tmp_path: Path, small_llama: Checkpoint) -> None:
    write(tmp_path, small_llama, fp8_as(block=(64, 64)), config=BLOCKS)
    with pytest.raises(QuantizationMismatch) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.expected.startswith("(2, 2)")


def test_bitsandbytes_weights_may_be_pickled_and_be_stored_as_numbers_of_any_type(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    """`bnb_4bit_quant_storage` is bfloat16 or float32 where FSDP trained; torch.save keeps the same names."""
    meant = write(tmp_path, small_llama, four_bit_as(nested=False))
    arrays: dict[str, NDArray[Any]] = {}
    for name, weight in small_llama.weights.items():
        if ".layers." not in name or weight.ndim == 1:
            arrays[name] = weight
            continue
        for part, stored in four_bit(name, weight, nested=False)[0].items():
            kind = np.uint8 if stored.dtype == "U8" else np.float32
            array = np.frombuffer(stored.data, kind).reshape(stored.shape)
            arrays[part] = array.reshape(-1).view(np.float32)[:, None] if part == name else array
    (tmp_path / "model.safetensors").unlink()
    write_torch_zip(tmp_path / "pytorch_model.bin", arrays)
    with open_checkpoint(tmp_path) as opened:
        for name, rows in opened_rows(opened).items():
            np.testing.assert_allclose(rows, meant[name], rtol=2e-7, err_msg=name)


def test_scales_of_activations_and_of_the_cache_are_left_out(tmp_path: Path, small_llama: Checkpoint) -> None:
    layer = "model.layers.1.self_attn"
    names = [f"{layer}.q_proj.input_scale", f"{layer}.k_proj.k_scale", f"{layer}.v_scale"]
    extra = {name: Stored.of(np.array([1], np.float32)) for name in names}
    write(tmp_path, small_llama, a_scale_a_matrix, extra=extra)
    with open_checkpoint(tmp_path) as opened:
        assert opened.notes == ()
        assert not [tensor for tensor in opened.mapped if "scale" in tensor.name]


def test_fp8_without_scales_is_said(tmp_path: Path, small_llama: Checkpoint) -> None:
    write(tmp_path, small_llama, fp8_as(block=None))
    with open_checkpoint(tmp_path) as opened:
        assert [note.key for note in opened.notes] == ["fp8_without_scales"]


@pytest.mark.parametrize("method", ["hqq", "bitsandbytes", "torchao"])
def test_a_configuration_that_outlived_its_weights_is_no_reason(
    tmp_path: Path, small_llama: Checkpoint, method: str
) -> None:
    """Merged adapters are saved in full with the base's quantization_config."""
    write(
        *(tmp_path, small_llama, lambda name, weight: ({name: Stored.of(weight)}, weight)),
        config={"quant_method": method},
    )
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "safetensors"


# What can't be read.

WORDS = Stored.of(np.zeros((4, 8), np.int32))
OTHER_KINDS: dict[str, tuple[Parts, dict[str, Any] | None, str]] = {
    "hqq": ({"x.W_q": WORDS}, None, "HQQ"),
    "hqq-said": ({"x.W_q": WORDS}, {"quant_method": "hqq"}, "'hqq'"),
    "aqlm": ({"x.codebooks": WORDS, "x.codes": WORDS}, {"quant_method": "aqlm"}, "'aqlm'"),
    "mlx": (
        {f"x.{part}": Stored.of(np.zeros((4, 8), np.uint32)) for part in ("weight", "scales", "biases")},
        {"group_size": 64, "bits": 4},
        "MLX",
    ),
    "eetq": ({"x.weight": Stored.of(np.zeros((4, 8), np.int8)), "x.weight_scales": WORDS}, None, "EETQ"),
    "compressed-tensors-packed": (
        {"x.weight_packed": WORDS, "x.weight_scale": WORDS},
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        "compressed-tensors, packed",
    ),
    "compressed-tensors-int8": (
        {"x.weight": Stored.of(np.zeros((4, 8), np.int8)), "x.weight_scale": WORDS},
        {"quant_method": "compressed-tensors", "format": "int-quantized"},
        "'int-quantized'",
    ),
    "nvfp4": (
        {"x.weight": Stored.of(np.zeros((4, 8), np.uint8)), "x.weight_scale_2": WORDS},
        {"quant_method": "modelopt", "quant_algo": "NVFP4"},
        "NVFP4",
    ),
    "mxfp4": ({"x.gate_up_proj_blocks": WORDS}, {"quant_method": "mxfp4"}, "'mxfp4'"),
    "torchao": ({"x._weight_qdata": WORDS}, {"quant_method": "torchao"}, "'torchao'"),
    "quanto": ({"x.weight._data": WORDS}, None, "Quanto"),
    "awq-gemv": (
        {f"x.{part}": WORDS for part in ("qweight", "qzeros", "scales")},
        {"quant_method": "awq", "version": "gemv"},
        "'gemv'",
    ),
    "bitsandbytes-new": ({"x.weight.quant_state.bitsandbytes__af4": WORDS, "x.weight": WORDS}, None, "af4"),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_kinds_are_refused_by_their_names(tmp_path: Path, small_llama: Checkpoint, kind: str) -> None:
    extra, config, found = OTHER_KINDS[kind]
    write(
        *(tmp_path, small_llama, lambda name, weight: ({name: Stored.of(weight)}, weight)),
        config=config,
        extra=extra,
    )
    with pytest.raises(UnsupportedQuantization) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.found == found
    check_reason(caught.value)


def test_integers_that_nothing_explains_are_named_as_what_they_are(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    write(
        *(tmp_path, small_llama),
        lambda name, weight: ({name: Stored.of(np.zeros(weight.shape, np.int8))}, weight),
    )
    with pytest.raises(UnsupportedDtype):
        open_checkpoint(tmp_path)


NAME = "model.layers.1.mlp.down_proj.weight"
Change = Callable[[Parts], None]


def put(part: str, tensor: Stored | None) -> Change:
    def change(parts: Parts) -> None:
        parts.pop(part, None)
        if tensor is not None:
            parts[part] = tensor

    return change


def state_with(**changes: Any) -> Change:
    name = f"{NAME}.quant_state.bitsandbytes__nf4"

    def change(parts: Parts) -> None:
        state = json.loads(parts[name].data) | changes
        parts[name] = Stored.of(np.frombuffer(json.dumps(state).encode(), np.uint8))

    return change


F32 = np.float32
FP8_FAULTS: dict[str, tuple[Change, type[ConvertError]]] = {
    "no scale where others have one": (put(f"{NAME}_scale_inv", None), MissingTensor),
    "a scale too many": (put(f"{NAME}_scale", Stored.of(np.ones(1, F32))), InvalidFile),
    "scales of other blocks": (
        put(f"{NAME}_scale_inv", Stored.of(np.ones((2, 7), F32))),
        QuantizationMismatch,
    ),
    "scales of nothing": (put(f"{NAME}_scale_inv", Stored.of(np.ones((0, 3), F32))), QuantizationMismatch),
    "too many axes": (put(f"{NAME}_scale_inv", Stored.of(np.ones((2, 2, 3), F32))), QuantizationMismatch),
    "integer scales": (put(f"{NAME}_scale_inv", Stored.of(np.ones((2, 3), np.int32))), QuantizationMismatch),
}
FOUR_BIT_FAULTS: dict[str, tuple[Change, type[ConvertError]]] = {
    "no numbers": (put(NAME, None), MissingTensor),
    "no map": (put(f"{NAME}.quant_map", None), MissingTensor),
    "no absmax": (put(f"{NAME}.absmax", None), MissingTensor),
    "no nested map": (put(f"{NAME}.nested_quant_map", None), MissingTensor),
    "no nested absmax": (put(f"{NAME}.nested_absmax", None), QuantizationMismatch),
    "a short map": (put(f"{NAME}.quant_map", Stored.of(np.ones(15, F32))), QuantizationMismatch),
    "short numbers": (put(NAME, Stored.of(np.ones((100, 1), np.uint8))), QuantizationMismatch),
    "another shape": (state_with(shape=[64, 192]), QuantizationMismatch),
    "a shape of strings": (state_with(shape=["192", "320"]), InvalidFile),
    "a huge shape": (state_with(shape=[1 << 60, 1 << 60]), InvalidFile),
    "other blocks": (state_with(blocksize=128), QuantizationMismatch),
    "blocks of zero": (state_with(blocksize=0), InvalidFile),
    "odd blocks": (state_with(blocksize=65), InvalidFile),
    "no offset": (state_with(nested_offset=None), InvalidFile),
    "an endless offset": (state_with(nested_offset=float("inf")), InvalidFile),
    "another dtype": (state_with(dtype="float64"), UnsupportedQuantization),
    "another nested dtype": (state_with(nested_dtype="float16"), UnsupportedQuantization),
}


@pytest.mark.parametrize("fault", FP8_FAULTS)
def test_fp8_parts_that_do_not_fit_are_refused(tmp_path: Path, small_llama: Checkpoint, fault: str) -> None:
    change, error = FP8_FAULTS[fault]
    check_refused(tmp_path, small_llama, fp8_as(block=(128, 128)), change, error)


@pytest.mark.parametrize("fault", FOUR_BIT_FAULTS)
def test_bitsandbytes_parts_that_do_not_fit_are_refused(
    tmp_path: Path, small_llama: Checkpoint, fault: str
) -> None:
    change, error = FOUR_BIT_FAULTS[fault]
    check_refused(tmp_path, small_llama, four_bit_as(nested=True), change, error)


@pytest.mark.parametrize(
    ("part", "tensor", "error"),
    [
        ("SCB", Stored.of(np.ones(7, F32)), QuantizationMismatch),
        ("weight", Stored.of(np.ones((192, 320), np.uint8)), QuantizationMismatch),
        ("weight", None, MissingTensor),
        ("weight_format", Stored("U8", (), b"\2"), UnsupportedQuantization),
    ],
)
def test_int8_parts_that_do_not_fit_are_refused(
    tmp_path: Path, small_llama: Checkpoint, part: str, tensor: Stored | None, error: type[ConvertError]
) -> None:
    layer = NAME.removesuffix(".weight")
    check_refused(tmp_path, small_llama, int8, put(f"{layer}.{part}", tensor), error)


@pytest.mark.parametrize("part", ["qweight", "qzeros", "scales"])
def test_awq_parts_that_do_not_fit_are_refused(tmp_path: Path, small_llama: Checkpoint, part: str) -> None:
    name = f"{NAME.removesuffix('.weight')}.{part}"
    for number, (tensor, error) in enumerate(
        ((None, MissingTensor), (Stored.of(np.ones((3, 5), np.int32)), QuantizationMismatch))
    ):
        if part == "qweight" and tensor is None:
            continue  # then it is a plain layer whose weight is missing
        folder = tmp_path / str(number)
        check_refused(folder, small_llama, lambda n, w: awq(n, w, group=64), put(name, tensor), error)


def check_refused(
    folder: Path, checkpoint: Checkpoint, quantize: Quantize, change: Change, error: type[ConvertError]
) -> None:
    def changed(name: str, weight: Matrix) -> tuple[Parts, Matrix]:
        parts, meant = quantize(name, weight)
        if name == NAME:
            change(parts)
        return parts, meant

    write(folder, checkpoint, changed)
    with pytest.raises(error) as caught:
        open_checkpoint(folder)
    check_reason(caught.value)


def check_reason(error: ConvertError) -> None:
    """The file is named, and nobody is sent to get once more what came as it was written."""
    for language in LANGUAGES:
        sentence = Catalog("convert.i18n").error_text(error, language)
        assert "model.safetensors" in sentence or "config.json" in sentence
        assert "damaged" not in sentence
        assert "损坏" not in sentence
        if not isinstance(error, MissingTensor):
            assert "ownload it again" not in sentence
            assert "重新下载" not in sentence


@pytest.mark.parametrize("size", ["128", [128], [128, 0], [128, 1 << 70], [128, True], [128, 128.0]])
def test_impossible_block_sizes_are_refused(tmp_path: Path, small_llama: Checkpoint, size: Any) -> None:
    write(tmp_path, small_llama, fp8_as(block=(128, 128)), config=BLOCKS | {"weight_block_size": size})
    with pytest.raises(InvalidConfig):
        open_checkpoint(tmp_path)
