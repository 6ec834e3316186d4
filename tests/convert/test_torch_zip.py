"""PyTorch ZIP checkpoints: what is read, as torch means it."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import torch_zip as tz
from convert.errors import DamagedFile, DamagedTensor, Detail, ForbiddenPickle, UnsupportedDtype
from convert.sources.byte_source import FileSource
from convert.sources.tensors import StoredTensor
from convert.sources.torch_file import read_torch

VALUES = np.arange(24, dtype=np.float32)


def read(path: Path) -> dict[str, StoredTensor]:
    # The source stays open: tensors are read later, and the process ends soon.
    return read_torch(FileSource(path))


def write(path: Path, value: bytes, storages: Mapping[str, bytes] | None = None) -> Path:
    path.write_bytes(tz.checkpoint(value, storages))
    return path


def one_tensor(tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> StoredTensor:
    value = tz.dictionary({"w": tz.tensor(tz.storage("f32", "0", 24), offset, shape, strides)})
    return read(write(tmp_path / "a.bin", value, {"0": VALUES.tobytes()}))["w"]


def whole(tensor: StoredTensor) -> Any:
    return tensor.read_rows(0, tensor.shape[0])


@pytest.mark.parametrize(
    ("dtype", "numpy_dtype"),
    [("f64", "<f8"), ("f32", "<f4"), ("f16", "<f2"), ("bf16", "<u2"), ("i64", "<i8"), ("i32", "<i4")]
    + [("i16", "<i2"), ("i8", "i1"), ("u8", "u1"), ("bool", "?")],
)
def test_every_storage_type_is_read_as_stored(tmp_path: Path, dtype: str, numpy_dtype: str) -> None:
    stored = np.array([[1, 0, 1], [0, 1, 1]], numpy_dtype)
    value = tz.dictionary({"w": tz.tensor(tz.storage(dtype, "0", 6), 0, (2, 3), (3, 1))})
    tensor = read(write(tmp_path / "模型.bin", value, {"0": stored.tobytes()}))["w"]
    assert (tensor.dtype, tensor.shape) == (dtype, (2, 3))
    np.testing.assert_array_equal(tensor.read_stored(0, 2), stored)
    np.testing.assert_array_equal(tensor.read_stored(1, 2), stored[1:])


def test_floats_are_widened_exactly_and_other_types_are_refused(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0], [0.0, 65504.0]], np.float32)
    tz.write_torch_zip(tmp_path / "half.bin", {"w": values.astype("<f2")})
    np.testing.assert_array_equal(whole(read(tmp_path / "half.bin")["w"]), values)
    rounded = np.array([[1.5, -2.0], [0.0, 2.0**100]], np.float32)
    tz.write_torch_zip(tmp_path / "bf16.bin", {"w": rounded}, bf16=True)
    np.testing.assert_array_equal(whole(read(tmp_path / "bf16.bin")["w"]), rounded)
    tz.write_torch_zip(tmp_path / "ints.bin", {"w": np.ones((2, 2), "<i4")})
    with pytest.raises(UnsupportedDtype):
        whole(read(tmp_path / "ints.bin")["w"])


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (0, (4, 6), (6, 1), VALUES.reshape(4, 6)),
        (0, (6, 4), (1, 6), VALUES.reshape(4, 6).T),
        (6, (2, 6), (6, 1), VALUES.reshape(4, 6)[1:3]),
        (1, (4, 2), (6, 3), VALUES.reshape(4, 6)[:, 1:5:3]),
        (0, (3, 2, 4), (4, 12, 1), VALUES.reshape(2, 3, 4).transpose(1, 0, 2)),
        (5, (3,), (0,), np.full(3, 5, np.float32)),
        (5, (1, 3), (999, 1), VALUES[5:8].reshape(1, 3)),
        (7, (), (), VALUES[7:8]),
        (0, (0, 6), (6, 1), np.zeros((0, 6), np.float32)),
        (23, (3, 0), (1, 1), np.zeros((3, 0), np.float32)),
    ],
    ids=["plain", "transposed", "offset", "sliced", "permuted", "expanded", "odd-stride", "scalar", "empty",
         "empty-rows"],
)  # fmt: skip
def test_views_are_read_as_torch_means_them(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], expected: Any
) -> None:
    tensor = one_tensor(tmp_path, offset, shape, strides)
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(whole(tensor), expected)
    for start, stop in itertools.combinations(range(tensor.shape[0] + 1), 2):
        np.testing.assert_array_equal(tensor.read_rows(start, stop), expected[start:stop])


def test_a_few_rows_of_a_large_transposed_matrix_are_read_without_the_rest(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).standard_normal((1024, 1200)).astype(np.float32)
    value = tz.dictionary({"w": tz.tensor(tz.storage("f32", "0", matrix.size), 0, (1200, 1024), (1, 1200))})
    tensor = read(write(tmp_path / "a.bin", value, {"0": matrix.tobytes()}))["w"]
    np.testing.assert_array_equal(tensor.read_rows(100, 108), matrix.T[100:108])
    np.testing.assert_array_equal(whole(tensor), matrix.T)


def test_tied_tensors_share_their_storage(tmp_path: Path) -> None:
    stored = tz.storage("f32", "0", 24)
    views = {"a": tz.tensor(stored, 0, (4, 6), (6, 1)), "b": tz.tensor(stored, 12, (2, 6), (6, 1))}
    tensors = read(write(tmp_path / "a.bin", tz.dictionary(views), {"0": VALUES.tobytes()}))
    np.testing.assert_array_equal(whole(tensors["a"])[2:], whole(tensors["b"]))


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "module"])
def test_a_nested_state_dict_of_parameters_is_found(tmp_path: Path, wrapper: str) -> None:
    inner = tz.tensor(tz.storage("f32", "0", 24), 0, (4, 6), (6, 1))
    metadata = tz.dictionary({"_metadata": tz.ordered_dict()})
    state = tz.dictionary({"w": tz.parameter(inner)}, tz.ordered_dict()) + metadata + tz.BUILD
    value = tz.dictionary({"epoch": tz.number(3), wrapper: state, "lr": b"G" + struct.pack(">d", 1e-4)})
    tensors = read(write(tmp_path / "a.bin", value, {"0": VALUES.tobytes()}))
    assert list(tensors) == ["w"]
    np.testing.assert_array_equal(whole(tensors["w"]), VALUES.reshape(4, 6))


def two_views(crc: int | None = None) -> list[tz.Member]:
    """Tensors "a" and "b" are the halves of storage 0, "c" is storage 1; `crc` replaces that of storage 0."""
    shared = tz.storage("f32", "0", 24)
    value = tz.dictionary(
        {
            "a": tz.tensor(shared, 0, (2, 6), (6, 1)),
            "b": tz.tensor(shared, 12, (2, 6), (6, 1)),
            "c": tz.tensor(tz.storage("f32", "1", 24), 0, (6, 4), (4, 1)),
        }
    )
    pickle, first, *others = tz.checkpoint_members(value, {"0": VALUES.tobytes(), "1": VALUES.tobytes()})
    return [pickle, replace(first, crc=crc), *others]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_damaged_weights_are_noticed_once_their_storage_is_read(tmp_path: Path) -> None:
    data = tz.zip_bytes(two_views())
    first = data.index(VALUES.tobytes())
    second = data.index(VALUES.tobytes(), first + 1)

    (tmp_path / "a.bin").write_bytes(flipped(data, second + 50))
    tensors = read(tmp_path / "a.bin")
    whole(tensors["a"])
    whole(tensors["b"])
    tensors["c"].read_rows(3, 6)
    with pytest.raises(DamagedTensor) as damaged:
        tensors["c"].read_rows(0, 4)
    assert (damaged.value.tensor, damaged.value.path.name) == ("c", "a.bin")
    assert not damaged.value.is_shared

    (tmp_path / "b.bin").write_bytes(flipped(data, first))
    tensors = read(tmp_path / "b.bin")
    whole(tensors["b"])
    with pytest.raises(DamagedTensor) as damaged:
        whole(tensors["a"])
    assert damaged.value.is_shared


def test_a_damaged_pickle_is_refused(tmp_path: Path) -> None:
    data = tz.zip_bytes(two_views())
    (tmp_path / "a.bin").write_bytes(data.replace(tz.text("a"), tz.text("d")))
    with pytest.raises(DamagedFile) as damaged:
        read(tmp_path / "a.bin")
    assert damaged.value.detail == Detail("zip_crc", {"name": "archive/data.pkl"})


def test_what_has_no_crc_is_read_unchecked(tmp_path: Path) -> None:
    data = tz.zip_bytes(two_views(crc=0))
    (tmp_path / "a.bin").write_bytes(flipped(data, data.index(VALUES.tobytes())))
    tensors = read(tmp_path / "a.bin")
    assert whole(tensors["a"])[0, 0] != VALUES[0]
    np.testing.assert_array_equal(whole(tensors["b"]).ravel(), VALUES[12:])


@pytest.mark.torch
@pytest.mark.parametrize("has_crc", [True, False])
def test_the_crc_that_torch_writes_is_the_one_compared(tmp_path: Path, has_crc: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.serialization.set_crc32_options(has_crc)
    try:
        torch.save({"w": torch.arange(4096, dtype=torch.float32)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    expected = np.arange(4096, dtype=np.float32)
    np.testing.assert_array_equal(whole(read(tmp_path / "a.pt")["w"]), expected)
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(flipped(data, data.index(expected.tobytes()) + 5000))
    tensor = read(tmp_path / "a.pt")["w"]
    if has_crc:
        with pytest.raises(DamagedTensor):
            whole(tensor)
    else:
        whole(tensor)


@pytest.mark.torch
def test_what_torch_itself_saves_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(240, dtype=torch.float32).reshape(12, 20)
    tensors = {
        "plain": base,
        "transposed": base.t(),
        "sliced": base[2:9, 1:18:3],
        "expanded": base[0:1].expand(5, 20),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(base.clone()),
        "half": base.half(),
        "bf16": base.bfloat16(),
        "long": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "tied": base,
    }
    torch.save({"state_dict": tensors, "step": 1}, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        expected = tensor.detach()
        if name in ("long", "bool"):
            np.testing.assert_array_equal(found[name].read_stored(0, len(expected)), expected.numpy())
            continue
        np.testing.assert_array_equal(whole(found[name]), np.atleast_1d(expected.float().numpy()))


@pytest.mark.torch
def test_a_module_saved_whole_is_refused_in_either_form(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for is_zip in (True, False):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
        with pytest.raises(ForbiddenPickle) as refused:
            read(tmp_path / "a.pt")
        assert "Linear" in refused.value.name
