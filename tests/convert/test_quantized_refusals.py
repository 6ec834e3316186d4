"""Kinds of quantization that can't be read, refused by their names, and parts of a kind that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_llama
from builders.packed_weights import (
    Matrix,
    Parts,
    Quantize,
    Stored,
    awq,
    four_bit_as,
    fp8_as,
    int8,
    write_packed,
)
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


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Rows of 192 and 320 are not whole blocks of 128."""
    return write_llama(
        tmp_path_factory.mktemp("llama"), hidden=192, n_ff=320, n_layer=2, rotary_buffers=False
    )


BLOCKS = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}

# Other kinds.

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
    write_packed(
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
    write_packed(
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

    write_packed(folder, checkpoint, changed)
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
    write_packed(tmp_path, small_llama, fp8_as(block=(128, 128)), config=BLOCKS | {"weight_block_size": size})
    with pytest.raises(InvalidConfig):
        open_checkpoint(tmp_path)
