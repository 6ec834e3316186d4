"""PyTorch files made to hurt: every one is refused with its own class, and nothing in them is executed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import torch_zip as tz
from convert.errors import (
    BigEndianFile,
    ConvertError,
    DamagedFile,
    Detail,
    ForbiddenPickle,
    InvalidFile,
    NoTensors,
    NotTorchFile,
    SourceMissing,
    TruncatedFile,
)
from convert.sources.byte_source import FileSource
from convert.sources.torch_file import read_torch

DATA = np.arange(24, dtype=np.float32).tobytes()


def read(path: Path) -> None:
    with FileSource(path) as source:
        read_torch(source)


def write(path: Path, value: bytes, storages: Mapping[str, bytes] | None = None) -> Path:
    path.write_bytes(tz.checkpoint(value, storages))
    return path


TENSOR = tz.tensor(tz.storage("f32", "0", 24), 0, (4, 6), (6, 1))
GOOD = tz.dictionary({"w": TENSOR})
PUT, GET = b"q\x00", b"h\x00"


def system(command: str) -> bytes:
    return tz.call(tz.name("os", "system"), tz.text(command))


EXECUTING = {
    "os.system": lambda run: system(run),
    "posix.system": lambda run: tz.call(tz.name("posix", "system"), tz.text(run)),
    "eval": lambda run: tz.call(tz.name("builtins", "eval"), tz.text(f"__import__('os').system({run!r})")),
    "__builtin__.exec": lambda run: tz.call(tz.name("__builtin__", "exec"), tz.text("import os")),
    "builtins.getattr": lambda run: tz.call(
        tz.call(tz.name("builtins", "getattr"), tz.name("os", "system"), tz.text("__call__")), tz.text(run)
    ),
    "attribute-of-an-allowed-name": lambda run: tz.call(
        tz.name("collections", "OrderedDict.__class__"), tz.text(run)
    ),
    "nested-reduce": lambda run: tz.call(tz.ordered_dict(), system(run)),
    "inside-a-tensor": lambda run: tz.dictionary(
        {"w": tz.tensor(system(run), 0, (4, 6), (6, 1)), "x": TENSOR}
    ),
    "build-with-state": lambda run: tz.ordered_dict() + tz.dictionary({"__reduce__": system(run)}) + tz.BUILD,
    "build-setstate": lambda run: (
        tz.name("types", "SimpleNamespace") + tz.EMPTY_TUPLE + tz.REDUCE + tz.dictionary({}) + tz.BUILD
    ),
    "newobj": lambda run: tz.name("subprocess", "Popen") + tz.tuple_of(tz.text(run)) + b"\x81",
    "newobj-of-an-allowed-name": lambda run: tz.name("collections", "OrderedDict") + tz.EMPTY_TUPLE + b"\x81",
    "inst": lambda run: tz.MARK + tz.text(run) + b"ios\nsystem\n",
    "obj": lambda run: tz.MARK + tz.name("os", "system") + tz.text(run) + b"o",
    "stack-global": lambda run: tz.text("os") + tz.text("system") + b"\x93" + tz.tuple_of() + b"R",
    "extension": lambda run: b"\x82\x01",
    "text-persistent-id": lambda run: b"Pstorage\n",
    "torch-load": lambda run: tz.call(tz.name("torch", "load"), tz.text(run)),
    "torch-storage-call": lambda run: tz.call(tz.name("torch", "FloatStorage"), tz.number(8)),
    "reduce-of-a-number": lambda run: tz.number(1) + tz.EMPTY_TUPLE + tz.REDUCE,
}  # fmt: skip


@pytest.mark.parametrize("trick", EXECUTING)
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "beside-tensors"])
def test_pickles_that_would_run_code_are_refused_and_not_run(
    tmp_path: Path, trick: str, hidden: bool
) -> None:
    marker = tmp_path / "executed"
    value = EXECUTING[trick](f"touch {marker}")
    if hidden:
        value = tz.dictionary({"w": TENSOR, "x": value})
    with pytest.raises(ForbiddenPickle) as refused:
        read(write(tmp_path / "a.bin", value, {"0": DATA}))
    assert not marker.exists()
    assert len(refused.value.name) < 120


def test_a_forbidden_name_is_shown_short_and_printable(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenPickle) as refused:
        read(write(tmp_path / "a.bin", tz.text("\x1b[2J\u202e") + tz.text("x" * 10_000) + b"\x93"))
    assert refused.value.name.startswith("?[2J?.xxx")
    assert len(refused.value.name) <= 100


def nested_tuples(depth: int) -> bytes:
    return tz.EMPTY_TUPLE + (PUT + GET + tz.TUPLE2) * depth


BROKEN = {
    "unknown-opcode": b"\xff",
    "no-stop": b"",
    "empty-stack": tz.SETITEM,
    "mark-as-value": tz.EMPTY_DICT + tz.MARK + tz.MARK + tz.SETITEM,
    "no-mark": tz.EMPTY_DICT + tz.SETITEMS,
    "odd-items": tz.EMPTY_DICT + tz.MARK + tz.text("a") + tz.SETITEMS,
    "missing-memo": b"h\x07",
    "text-past-the-end": b"X" + struct.pack("<I", 2**31) + b"abc",
    "long-text-past-the-end": b"\x8d" + struct.pack("<Q", 2**63) + b"abc",
    "long-number-past-the-end": b"\x8b" + struct.pack("<I", 2**31 - 1) + b"1",
    "negative-length": b"\x8b" + struct.pack("<i", -1),
    "many-digits": b"L" + b"9" * 100_000 + b"L\n",
    "not-utf8": b"X" + struct.pack("<I", 2) + b"\xff\xfe",
    "list-as-key": tz.EMPTY_DICT + tz.EMPTY_LIST + tz.NONE + tz.SETITEM,
    "tuple-as-key": tz.EMPTY_DICT + nested_tuples(60) + tz.NONE + tz.SETITEM,
    "deep-tuple-as-key": tz.EMPTY_DICT + tz.EMPTY_TUPLE + b"\x85" * 200_000 + tz.NONE + tz.SETITEM,
    "tuple-as-global": nested_tuples(60) + tz.text("system") + b"\x93",
    "items-into-a-tensor": TENSOR + tz.text("a") + tz.NONE + tz.SETITEM,
    "copies-of-a-list": tz.EMPTY_LIST + PUT + tz.MARK + tz.tuple_of(tz.text("k"), tz.NONE) * 9 + tz.APPENDS
    + tz.call(tz.name("collections", "OrderedDict"), GET),
    "storage-without-key": tz.tuple_of(tz.text("storage"), tz.NONE) + b"Q",
    "storage-of-a-wrong-type": tz.tuple_of(
        tz.text("storage"), tz.name("collections", "OrderedDict"), tz.text("0"), tz.text("cpu"), tz.number(1)
    ) + b"Q",
    "negative-storage": tz.storage("f32", "0", -1),
    "tensor-without-storage": tz.tensor(tz.NONE, 0, (1,), (1,)),
    "negative-shape": tz.tensor(tz.storage("f32", "0", 24), 0, (-1, 4), (4, 1)),
    "negative-stride": tz.tensor(tz.storage("f32", "0", 24), 23, (24,), (-1,)),
    "negative-offset": tz.tensor(tz.storage("f32", "0", 24), -8, (4,), (1,)),
    "huge-shape": tz.tensor(tz.storage("f32", "0", 24), 0, (2**62, 2**62), (1, 1)),
    "many-axes": tz.tensor(tz.storage("f32", "0", 24), 0, (2**47,) * 2000, (1,) * 2000),
    "missing-strides": tz.tensor(tz.storage("f32", "0", 24), 0, (4, 6), (6,)),
    "nothing": tz.PROTOCOL,
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_pickles_are_damage(tmp_path: Path, case: str) -> None:
    end = b"" if case == "no-stop" else tz.STOP
    members = [
        tz.Member("a/data.pkl", tz.PROTOCOL + BROKEN[case] + end),
        tz.Member("a/data/0", DATA),
    ]
    path = tmp_path / "a.bin"
    path.write_bytes(tz.zip_bytes(members))
    with pytest.raises(DamagedFile):
        read(path)


def test_a_pickle_too_long_for_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as refused:
        read(write(tmp_path / "a.bin", tz.NONE * 500_000))
    assert refused.value.detail == Detail("pickle_operations", {"n": 400_000})


@pytest.mark.parametrize(
    "value",
    [tz.NONE, tz.EMPTY_LIST, tz.EMPTY_DICT, TENSOR, tz.dictionary({"a": tz.number(1)}), tz.MARK],
    ids=["none", "list", "empty", "bare-tensor", "number", "mark"],
)
def test_pickles_without_a_dictionary_of_tensors_hold_no_model(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(NoTensors):
        read(write(tmp_path / "a.bin", value, {"0": DATA}))


@pytest.mark.parametrize(
    "value",
    [
        tz.tensor(tz.storage("f32", "9", 24), 0, (4,), (1,)),
        tz.tensor(tz.storage("f32", "../data.pkl", 24), 0, (4,), (1,)),
        tz.tensor(tz.storage("f32", "0", 25), 0, (25,), (1,)),
        tz.tensor(tz.storage("f32", "0", 2**62), 0, (2**40,), (1,)),
        tz.tensor(tz.storage("f32", "0", 24), 1, (4, 6), (6, 1)),
        tz.tensor(tz.storage("f32", "0", 24), 0, (4, 6), (7, 1)),
        tz.tensor(tz.storage("f32", "0", 24), 0, (2**20, 2**20), (0, 0)),
    ],
    ids=["no-member", "path", "long-storage", "huge-storage", "offset", "strides", "repeated-without-end"],
)
def test_tensors_that_leave_their_storage_are_refused(tmp_path: Path, value: bytes) -> None:
    with pytest.raises((InvalidFile, DamagedFile)):
        read(write(tmp_path / "a.bin", tz.dictionary({"w": value}), {"0": DATA}))


def test_a_very_long_tensor_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile):
        read(write(tmp_path / "a.bin", tz.dictionary({"w" * 10_000: TENSOR}), {"0": DATA}))


PICKLE = tz.Member("a/data.pkl", tz.pickled(GOOD))
ZIP64_SIZES = struct.pack("<HHQQ", 1, 16, 2**63, 2**63)
ARCHIVES: dict[str, tuple[list[tz.Member], type[ConvertError]]] = {
    "compressed-storage": ([PICKLE, tz.Member("a/data/0", DATA, method=8)], InvalidFile),
    "compressed-pickle": ([tz.Member("a/data.pkl", PICKLE.data + bytes(2**24), method=8)], InvalidFile),
    "bomb": ([PICKLE, tz.Member("a/data/0", bytes(2**24), method=8)], InvalidFile),
    "unknown-method": ([PICKLE, tz.Member("a/data/0", DATA, method=99)], InvalidFile),
    "different-sizes": ([PICKLE, tz.Member("a/data/0", DATA, size=10**6)], InvalidFile),
    "size-past-the-end": (
        [PICKLE, tz.Member("a/data/0", DATA, size=2**31, stored_size=2**31)],
        TruncatedFile,
    ),
    "size-of-2^63": (
        [PICKLE, tz.Member("a/data/0", DATA, size=2**32 - 1, stored_size=2**32 - 1, extra=ZIP64_SIZES)],
        TruncatedFile,
    ),
    "large-pickle": ([tz.Member("a/data.pkl", DATA, size=2**31, stored_size=2**31)], InvalidFile),
    "header-elsewhere": ([PICKLE, tz.Member("a/data/0", DATA, offset=7)], DamagedFile),
    "header-past-the-end": ([PICKLE, tz.Member("a/data/0", DATA, offset=2**31)], TruncatedFile),
    "overlap": ([PICKLE, tz.Member("a/data/0", DATA, offset=0)], InvalidFile),
    "twice": ([PICKLE, tz.Member("a/data/0", DATA), tz.Member("a/data/0", DATA)], InvalidFile),
    "two-pickles": ([PICKLE, tz.Member("b/data.pkl", PICKLE.data), tz.Member("a/data/0", DATA)], NoTensors),
    "no-pickle": ([tz.Member("a/data/0", DATA)], NoTensors),
    "no-member": ([], NotTorchFile),
    "big-endian": ([PICKLE, tz.Member("a/byteorder", b"big"), tz.Member("a/data/0", DATA)], BigEndianFile),
    "long-byte-order": ([PICKLE, tz.Member("a/byteorder", bytes(99))], InvalidFile),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_hostile_archives_are_refused(tmp_path: Path, case: str) -> None:
    members, error = ARCHIVES[case]
    path = tmp_path / "a.bin"
    data = tz.zip_bytes(members)
    path.write_bytes(data if case != "no-member" else b"\x80\x02" + data)
    with pytest.raises(error):
        read(path)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    tensors = {name: tz.tensor(tz.storage("f32", name, 24), 0, (4, 6), (6, 1)) for name in ("0", "1")}
    members = [tz.Member("a/data.pkl", tz.pickled(tz.dictionary(tensors))), tz.Member("a/data/0", DATA)]
    start = tz.zip_bytes(members).index(b"PK\x03\x04", 4)
    path = tmp_path / "a.bin"
    path.write_bytes(tz.zip_bytes([*members, tz.Member("a/data/1", DATA, offset=start)]))
    with pytest.raises(InvalidFile):
        read(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = tz.checkpoint(GOOD, {"0": DATA})
    boundaries = [position for position in range(len(data)) if data[position : position + 2] == b"PK"]
    path = tmp_path / "a.bin"
    for end in sorted({*boundaries, *(b + 1 for b in boundaries), *range(0, len(data), 7)}):
        path.write_bytes(data[:end])
        with pytest.raises((DamagedFile, NotTorchFile, TruncatedFile)):
            read(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", Path("a\0b")):
        with pytest.raises(SourceMissing):
            FileSource(path)


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6), end=st.integers(0, 2000)
)
def test_altered_files_raise_nothing_but_converter_errors(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(tz.checkpoint(GOOD, {"0": DATA}))
    for position, value in edits:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "altered.bin"
    path.write_bytes(data if end > len(data) else data[:end])
    check_only_converter_errors(path)


PIECES = [
    *(tz.MARK, tz.NONE, tz.EMPTY_DICT, tz.EMPTY_LIST, tz.EMPTY_TUPLE, tz.REDUCE, tz.BUILD, tz.SETITEM),
    *(tz.SETITEMS, tz.APPENDS, tz.TUPLE, tz.TUPLE2, PUT, GET, b"Q", b"a", b"\x94", b"\x93", TENSOR),
    *(tz.text("os"), tz.number(7), tz.ordered_dict(), tz.name("collections", "OrderedDict")),
    tz.name("torch._utils", "_rebuild_parameter"),
]


@settings(max_examples=300, deadline=None)
@given(program=st.binary(max_size=200) | st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_any_pickle_program_raises_nothing_but_converter_errors(
    tmp_path_factory: pytest.TempPathFactory, program: bytes
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "program.bin", program, {"0": DATA})
    check_only_converter_errors(path)


def check_only_converter_errors(path: Path) -> None:
    with FileSource(path) as source:
        try:
            for tensor in read_torch(source).values():
                tensor.read_stored(0, tensor.shape[0])
        except ConvertError:
            pass
