"""GPTQ checkpoints whose parts and settings disagree: read the one way that makes sense, or refused.

Public checkpoints do: GPTQModel 5 wrote "checkpoint_format": "gptq" with zero points that were not less one,
and several tools left `g_idx` as the zeros that it was made with.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.checkpoints import Checkpoint, write_llama
from builders.gptq import GptqFile, Order, write_arrays, write_gptq, write_settings
from convert.checkpoint import Checkpoint as Opened
from convert.cli import main
from convert.detect import open_checkpoint
from convert.errors import InvalidConfig, MissingTensor, QuantizationMismatch
from convert.sources.gptq_tensors import PackedGptqTensor

FILE = "model.safetensors"
N_LAYERS = 14


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), hidden=128, n_ff=352, rotary_buffers=False)


def write(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    bits: int = 4,
    order: Order = "trivial",
    is_symmetric: bool = False,
    stores_zero_itself: bool = False,
) -> GptqFile:
    """A checkpoint in groups of 32, of which the settings say nothing yet."""
    written = write_gptq(folder / FILE, checkpoint, bits=bits, group=32, order=order)
    for stem, layer in written.layers.items():
        if is_symmetric:
            layer.zeros[:] = 1 << (bits - 1)
        elif stores_zero_itself:
            layer.zeros[:] = np.minimum(layer.zeros, (1 << bits) - 1)
        written.arrays.update(layer.arrays(stem, stores_zero_itself=stores_zero_itself))
    write_arrays(folder / FILE, written.arrays)
    for name in ("config.json", "tokenizer.model"):
        shutil.copy(checkpoint.folder / name, folder)
    return written


def check_weights(opened: Opened, written: GptqFile) -> None:
    found = {
        tensor.source.name.removesuffix(".weight"): tensor.source
        for tensor in opened.mapped
        if tensor.quantization
    }
    assert found.keys() == written.layers.keys()
    for stem, layer in written.layers.items():
        rows = found[stem].read_rows(0, found[stem].shape[0])
        np.testing.assert_array_equal(rows, layer.weight(), err_msg=stem)


def notes(opened: Opened) -> list[tuple[str, dict[str, Any]]]:
    return [(note.key, dict(note.values)) for note in opened.notes]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("is_itself", [False, True])
@pytest.mark.parametrize("said", ["gptq", "gptq_v2", None])
def test_symmetric_zero_points_say_how_they_are_stored(
    tmp_path: Path, small_llama: Checkpoint, bits: int, is_itself: bool, said: str | None
) -> None:
    written = write(tmp_path, small_llama, bits=bits, is_symmetric=True, stores_zero_itself=is_itself)
    settings = {} if said is None else {"checkpoint_format": said}
    write_settings(tmp_path, bits=bits, group_size=32, sym=True, **settings)
    with open_checkpoint(tmp_path) as opened:
        check_weights(opened, written)
        if is_itself == (said == "gptq_v2"):
            assert notes(opened) == []
        else:
            kind = "nothing" if is_itself else "one"
            assert notes(opened) == [(f"gptq_zero_less_{kind}", {"n_layers": N_LAYERS})]


def test_symmetric_zero_points_need_no_settings(tmp_path: Path, small_llama: Checkpoint) -> None:
    for is_itself in (False, True):
        written = write(tmp_path, small_llama, is_symmetric=True, stores_zero_itself=is_itself)
        with open_checkpoint(tmp_path) as opened:
            check_weights(opened, written)


@pytest.mark.parametrize("is_itself", [False, True])
def test_zero_points_that_differ_are_read_as_the_format_says(
    tmp_path: Path, small_llama: Checkpoint, is_itself: bool
) -> None:
    written = write(tmp_path, small_llama, stores_zero_itself=is_itself)
    for layer in written.layers.values():
        layer.zeros[:] &= 15  # as later tools' kernels do
    form = "gptq_v2" if is_itself else "gptq"
    for sym, expected in ((True, [("gptq_not_symmetric", {"n_layers": N_LAYERS})]), (False, [])):
        write_settings(tmp_path, group_size=32, sym=sym, checkpoint_format=form)
        with open_checkpoint(tmp_path) as opened:
            check_weights(opened, written)
            assert notes(opened) == expected


def test_zero_points_in_the_middle_mean_nothing_where_they_need_not_be_there(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    written = write(tmp_path, small_llama, is_symmetric=True, stores_zero_itself=True)
    write_settings(tmp_path, group_size=32, sym=False, checkpoint_format="gptq")
    for layer in written.layers.values():
        layer.zeros[:] += 1
    with open_checkpoint(tmp_path) as opened:
        check_weights(opened, written)
        assert notes(opened) == []


# The order of the groups.


def clear_index(folder: Path, written: GptqFile) -> None:
    for stem in written.layers:
        written.arrays[f"{stem}.g_idx"][:] = 0
    write_arrays(folder / FILE, written.arrays)


@pytest.mark.parametrize("settings", [None, {}, {"desc_act": None}])
def test_an_index_of_zeros_is_no_order(
    tmp_path: Path, small_llama: Checkpoint, settings: dict[str, Any] | None
) -> None:
    written = write(tmp_path, small_llama)
    clear_index(tmp_path, written)
    if settings is not None:
        for layer in written.layers.values():
            layer.zeros[:] &= 15
        write_settings(tmp_path, group_size=32, **settings)
    with open_checkpoint(tmp_path) as opened:
        check_weights(opened, written)
        assert opened.form == "GPTQ 4-bit, group 32"
        assert notes(opened) == [("gptq_order_empty", {"n_layers": N_LAYERS})]
        assert all(isinstance(tensor.source, PackedGptqTensor) for tensor in opened.mapped if tensor.packed)


def test_an_index_of_zeros_where_there_should_be_an_order_is_refused(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    clear_index(tmp_path, write(tmp_path, small_llama))
    write_settings(tmp_path, group_size=32, desc_act=True)
    with pytest.raises(QuantizationMismatch) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.setting == "groups"


@pytest.mark.parametrize("said", [True, False, None])
def test_an_order_is_followed_whatever_the_settings_say(
    tmp_path: Path, small_llama: Checkpoint, said: bool | None
) -> None:
    written = write(tmp_path, small_llama, order="shuffled")
    for layer in written.layers.values():
        layer.zeros[:] &= 15
    write_settings(tmp_path, group_size=32, desc_act=said)
    with open_checkpoint(tmp_path) as opened:
        check_weights(opened, written)
        expected = [("gptq_order_unsaid", {"n_layers": N_LAYERS})] if said is False else []
        assert notes(opened) == expected


def test_groups_of_uneven_numbers_of_inputs_are_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    """Kernels that sort the inputs by group would take others than those that look each up."""
    written = write(tmp_path, small_llama, order="shuffled")
    index = written.arrays["model.layers.1.mlp.up_proj.g_idx"]
    index[int(np.flatnonzero(index == 1)[0])] = 2
    write_arrays(tmp_path / FILE, written.arrays)
    with pytest.raises(QuantizationMismatch) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.tensor == "model.layers.1.mlp.up_proj.g_idx"


def test_an_order_that_is_not_there_is_missing(tmp_path: Path, small_llama: Checkpoint) -> None:
    write(tmp_path, small_llama, order="none")
    write_settings(tmp_path, group_size=32, desc_act=True)
    with pytest.raises(MissingTensor) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.tensor.endswith(".g_idx")


# Two places for the settings.


def test_what_only_one_of_two_settings_says_is_no_contradiction(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    written = write(tmp_path, small_llama, stores_zero_itself=True)
    write_settings(tmp_path, group_size=32)
    embedded = {"bits": 4, "quant_method": "gptq", "checkpoint_format": "gptq_v2"}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(small_llama.config | {"quantization_config": embedded}))
    with open_checkpoint(tmp_path) as opened:
        check_weights(opened, written)
    config.write_text(json.dumps(small_llama.config | {"quantization_config": embedded | {"sym": True}}))
    with pytest.raises(InvalidConfig):
        open_checkpoint(tmp_path)


def test_layers_that_were_left_out_of_the_quantization_are_fine(
    tmp_path: Path, small_llama: Checkpoint
) -> None:
    write(tmp_path, small_llama, is_symmetric=True)
    write_settings(tmp_path, group_size=32, sym=True, dynamic={"-:lm_head": {}, "-:.*norm.*": {}})
    with open_checkpoint(tmp_path) as opened:
        assert opened.form == "GPTQ 4-bit, group 32"


def test_inspect_says_how_a_contradiction_was_read(
    tmp_path: Path, small_llama: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, small_llama, is_symmetric=True, stores_zero_itself=True)
    write_settings(tmp_path, group_size=32, sym=True)
    assert main(["inspect", str(tmp_path), "--lang", "zh-CN"]) == 0
    assert "零点" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [note["key"] for note in report["notes"]] == ["gptq_zero_less_nothing"]
