"""The header reader: right about real files, and quick, small and clear about every other."""

from __future__ import annotations

import contextlib
import resource
import struct
import time
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.gguf_models import byte_vocabulary, write_model
from engine.errors import (
    DamagedHeader,
    ModelFileEmpty,
    ModelFileError,
    ModelFileMissing,
    NotGguf,
    TruncatedModel,
    UnsupportedGgufVersion,
)
from engine.gguf_header import TENSOR_BLOCKS, read_gguf_header
from engine.model_shape import read_model_shape


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def gguf_file(*entries: bytes, n_tensors: int = 0, tensors: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, len(entries)) + b"".join(entries) + tensors


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def tensor(name: bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return (
        string(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, offset)
    )


@pytest.mark.parametrize("architecture", ["bloom", "llama"])
def test_reads_what_gguf_py_reads(tmp_path: Path, architecture: str) -> None:
    path = write_model(tmp_path / "m.gguf", architecture=architecture)
    header, oracle = read_gguf_header(path), gguf.GGUFReader(path)
    assert header.architecture == architecture
    assert [(t.name, t.shape, t.type, t.size_bytes) for t in header.tensors] == [
        (t.name, tuple(t.shape.tolist()), int(t.tensor_type), t.n_bytes) for t in oracle.tensors
    ]
    assert header.array_lengths["tokenizer.ggml.tokens"] == len(byte_vocabulary().tokens)
    assert header.metadata["tokenizer.ggml.eos_token_id"] == 2
    shape = read_model_shape(header)
    assert (shape.n_layers, shape.n_embd, shape.n_heads, shape.n_ff) == (2, 32, 4, 64)
    assert shape.kv_width == 2 * 32 * 2


def test_block_sizes_are_those_of_gguf_py() -> None:
    theirs = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: TENSOR_BLOCKS[kind] for kind in theirs} == theirs


def test_the_fingerprint_follows_the_token_list(tmp_path: Path) -> None:
    first = read_gguf_header(write_model(tmp_path / "a.gguf", seed=1)).vocabulary
    same = read_gguf_header(write_model(tmp_path / "b.gguf", architecture="llama")).vocabulary
    other = read_gguf_header(write_model(tmp_path / "c.gguf", vocabulary=byte_vocabulary(["x y"]))).vocabulary
    assert first == same != other
    assert len(first) == 32


@pytest.mark.parametrize("content", [b"GG", b"PK", b"ggjt" + bytes(100)])
def test_other_files_are_not_gguf(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(NotGguf) as caught:
        read_gguf_header(tmp_path / "x")
    assert caught.value.found == content[:4].hex(" ")


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ModelFileEmpty):
        read_gguf_header(tmp_path / "x")


@pytest.mark.parametrize("version", [0, 1, 4, 0x01000000])
def test_other_versions_are_refused(tmp_path: Path, version: int) -> None:
    (tmp_path / "x").write_bytes(gguf_file(version=version))
    with pytest.raises(UnsupportedGgufVersion) as caught:
        read_gguf_header(tmp_path / "x")
    assert caught.value.found == version


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelFileMissing) as caught:
            read_gguf_header(path)
        assert caught.value.reason


