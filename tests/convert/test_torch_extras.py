"""What training programs save around and beside a model: read past it, and run nothing of it."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import torch_zip as tz
from convert.errors import ForbiddenPickle, NoTensors, UnsupportedDtype
from convert.sources.byte_source import FileSource
from convert.sources.tensors import StoredTensor
from convert.sources.torch_file import read_torch

VALUES = np.arange(24, dtype=np.float32)
TENSOR = tz.tensor(tz.storage("f32", "0", 24), 0, (4, 6), (6, 1))
STATE = tz.dictionary({"w": TENSOR}, tz.ordered_dict())
WRAPPERS = ["state_dict", "model_state_dict", "model", "module"]

EXTRAS: dict[str, Any] = {
    "numpy float": np.float64(3.5),
    "numpy int": np.int64(7),
    "numpy bool": np.bool_(True),
    "numpy array": np.arange(5),
    "numpy random state": np.random.get_state(),
    "random state": random.getstate(),
    "arguments": argparse.Namespace(lr=1e-4, path=pathlib.PurePosixPath("/x"), n=np.int32(3)),
    "ordered": collections.OrderedDict(a=1, b=[2, {"c": (3, None)}]),
    "default": collections.defaultdict(list, {1: [2]}),
    "counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2]),
    "set": {1, 2},
    "frozen set": frozenset([1]),
    "complex": 1 + 2j,
    "slice": slice(1, 2),
    "bytes": b"\xff",
    "byte array": bytearray(b"x"),
    "large": 10**30,
    "path": pathlib.Path("/模型"),
    "time": datetime.datetime(2023, 4, 1, tzinfo=datetime.UTC),
    "duration": datetime.timedelta(3),
    "object": object(),
}


def read(path: Path) -> dict[str, StoredTensor]:
    return read_torch(FileSource(path))


def write(path: Path, value: bytes) -> Path:
    path.write_bytes(tz.checkpoint(value, {"0": VALUES.tobytes()}))
    return path


def check(found: dict[str, StoredTensor]) -> None:
    assert list(found) == ["w"]
    np.testing.assert_array_equal(found["w"].read_rows(0, 4), VALUES.reshape(4, 6))


def spliced(value: Any, protocol: int = 2) -> bytes:
    """The program that makes `value`, as a part of another pickle."""
    data = pickle.dumps(value, protocol)
    start = 2 + (9 if protocol >= 4 and data[2:3] == b"\x95" else 0)  # its protocol and its frame
    return data[start:-1]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("extra", EXTRAS)
def test_harmless_values_beside_the_model_are_passed_over(tmp_path: Path, extra: str, protocol: int) -> None:
    value = tz.dictionary({extra: spliced(EXTRAS[extra], protocol), "model": STATE})
    check(read(write(tmp_path / "a.pt", value)))


@pytest.mark.parametrize(
    "value",
    [
        tz.name("torch", "bfloat16"),
        tz.call(tz.name("torch", "Size"), tz.numbers((2, 3))),
        tz.call(tz.name("torch", "device"), tz.text("cuda"), tz.number(0)),
        tz.call(tz.name("torch.serialization", "_get_layout"), tz.text("torch.strided")),
        tz.call(tz.name("torch.torch_version", "TorchVersion"), tz.text("2.1.0")),
    ],
    ids=["dtype", "size", "device", "layout", "version"],
)
def test_torchs_own_values_are_passed_over(tmp_path: Path, value: bytes) -> None:
    check(read(write(tmp_path / "a.pt", tz.dictionary({"x": value, "state_dict": STATE}))))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_model_is_taken_out_of_a_training_checkpoint(tmp_path: Path, wrapper: str) -> None:
    optimizer = tz.dictionary({"state": tz.dictionary({"exp_avg": TENSOR}), "param_groups": tz.EMPTY_LIST})
    value = tz.dictionary(
        {"optimizer": optimizer, "rng_state": TENSOR, wrapper: STATE, "epoch": tz.number(3)}
    )
    check(read(write(tmp_path / "a.pt", value)))


def test_wrappers_may_be_in_each_other_or_have_a_name_of_their_own(tmp_path: Path) -> None:
    nested = tz.dictionary(
        {"module": tz.dictionary({"state_dict": STATE}), "ema": tz.dictionary({"v": TENSOR})}
    )
    check(read(write(tmp_path / "a.pt", nested)))
    lone = tz.dictionary({"step": tz.number(1), "policy": STATE, "metrics": tz.EMPTY_DICT})
    check(read(write(tmp_path / "b.pt", lone)))
    two = tz.dictionary({"policy": STATE, "reference": tz.dictionary({"w": TENSOR})})
    with pytest.raises(NoTensors):
        read(write(tmp_path / "c.pt", two))


def test_dictionaries_that_hold_each_other_end_the_search(tmp_path: Path) -> None:
    itself = tz.EMPTY_DICT + b"q\x00" + tz.text("model") + b"h\x00" + tz.SETITEM
    with pytest.raises(NoTensors):
        read(write(tmp_path / "a.pt", itself))


def test_deepspeeds_model_states_are_read(tmp_path: Path) -> None:
    """`mp_rank_00_model_states.pt` of ZeRO 1 and 2: the whole model, under "module"."""
    shapes = tz.dictionary({"w": tz.call(tz.name("torch", "Size"), tz.numbers((4, 6)))}, tz.ordered_dict())
    value = tz.dictionary(
        {
            "module": STATE,
            "buffer_names": tz.EMPTY_LIST,
            "optimizer": tz.NONE,
            "param_shapes": tz.EMPTY_LIST + tz.MARK + shapes + tz.APPENDS,
            "sparse_tensor_module_names": tz.call(tz.name("__builtin__", "set"), tz.EMPTY_LIST),
            "ds_config": tz.dictionary({"zero_optimization": tz.dictionary({"stage": tz.number(2)})}),
            "ds_version": tz.text("0.12.6"),
        }
    )
    check(read(write(tmp_path / "mp_rank_00_model_states.pt", value)))


@pytest.mark.parametrize(
    "function", ["_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_meta_tensor_no_storage"]
)
def test_tensors_without_plain_values_are_named(tmp_path: Path, function: str) -> None:
    value = tz.dictionary({"w": tz.call(tz.name("torch._utils", function), TENSOR), "v": TENSOR})
    with pytest.raises(UnsupportedDtype) as refused:
        read(write(tmp_path / "a.pt", value))
    assert refused.value.tensor == "w"


def test_a_type_that_only_its_tensor_tells_is_read(tmp_path: Path) -> None:
    """torch has no storage classes for the types it got after version 2: their storages are bytes."""
    raw = tz.tuple_of(
        *(tz.text("storage"), tz.name("torch.storage", "UntypedStorage"), tz.text("0")),
        *(tz.text("cpu"), tz.number(96)),
    ) + b"Q"  # fmt: skip
    rebuild = tz.name("torch._utils", "_rebuild_tensor_v3")
    shape = (raw, tz.number(0), tz.numbers((4, 6)), tz.numbers((6, 1)), b"\x89", tz.ordered_dict())

    def written(dtype: str) -> Path:
        tensor = tz.call(rebuild, *shape, tz.name("torch", dtype))
        return write(tmp_path / f"{dtype}.pt", tz.dictionary({"w": tensor}))

    check(read(written("float32")))
    with pytest.raises(UnsupportedDtype) as refused:
        read(written("float4_e2m1fn_x2"))
    assert refused.value.dtype == "float4_e2m1fn_x2"


@pytest.mark.parametrize(
    "value",
    [
        tz.call(tz.name("copyreg", "_reconstructor"), tz.name("os", "system"), tz.NONE, tz.NONE),
        tz.call(tz.name("argparse", "FileType"), tz.text("w")),
        tz.call(tz.name("builtins", "getattr"), tz.NONE),
        tz.name("argparse", "_sys.modules"),
        tz.call(tz.name("torch", "float16")),
        tz.name("torch", "float16") + tz.EMPTY_TUPLE + b"\x81",
        tz.name("torch.nn.modules.linear", "Linear") + tz.EMPTY_TUPLE + b"\x81",
    ],
    ids=["reconstructor", "file", "getattr", "attribute", "dtype-call", "dtype-object", "module"],
)
def test_names_that_are_not_known_to_be_harmless_are_refused(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(ForbiddenPickle):
        read(write(tmp_path / "a.pt", tz.dictionary({"x": value, "model": STATE})))


@pytest.mark.torch
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_torch_saves_of_a_training_is_read(tmp_path: Path, is_zip: bool, protocol: int) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(240, dtype=torch.float32).reshape(12, 20)
    marked = torch.nn.Parameter(base.clone())
    marked.tensor_model_parallel = True  # Megatron's: saved as a subclass would be
    tensors = {
        "plain": base,
        "transposed": base.t(),
        "sliced": base[2:9, 1:18:3],
        "half": base.half(),
        "bf16": base.bfloat16(),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(base.clone()),
        "marked": marked,
        "tied": base,
    }
    own = {"dtype": torch.float16, "size": base.shape, "device": base.device, "rng": torch.get_rng_state()}
    optimizer = torch.optim.AdamW([torch.nn.Parameter(base.clone())])
    for wrapper in WRAPPERS:
        saved = {**EXTRAS, **own, "optimizer": optimizer.state_dict(), wrapper: tensors}
        path = tmp_path / f"{wrapper}.pt"
        torch.save(saved, path, _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
        found = read(path)
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            expected = np.atleast_1d(tensor.detach().float().numpy())
            np.testing.assert_array_equal(found[name].read_rows(0, len(expected)), expected)
