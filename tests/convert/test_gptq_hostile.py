"""GPTQ files and adapters that lie: refused quickly, in little memory, and nothing is written."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import torch_zip as tz
from builders.checkpoints import Checkpoint, write_llama
from builders.gptq import Arrays, GptqFile, write_arrays, write_gptq
from builders.lora import PREFIX, write_adapter
from builders.meta_files import write_meta
from convert.detect import open_checkpoint
from convert.errors import ConvertError, InvalidFile, UnsupportedDtype
from convert.pipeline import convert
from convert.quantize import read_mapped_blocks, read_mapped_rows
from convert.sources.lora import LoraChoice

MAX_SECONDS = 1.0
MAX_BYTES = 200 << 20
STEM = "model.layers.0.mlp.up_proj"
FILE = "m-4bit.pt"


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), n_layer=1, rotary_buffers=False)


@pytest.fixture
def written(tmp_path: Path, small_llama: Checkpoint) -> GptqFile:
    folder = tmp_path / "q"
    folder.mkdir()
    for name in ("config.json", "tokenizer.model"):
        shutil.copy(small_llama.folder / name, folder)
    return write_gptq(folder / FILE, small_llama, group=32, order="trivial")


@contextmanager
def bounded() -> Iterator[None]:
    """Fails when the block takes too much memory or processor time."""
    tracemalloc.start()
    started_s = time.process_time()
    try:
        yield
        assert time.process_time() - started_s < MAX_SECONDS
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()


def read_everything(folder: Path, lora: Path | None = None) -> None:
    """All that a conversion would read."""
    with open_checkpoint(folder, loras=[LoraChoice(lora)] if lora else []) as opened:
        for tensor in opened.mapped:
            read_mapped_rows(tensor, 0, tensor.shape[0])
            if tensor.packed is not None:
                read_mapped_blocks(tensor, tensor.packed, 0, tensor.shape[0])


def check_refused(folder: Path, expected: type[ConvertError] = ConvertError) -> None:
    before = sorted(folder.rglob("*"))
    with bounded(), pytest.raises(expected):
        read_everything(folder)
    assert sorted(folder.rglob("*")) == before


def set_part(part: str, value: Callable[[Any], Any]) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[f"{STEM}.{part}"] = value(arrays[f"{STEM}.{part}"])

    return change


def g_idx_with(place: int, group: int) -> Callable[[Any], Any]:
    def change(g_idx: Any) -> Any:
        changed = g_idx.copy()
        changed[place] = group
        return changed

    return change


CHANGES: dict[str, Callable[[Arrays], None]] = {
    "g_idx-past-the-groups": set_part("g_idx", g_idx_with(5, 2)),
    "g_idx-negative": set_part("g_idx", g_idx_with(0, -1)),
    "g_idx-huge": set_part("g_idx", g_idx_with(63, 2**31 - 1)),
    "g_idx-short": set_part("g_idx", lambda g_idx: g_idx[:-1]),
    "g_idx-long": set_part("g_idx", lambda g_idx: np.tile(g_idx, 100)),
    "g_idx-of-floats": set_part("g_idx", lambda g_idx: g_idx.astype(np.float32)),
    "g_idx-matrix": set_part("g_idx", lambda g_idx: g_idx[None]),
    "qweight-vector": set_part("qweight", lambda words: words[0]),
    "qweight-empty": set_part("qweight", lambda words: words[:0]),
    "qweight-no-columns": set_part("qweight", lambda words: words[:, :0]),
    "qweight-half": set_part("qweight", lambda words: words[:4]),
    "qweight-odd": set_part("qweight", lambda words: words[:7]),
    "qweight-one-column": set_part("qweight", lambda words: words[:, :1]),
    "qweight-long": set_part("qweight", lambda words: np.tile(words, (100, 1))),
    "qweight-of-floats": set_part("qweight", lambda words: words.astype(np.float32)),
    "qweight-of-bytes": set_part("qweight", lambda words: words.astype(np.uint8)),
    "qzeros-empty": set_part("qzeros", lambda words: words[:, :0]),
    "qzeros-of-6-bits": set_part("qzeros", lambda words: np.tile(words, (1, 2))[:, :18]),
    "qzeros-of-24-bits": set_part("qzeros", lambda words: np.tile(words, (1, 6))),
    "qzeros-of-8-bits": set_part("qzeros", lambda words: np.tile(words, (1, 2))),
    "qzeros-one-group": set_part("qzeros", lambda words: words[:1]),
    "qzeros-many-groups": set_part("qzeros", lambda words: np.tile(words, (1000, 1))),
    "scales-many-groups": set_part("scales", lambda scales: np.tile(scales, (1000, 1))),
    "scales-transposed": set_part("scales", lambda scales: scales.T),
    "scales-of-integers": set_part("scales", lambda scales: scales.astype(np.int32)),
    "as-it-was-too": lambda arrays: arrays.update({f"{STEM}.weight": np.zeros((96, 64), np.float32)}),
    "a-stranger": lambda arrays: arrays.update({"model.x.scales": np.zeros((1, 1), np.float32)}),
    "a-layer-of-no-name": lambda arrays: arrays.update({".qweight": np.zeros((4, 32), np.int32)}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_parts_that_lie_are_refused(written: GptqFile, change: Callable[[Arrays], None], suffix: str) -> None:
    arrays = dict(written.arrays)
    change(arrays)
    written.path.unlink()
    write_arrays(written.path.with_suffix(suffix), arrays)
    check_refused(written.path.parent)


def test_as_many_groups_as_inputs_and_more(written: GptqFile) -> None:
    for n_groups in (65, 100_000):
        arrays = dict(written.arrays)
        arrays[f"{STEM}.scales"] = np.ones((n_groups, 96), np.float16)
        arrays[f"{STEM}.qzeros"] = np.zeros((n_groups, 12), np.int32)
        del arrays[f"{STEM}.g_idx"]
        write_arrays(written.path, arrays)
        check_refused(written.path.parent)


@pytest.mark.parametrize("scale", [np.inf, np.nan, 1e6])
def test_scales_that_no_model_has_are_refused_and_nothing_is_left(
    tmp_path: Path, written: GptqFile, scale: float
) -> None:
    arrays = dict(written.arrays)
    arrays[f"{STEM}.scales"] = np.full(arrays[f"{STEM}.scales"].shape, scale, np.float32)
    write_arrays(written.path, arrays)
    output = tmp_path / "m.gguf"
    with open_checkpoint(written.path.parent) as opened, pytest.raises(InvalidFile, match="scale"):
        list(convert(opened.plan("auto", opened.prompt("none")), output))
    assert list(tmp_path.iterdir()) == [written.path.parent]


def test_a_layer_that_repeats_one_word_is_refused(written: GptqFile) -> None:
    """A stride of zero would make a matrix of any size out of four bytes."""
    words = tz.tensor(tz.storage("i32", "0", 1), 0, (1 << 17, 1 << 17), (0, 0))
    value = tz.dictionary({f"{STEM}.qweight": words}, tz.ordered_dict())
    written.path.write_bytes(tz.checkpoint(value, {"0": bytes(4)}))
    check_refused(written.path.parent, InvalidFile)


def test_one_group_index_under_very_many_names_is_refused(written: GptqFile) -> None:
    stored = tz.storage("i32", "0", 1 << 20)
    index = tz.tensor(stored, 0, (1 << 20,), (1,))
    items = {f"l{number}.g_idx": index for number in range(3000)}
    items["l0.qweight"] = tz.tensor(stored, 0, (4, 32), (32, 1))
    value = tz.dictionary(items, tz.ordered_dict())
    written.path.write_bytes(tz.checkpoint(value, {"0": bytes(4 << 20)}))
    check_refused(written.path.parent, InvalidFile)


def test_a_file_cut_anywhere_is_refused(written: GptqFile) -> None:
    data = written.path.read_bytes()
    for place in sorted({0, 1, 4, 30, 100, len(data) // 2, len(data) - 23, len(data) - 22, len(data) - 1}):
        written.path.write_bytes(data[:place])
        check_refused(written.path.parent)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.sampled_from(["qweight", "qzeros", "scales", "g_idx"]),
    shape=st.lists(st.integers(0, 130), min_size=1, max_size=3),
    dtype=st.sampled_from(["<i4", "<f4", "<f2", "u1"]),
)
def test_any_shape_gives_an_error_of_ours_or_a_model(
    written: GptqFile, part: str, shape: list[int], dtype: str
) -> None:
    arrays = dict(written.arrays)
    arrays[f"{STEM}.{part}"] = np.zeros(shape, dtype)
    write_arrays(written.path, arrays)
    with suppress(ConvertError):
        read_everything(written.path.parent)


# Adapters and Meta's files.


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    side=st.sampled_from("AB"),
    shape=st.lists(st.integers(0, 70), min_size=1, max_size=3),
    rank=st.sampled_from([-1, 0, 1, 4, 64, 2048, 2**31, 2**63]),
)
def test_any_adapter_gives_an_error_of_ours_or_a_model(
    tmp_path: Path, small_llama: Checkpoint, side: str, shape: list[int], rank: int
) -> None:
    extra = {f"{PREFIX}model.layers.0.self_attn.q_proj.lora_{side}.weight": np.zeros(shape, np.float32)}
    lora = write_adapter(tmp_path / "lora", small_llama.weights, ["q_proj"], extra=extra, alpha=4)
    (lora.folder / "adapter_config.json").write_text(f'{{"r": {rank}, "lora_alpha": 4}}')
    with suppress(ConvertError):
        read_everything(small_llama.folder, lora.folder)


def test_an_adapter_pickle_that_would_run_code_is_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    lora = write_adapter(tmp_path / "lora", small_llama.weights, ["q_proj"])
    (lora.folder / "adapter_model.safetensors").unlink()
    touched = tmp_path / "touched"
    value = tz.call(tz.name("os", "system"), tz.text(f"touch {touched}"))
    (lora.folder / "adapter_model.bin").write_bytes(tz.checkpoint(tz.dictionary({"x": value})))
    with bounded(), pytest.raises(ConvertError):
        read_everything(small_llama.folder, lora.folder)
    assert not touched.exists()


def test_metas_files_cut_or_of_integers_are_refused(tmp_path: Path, small_llama: Checkpoint) -> None:
    write_meta(tmp_path, small_llama, n_parts=2)
    shutil.copy(small_llama.folder / "tokenizer.model", tmp_path)
    path = tmp_path / "consolidated.01.pth"
    data = path.read_bytes()
    for place in (0, 2, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:place])
        check_refused(tmp_path)
    path.write_bytes(data)
    write_arrays(tmp_path / "consolidated.00.pth", {"tok_embeddings.weight": np.zeros((520, 32), np.int32)})
    check_refused(tmp_path)


def test_weights_of_integers_that_are_no_gptq_are_named(tmp_path: Path, small_llama: Checkpoint) -> None:
    """load_in_8bit saves such."""
    arrays = {**small_llama.weights, f"{STEM}.weight": np.zeros((96, 64), np.int8)}
    for name in ("config.json", "tokenizer.model"):
        shutil.copy(small_llama.folder / name, tmp_path)
    write_arrays(tmp_path / "model.safetensors", arrays)
    check_refused(tmp_path, UnsupportedDtype)