def test_a_cut_file_is_truncated_wherever_it_is_cut(tmp_path: Path) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes()
    for size in (*range(5, len(data), 997), len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(TruncatedModel) as caught:
            read_gguf_header(tmp_path / "cut")
        assert caught.value.found_bytes == size < caught.value.expected_bytes <= len(data)


HUGE = struct.pack("<Q", 2**62)
HOSTILE = {
    "tensor count": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    "metadata count": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
    "key length": gguf_file(HUGE),
    "empty key": gguf_file(entry(b"", 4, bytes(4))),
    "key twice": gguf_file(entry(b"k", 4, bytes(4)), entry(b"k", 4, bytes(4))),
    "key not UTF-8": gguf_file(entry(b"\xff", 4, bytes(4))),
    "value type": gguf_file(entry(b"k", 77, bytes(8))),
    "string length": gguf_file(entry(b"k", 8, HUGE)),
    "array length": gguf_file(entry(b"k", 9, struct.pack("<I", 4) + HUGE)),
    "array of strings": gguf_file(entry(b"k", 9, struct.pack("<I", 8) + HUGE)),
    "string in an array": gguf_file(entry(b"k", 9, struct.pack("<IQ", 8, 2) + HUGE)),
    "array of arrays": gguf_file(entry(b"k", 9, struct.pack("<IQ", 9, 2) + bytes(64))),
    "alignment": gguf_file(entry(b"general.alignment", 4, struct.pack("<I", 3))),
    "alignment type": gguf_file(entry(b"general.alignment", 8, string(b"32"))),
    "name length": gguf_file(n_tensors=1, tensors=tensor(b"n" * 64, (1,))),
    "name twice": gguf_file(n_tensors=2, tensors=tensor(b"n", (1,)) * 2),
    "no dimension": gguf_file(n_tensors=1, tensors=tensor(b"n", ())),
    "five dimensions": gguf_file(n_tensors=1, tensors=tensor(b"n", (1,) * 5)),
    "shape of zero": gguf_file(n_tensors=1, tensors=tensor(b"n", (0, 4))),
    "shape overflow": gguf_file(n_tensors=1, tensors=tensor(b"n", (2**40, 2**40))),
    "half a block": gguf_file(n_tensors=1, tensors=tensor(b"n", (33,), kind=2)),
    "tensor type": gguf_file(n_tensors=1, tensors=tensor(b"n", (32,), kind=4)),
    "unaligned offset": gguf_file(n_tensors=1, tensors=tensor(b"n", (1,), offset=1)),
    "offset overflow": gguf_file(n_tensors=1, tensors=tensor(b"n", (1,), offset=2**63)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_beyond_its_bounds_is_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(HOSTILE[name] + bytes(200))
    with pytest.raises(DamagedHeader) as caught:
        read_gguf_header(tmp_path / "x")
    assert caught.value.detail


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", 0),
        ("block_count", 100_000),
        ("embedding_length", 0),
        ("attention.head_count", 0),
        ("attention.head_count", 2**31),
        ("attention.head_count", 33),
        ("attention.head_count_kv", 2**30),
        ("context_length", 0),
        ("feed_forward_length", 2**31),
    ],
)
def test_dimensions_no_model_has_are_damaged(tmp_path: Path, key: str, value: int) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes()
    full_key = string(f"bloom.{key}".encode()) + struct.pack("<I", 4)
    at = data.index(full_key) + len(full_key)
    (tmp_path / "m.gguf").write_bytes(data[:at] + struct.pack("<I", value) + data[at + 4 :])
    header = read_gguf_header(tmp_path / "m.gguf")
    with pytest.raises(DamagedHeader) as caught:
        read_model_shape(header)
    assert key.removesuffix("_kv") in caught.value.detail


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_that_ggml_asserts_on_are_damaged(tmp_path: Path, value: float) -> None:
    data = write_model(tmp_path / "m.gguf").read_bytes()
    key = string(b"bloom.attention.layer_norm_epsilon") + struct.pack("<I", 6)
    at = data.index(key) + len(key)
    (tmp_path / "m.gguf").write_bytes(data[:at] + struct.pack("<f", value) + data[at + 4 :])
    with pytest.raises(DamagedHeader) as caught:
        read_model_shape(read_gguf_header(tmp_path / "m.gguf"))
    assert "epsilon" in caught.value.detail


def test_a_file_without_tensors_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gguf_file(entry(b"general.architecture", 8, string(b"bloom"))))
    with pytest.raises(DamagedHeader):
        read_model_shape(read_gguf_header(tmp_path / "x"))


def test_a_large_vocabulary_takes_little_memory(tmp_path: Path) -> None:
    tokens = b"".join(string(b"token%d" % index) for index in range(1_000_000))
    listed = entry(b"tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 1_000_000) + tokens)
    scores = entry(b"tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 1_000_000) + bytes(4_000_000))
    (tmp_path / "x").write_bytes(gguf_file(listed, scores))
    del tokens, listed, scores
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    header = read_gguf_header(tmp_path / "x")
    assert header.array_lengths["tokenizer.ggml.tokens"] == 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10  # KiB


MAX_SECONDS = 2.0  # of CPU time, far over what any of these takes


@pytest.fixture(scope="module")
def real_header(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_model(tmp_path_factory.mktemp("fuzz") / "m.gguf")
    return path.read_bytes()[:12_000]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_mutation_is_read_or_refused(
    real_header: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    mutated = bytearray(real_header[: data.draw(st.integers(0, len(real_header)))])
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(0, len(mutated) - 8)))
        mutated[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    path.write_bytes(mutated)
    before = time.process_time()
    with contextlib.suppress(ModelFileError):
        read_model_shape(read_gguf_header(path))
    assert time.process_time() - before < MAX_SECONDS


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + content)
    with pytest.raises(ModelFileError):
        read_model_shape(read_gguf_header(path))
