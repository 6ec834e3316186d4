"""The safetensors container: against its own library, and against files made to hurt."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from builders.checkpoints import bf16_bits, round_to, write_safetensors
from convert.errors import ConvertError, DamagedFile, InvalidFile, TruncatedFile, UnsupportedDtype
from convert.sources.byte_source import FileSource
from convert.sources.safetensors import MAX_HEADER_BYTES, read_safetensors

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4) / 7


def container(header: Any, data: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def entry(begin: Any = 0, end: Any = 48, shape: Any = (3, 4), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def read_all(path: Path) -> dict[str, Any]:
    with FileSource(path) as source:
        tensors = read_safetensors(source)
        return {name: tensor.read_stored(0, tensor.shape[0]) for name, tensor in tensors.items()}


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    arrays = {
        "矩阵": MATRIX,
        "half": MATRIX.astype(np.float16),
        "double": MATRIX.astype(np.float64),
        "long": np.arange(5),
        "bytes": np.arange(5, dtype=np.uint8),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
    }
    path = tmp_path / "模型.safetensors"
    save_file(arrays, path, metadata={"format": "pt"})
    found = read_all(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_rows_are_widened_to_float32_exactly(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for dtype in ("f32", "f16", "bf16"):
        write_safetensors(path, {"w": MATRIX}, dtype)
        with FileSource(path) as source:
            tensor = read_safetensors(source)["w"]
            assert tensor.dtype == dtype
            np.testing.assert_array_equal(tensor.read_rows(1, 3), round_to(dtype, MATRIX)[1:3])
    assert bf16_bits(MATRIX).dtype == np.uint16


def test_a_scalar_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"s": np.array(2.5, np.float32)}, path)
    assert read_all(path)["s"].tolist() == [2.5]


HOSTILE: dict[str, tuple[bytes, type[ConvertError]]] = {
    "empty-file": (b"", TruncatedFile),
    "half-a-size": (b"\x10\0\0\0", TruncatedFile),
    "header-past-the-end": (container({"w": entry()}, size=4000), TruncatedFile),
    "header-of-2^31": (container(b"{}", size=2**31), DamagedFile),
    "header-of-2^63": (container(b"{}", size=2**63), DamagedFile),
    "header-of-2^64-1": (container(b"{}", size=2**64 - 1), DamagedFile),
    "header-over-the-bound": (container(b" " * (MAX_HEADER_BYTES + 1)), InvalidFile),
    "no-json": (container(b"not json"), DamagedFile),
    "no-text": (container(b"\xff\xfe\xfd"), DamagedFile),
    "no-header": (container(b""), DamagedFile),
    "list": (container([]), InvalidFile),
    "deep": (container(b'{"a":' * 100_000), InvalidFile),
    "deep-lists": (container(b"[" * 1_000_000), InvalidFile),
    "many-digits": (container(b'{"a":' + b"9" * 100_000 + b"}"), InvalidFile),
    "duplicate-name": (container(b'{"w":%s,"w":%s}' % ((json.dumps(entry()).encode(),) * 2)), InvalidFile),
    "long-name": (container({"w" * 10_000: entry()}, bytes(48)), InvalidFile),
    "entry-number": (container({"w": 7}), InvalidFile),
    "entry-text": (container({"w": "F32"}), InvalidFile),
    "entry-list": (container({"w": ["F32"]}), InvalidFile),
    "entry-null": (container({"w": None}), InvalidFile),
    "no-dtype": (container({"w": {"shape": [], "data_offsets": [0, 4]}}, bytes(4)), InvalidFile),
    "dtype-unknown": (container({"w": entry(dtype="F4")}, bytes(48)), UnsupportedDtype),
    "dtype-list": (container({"w": entry(dtype=["F32"])}, bytes(48)), InvalidFile),
    "dtype-object": (container({"w": entry(dtype={})}, bytes(48)), InvalidFile),
    "dtype-long": (container({"w": entry(dtype="F" * 10_000)}, bytes(48)), UnsupportedDtype),
    "shape-text": (container({"w": entry(shape="")}, bytes(48)), InvalidFile),
    "shape-object": (container({"w": entry(end=4, shape={})}, bytes(48)), InvalidFile),
    "shape-number": (container({"w": entry(shape=12)}, bytes(48)), InvalidFile),
    "shape-float": (container({"w": entry(shape=[3.0, 4])}, bytes(48)), InvalidFile),
    "shape-bool": (container({"w": entry(end=4, shape=[True])}, bytes(48)), InvalidFile),
    "shape-negative": (container({"w": entry(shape=[-3, -4])}, bytes(48)), InvalidFile),
    "shape-huge": (container({"w": entry(shape=[2**63, 2**63])}, bytes(48)), InvalidFile),
    "shape-infinite": (container(b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}'), InvalidFile),
    "shape-of-many-axes": (container({"w": entry(end=4, shape=[1] * 9)}, bytes(48)), InvalidFile),
    "shape-of-very-many": (container({"w": entry(shape=[2**39] * 100_000)}, bytes(48)), InvalidFile),
    "offsets-one": (container({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}), InvalidFile),
    "offsets-reversed": (container({"w": entry(begin=48, end=0)}, bytes(48)), InvalidFile),
    "offsets-negative": (container({"w": entry(begin=-48, end=0)}, bytes(48)), InvalidFile),
    "offsets-past-the-end": (container({"w": entry()}, bytes(47)), TruncatedFile),
    "offsets-of-2^39": (container({"w": entry(end=2**39, shape=[2**37])}, bytes(48)), TruncatedFile),
    "size-mismatch": (container({"w": entry(end=44)}, bytes(48)), InvalidFile),
    "overlap": (container({"a": entry(), "b": entry(4, 52)}, bytes(52)), InvalidFile),
    "copies": (container({f"w{i}": entry() for i in range(1000)}, bytes(48)), InvalidFile),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, case: str) -> None:
    data, error = HOSTILE[case]
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(error) as refused:
        read_all(path)
    assert len(str(refused.value)) < 1000


def test_a_file_cut_short_is_said_to_lack_what_is_behind_its_last_tensor(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {f"w{n}": MATRIX for n in range(9)}, "f32")
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(TruncatedFile) as cut:
        read_all(path)
    assert (cut.value.expected_bytes, cut.value.found_bytes) == (len(data), len(data) - 100)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": MATRIX, "b": MATRIX}, "f32")
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises((TruncatedFile, DamagedFile)):
            read_all(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "U8"]) | JSON,
        "shape": st.lists(st.integers(-2, 6) | JSON, max_size=4) | JSON,
        "data_offsets": st.lists(st.integers(-2, 60) | JSON, max_size=3) | JSON,
    }
)


@settings(max_examples=300, deadline=None)
@given(
    header=st.dictionaries(st.text(max_size=4), ENTRIES | JSON, max_size=4) | JSON,
    data=st.binary(max_size=60),
)
def test_any_header_raises_nothing_but_converter_errors(
    tmp_path_factory: pytest.TempPathFactory, header: Any, data: bytes
) -> None:
    check_only_converter_errors(tmp_path_factory, container(header, data))


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), end=st.integers(0, 400)
)
def test_altered_files_raise_nothing_but_converter_errors(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(container({"a": entry(), "b": entry(48, 96)}, bytes(96)))
    for position, value in edits:
        data[position % len(data)] = value
    check_only_converter_errors(tmp_path_factory, bytes(data[:end]) if end < len(data) else bytes(data))


def check_only_converter_errors(factory: pytest.TempPathFactory, data: bytes) -> None:
    path = factory.getbasetemp() / "any.safetensors"
    path.write_bytes(data)
    try:
        read_all(path)
    except ConvertError as error:
        str(error).encode()  # can be shown
