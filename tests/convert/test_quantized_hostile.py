"""FP8, bitsandbytes and AWQ files that lie: an error of ours or a model, quickly and in little memory."""

from __future__ import annotations

import json
import shutil
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.checkpoints import Checkpoint, write_llama
from builders.packed_weights import Matrix, Parts, Stored, awq, four_bit, fp8, int8, write_stored
from convert.detect import open_checkpoint
from convert.errors import ConvertError, QuantizationMismatch
from convert.quantize import read_mapped_rows

MAX_SECONDS = 2.0
MAX_BYTES = 64 << 20
NAME = "model.layers.0.mlp.up_proj.weight"
ITEM_BYTES = {"F32": 4, "F16": 2, "U8": 1, "I8": 1, "I32": 4, "F8_E4M3": 1, "F8_E8M0": 1, "U64": 8}


@pytest.fixture(scope="module")
def small_llama(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_llama(tmp_path_factory.mktemp("llama"), hidden=64, n_layer=1, rotary_buffers=False)


def quantized(kind: str, name: str, weight: Matrix) -> Parts:
    match kind:
        case "fp8":
            return fp8(name, weight, block=(32, 32))[0]
        case "four bits":
            return four_bit(name, weight, nested=True)[0]
        case "int8":
            return int8(name, weight)[0]
        case _:
            return awq(name, weight, group=32)[0]


def write(folder: Path, checkpoint: Checkpoint, kind: str, changes: Parts) -> Path:
    folder.mkdir(exist_ok=True)
    parts = {name: Stored.of(weight) for name, weight in checkpoint.weights.items() if name != NAME}
    parts |= quantized(kind, NAME, checkpoint.weights[NAME]) | changes
    write_stored(folder / "model.safetensors", parts)
    (folder / "config.json").write_text(json.dumps(checkpoint.config))
    shutil.copy(checkpoint.folder / "tokenizer.model", folder)
    return folder / "model.safetensors"


def read_everything(folder: Path) -> None:
    with open_checkpoint(folder) as opened:
        for tensor in opened.mapped:
            read_mapped_rows(tensor, 0, tensor.shape[0])


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


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 8, 16, 32, 48, 64, 96]), max_size=3)
dtypes = st.sampled_from(sorted(ITEM_BYTES))
parts = st.sampled_from(
    ["weight_scale_inv", "weight_scale", "scale", "weight.absmax", "weight.quant_map", "weight.nested_absmax"]
    + ["weight.nested_quant_map", "weight", "SCB", "weight_format", "qweight", "qzeros", "scales"]
    + ["weight.quant_state.bitsandbytes__nf4"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["fp8", "four bits", "int8", "awq"]),
    changes=st.lists(st.tuples(parts, shapes, dtypes), min_size=1, max_size=3),
)
def test_any_part_gives_an_error_of_ours_or_a_model(
    tmp_path: Path, small_llama: Checkpoint, kind: str, changes: list[tuple[str, list[int], str]]
) -> None:
    layer = NAME.removesuffix("weight")
    changed: Parts = {}
    for part, shape, dtype in changes:
        n_bytes = int(np.prod(shape)) * ITEM_BYTES[dtype]
        data = (bytes(range(256)) * (n_bytes // 256 + 1))[:n_bytes]
        changed[layer + part] = Stored(dtype, tuple(shape), data)
    write(tmp_path / "q", small_llama, kind, changed)
    with suppress(ConvertError):
        read_everything(tmp_path / "q")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=st.dictionaries(
        st.sampled_from(["shape", "blocksize", "dtype", "nested_blocksize", "nested_dtype", "nested_offset"]),
        st.one_of(
            *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
            st.lists(st.integers(-1, 1 << 70), max_size=3),
        ),
    )
)
def test_any_state_gives_an_error_of_ours_or_a_model(
    tmp_path: Path, small_llama: Checkpoint, state: dict[str, Any]
) -> None:
    name = f"{NAME}.quant_state.bitsandbytes__nf4"
    usual = quantized("four bits", NAME, small_llama.weights[NAME])[name]
    text = json.dumps(json.loads(usual.data) | state).encode()
    write(tmp_path / "q", small_llama, "four bits", {name: Stored.of(np.frombuffer(text, np.uint8))})
    with suppress(ConvertError):
        read_everything(tmp_path / "q")


@pytest.mark.parametrize("kind", ["fp8", "four bits", "int8", "awq"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, small_llama: Checkpoint, kind: str) -> None:
    path = write(tmp_path / "q", small_llama, kind, {})
    data = path.read_bytes()
    for size in np.random.default_rng(0).integers(0, len(data), 12):
        path.write_bytes(data[:size])
        with bounded(), pytest.raises(ConvertError):
            read_everything(tmp_path / "q")


def test_a_large_state_is_not_read(tmp_path: Path, small_llama: Checkpoint) -> None:
    name = f"{NAME}.quant_state.bitsandbytes__nf4"
    large = Stored("U8", (128 << 20,), b" " * (128 << 20))
    write(tmp_path / "q", small_llama, "four bits", {name: large})
    with bounded(), pytest.raises(QuantizationMismatch):
        read_everything(tmp_path / "q")
