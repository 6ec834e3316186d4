"""FP8, bitsandbytes and AWQ checkpoints, from the folder to what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders.checkpoints import Checkpoint, write_llama
from builders.packed_weights import (
    Matrix,
    Quantize,
    Stored,
    a_scale_a_matrix,
    a_scale_a_row,
    awq,
    four_bit,
    four_bit_as,
    fp8_as,
    int8,
    write_packed,
)
from builders.torch_zip import write_torch_zip
from convert.checkpoint import Checkpoint as Opened
from convert.detect import open_checkpoint
from convert.errors import (
    MissingTensor,
    QuantizationMismatch,
)
from convert.pipeline import Converted, convert
from convert.quantize import read_mapped_rows
from convert.recipes import AUTO
from convert.sources.tensors import Tensor, stored_reads
from reference import llama
from reference.llama_cpp_oracle import LoadedModel

IDS = [1, 17, 300, 5, 5, 99, 120, 44, 260, 1, 7, 8, 9, 333, 12, 250, 11, 10, 42, 0]


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Rows of 192 and 320 are not whole blocks of 128."""
    return write_llama(
        tmp_path_factory.mktemp("llama"), hidden=192, n_ff=320, n_layer=2, rotary_buffers=False
    )


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
    meant = write_packed(tmp_path / "q", small_llama, quantize, config=config)
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
    meant = write_packed(tmp_path / "q", small_llama, four_bit_as(nested=True))
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
    meant = write_packed(
        tmp_path, small_llama, lambda name, weight: awq(name, weight, group=64), config=config
    )
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
    write_packed(tmp_path, small_llama, fp8_as(block=None), config=BLOCKS)
    with pytest.raises(MissingTensor) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.tensor.endswith(".weight_scale_inv")


def test_blocks_are_those_that_the_configuration_has(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_packed(tmp_path, small_llama, fp8_as(block=(64, 64)), config=BLOCKS)
    with pytest.raises(QuantizationMismatch) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.expected.startswith("(2, 2)")


def test_bitsandbytes_weights_may_be_pickled_and_be_stored_as_numbers_of_any_type(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    """`bnb_4bit_quant_storage` is bfloat16 or float32 where FSDP trained; torch.save keeps the same names."""
    meant = write_packed(tmp_path, small_llama, four_bit_as(nested=False))
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
    write_packed(tmp_path, small_llama, a_scale_a_matrix, extra=extra)
    with open_checkpoint(tmp_path) as opened:
        assert opened.notes == ()
        assert not [tensor for tensor in opened.mapped if "scale" in tensor.name]


def test_fp8_without_scales_is_said(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_packed(tmp_path, small_llama, fp8_as(block=None))
    with open_checkpoint(tmp_path) as opened:
        assert [note.key for note in opened.notes] == ["fp8_without_scales"]


@pytest.mark.parametrize("method", ["hqq", "bitsandbytes", "torchao"])
def test_a_configuration_that_outlived_its_weights_is_no_reason(
    tmp_path: Path, small_llama: Checkpoint, method: str
) -> None:
    """Merged adapters are saved in full with the base's quantization_config."""
    write_packed(
        *(tmp_path, small_llama, lambda name, weight: ({name: Stored.of(weight)}, weight)),
        config={"quant_method": method},
    )
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "safetensors"
