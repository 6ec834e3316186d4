"""PyTorch files from before version 1.6: what is read, as torch means it, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import torch_old as old
from builders import torch_zip as tz
from convert.errors import (
    BigEndianFile,
    ConvertError,
    DamagedFile,
    Detail,
    ForbiddenPickle,
    InvalidFile,
    NotTorchFile,
    TarTorchFile,
    TruncatedFile,
)
from convert.sources import torch_old
from convert.sources.byte_source import FileSource
from convert.sources.tensors import StoredTensor
from convert.sources.torch_file import read_torch

VALUES = np.arange(24, dtype=np.float32)
RAW = {"7": (24, VALUES.tobytes())}


def read(path: Path) -> dict[str, StoredTensor]:
    return read_torch(FileSource(path))


def whole(tensor: StoredTensor) -> Any:
    return tensor.read_rows(0, tensor.shape[0])


def write(path: Path, value: bytes, **settings: Any) -> Path:
    path.write_bytes(old.old_file(value, RAW, **settings))
    return path


def matrix(view: bytes = tz.NONE, shape: tuple[int, ...] = (4, 6)) -> bytes:
    return tz.tensor(old.storage("f32", "7", 24, view), 0, shape, (6, 1)[: len(shape)])


GOOD = tz.dictionary({"w": matrix()})


def test_a_state_dict_is_read(tmp_path: Path) -> None:
    arrays = {f"层.{i}": np.arange(6, dtype=np.float16).reshape(2, 3) + i for i in range(9)}
    old.write_old_torch(tmp_path / "a.bin", arrays)
    found = read(tmp_path / "a.bin")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(whole(found[name]), array.astype(np.float32))


def test_storages_that_no_tensor_needs_are_passed_over(tmp_path: Path) -> None:
    state = tz.dictionary({"exp_avg": tz.tensor(old.storage("f64", "5", 3), 0, (3,), (1,))})
    value = tz.dictionary({"optimizer": state, "model_state_dict": GOOD})
    (tmp_path / "a.pt").write_bytes(old.old_file(value, {"5": (3, bytes(24)), **RAW}))
    np.testing.assert_array_equal(whole(read(tmp_path / "a.pt")["w"]), VALUES.reshape(4, 6))


def test_a_view_begins_where_it_says(tmp_path: Path) -> None:
    """As torch had until 0.4: a part of a storage as a storage of its own."""
    view = tz.tuple_of(tz.text("8"), tz.number(6), tz.number(18))
    path = write(tmp_path / "a.bin", tz.dictionary({"w": matrix(view, (3, 6))}))
    np.testing.assert_array_equal(whole(read(path)["w"]), VALUES[6:].reshape(3, 6))
    with pytest.raises(InvalidFile):
        read(write(tmp_path / "b.bin", tz.dictionary({"w": matrix(view, (4, 6))})))


def test_what_is_not_in_this_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(BigEndianFile):
        read(write(tmp_path / "a.bin", GOOD, little_endian=False))
    with pytest.raises(DamagedFile):
        read(write(tmp_path / "b.bin", GOOD, version=1002))
    with pytest.raises(NotTorchFile):
        read(write(tmp_path / "c.bin", GOOD, magic=7))
    with tarfile.open(tmp_path / "d.bin", "w") as archive:
        for name in ("storages", "tensors", "pickle", "sys_info"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(TarTorchFile):
        read(tmp_path / "d.bin")


def test_an_empty_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.bin").touch()
    with pytest.raises(DamagedFile):
        read(tmp_path / "a.bin")


BROKEN: dict[str, tuple[bytes, type[ConvertError]]] = {
    "longer storage": (old.old_file(GOOD, {"7": (25, bytes(100))}), DamagedFile),
    "negative storage": (old.old_file(GOOD, {"7": (-1, b"")}), DamagedFile),
    "another storage": (old.old_file(GOOD, {"8": (24, bytes(96))}), DamagedFile),
    "no storage": (old.old_file(GOOD, {}), InvalidFile),
    "short storage": (old.old_file(GOOD, {"7": (24, bytes(95))}), TruncatedFile),
    "no length": (old.old_file(GOOD, RAW)[: -96 - 3], TruncatedFile),
    "a module's class": (
        old.old_file(tz.tuple_of(tz.text("module"), tz.NONE, tz.NONE, tz.NONE) + b"Q", {}),
        ForbiddenPickle,
    ),
    "code": (old.old_file(tz.call(tz.name("os", "system"), tz.text("true")), {}), ForbiddenPickle),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(tmp_path: Path, case: str) -> None:
    data, error = BROKEN[case]
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(error):
        read(tmp_path / "a.bin")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = old.old_file(GOOD, RAW)
    for end in range(0, len(data), 3):
        (tmp_path / "a.bin").write_bytes(data[:end])
        with pytest.raises((DamagedFile, NotTorchFile, TruncatedFile)):
            read(tmp_path / "a.bin")


def test_pickles_longer_than_a_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_old, "MAX_PICKLE_BYTES", 200)
    with pytest.raises(InvalidFile) as refused:
        read(write(tmp_path / "a.bin", GOOD))
    assert refused.value.detail == Detail("pickle_bytes", {"n": 200})


@settings(max_examples=200, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
def test_altered_files_raise_nothing_but_converter_errors(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(old.old_file(GOOD, RAW))
    for position, value in edits:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "altered-old.bin"
    path.write_bytes(data)
    with FileSource(path) as source:
        try:
            for tensor in read_torch(source).values():
                tensor.read_stored(0, tensor.shape[0])
        except ConvertError:
            pass


@pytest.mark.torch
def test_torch_reads_what_the_builder_writes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    arrays = {"a": VALUES.reshape(4, 6), "b": np.arange(5, dtype=np.float16)}
    old.write_old_torch(tmp_path / "a.bin", arrays)
    found = torch.load(tmp_path / "a.bin", weights_only=True)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array)
