"""ggml files that lie: each is refused quickly, in little memory, with an error that says what is wrong."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.checkpoints import write_bloom, write_llama
from builders.ggml_files import Kind, Layout, Stored, ggml_file, write_bloomz_ggml, write_llama_ggml
from convert.errors import ConvertError, DamagedFile, InvalidFile, TruncatedFile
from convert.sources.folder import LocalFolder
from convert.sources.ggml_legacy import open_legacy_ggml

MAX_SECONDS = 1.0
MAX_BYTES = 200 << 20
N_VOCAB = 300
HEADER = [N_VOCAB, 64, 32, 4, 1, 16, 2]
TOKENS = [(b"a", 0.0)] * N_VOCAB
HUGE = 1 << 31


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


def read_everything(path: Path) -> None:
    """All that a conversion would read."""
    with open_legacy_ggml(LocalFolder(path.parent), path.name) as model:
        with suppress(ConvertError):
            model.vocabulary()
        for tensor in model.mapped_tensors():
            tensor.source.read_rows(0, tensor.shape[0])
            if hasattr(tensor.source, "read_packed_rows"):
                tensor.source.read_packed_rows(0, tensor.shape[0])


def check_refused(path: Path, data: bytes, expected: type[ConvertError] = ConvertError) -> None:
    path.write_bytes(data)
    with bounded(), pytest.raises(expected):
        read_everything(path)
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small whole files of several forms."""
    folder = tmp_path_factory.mktemp("files")
    llama = write_llama(folder / "llama", n_tokens=520, n_ff=192, n_layer=1, tokenizer=False)
    bloom = write_bloom(folder / "bloom", n_layer=1, tokenizer=False)
    forms: list[tuple[str, int, Kind, Layout]] = [
        ("ggml", 0, "q4_1", "rows"),
        ("ggmf", 1, "q5_0", "old"),
        ("ggjt", 1, "q4_0", "old"),
        ("ggjt", 3, "q8_0", "v3"),
    ]
    written = {}
    for form, version, kind, layout in forms:
        path = folder / f"{form}{version}.bin"
        write_llama_ggml(path, llama, form=form, version=version, kind=kind, layout=layout)
        written[path.name] = path.read_bytes()
    write_bloomz_ggml(folder / "bloomz.bin", bloom)
    written["bloomz.bin"] = (folder / "bloomz.bin").read_bytes()
    return written


NAMES = ["ggml0.bin", "ggmf1.bin", "ggjt1.bin", "ggjt3.bin", "bloomz.bin"]


def boundaries(data: bytes, tmp_path: Path) -> set[int]:
    """The ends of all sections: header words, some tokens, each tensor's header and data."""
    path = tmp_path / "whole.bin"
    path.write_bytes(data)
    with open_legacy_ggml(LocalFolder(tmp_path), path.name) as model:
        entries = list(model.files[0].entries.values())
    path.unlink()
    places = set(range(0, 64))
    for entry in entries:
        end = entry.offset + entry.size_bytes
        places |= {entry.offset - 20, entry.offset - 1, entry.offset, entry.offset + 1, end - 1, end}
    return places - {len(data)}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_at_any_section_is_refused(tmp_path: Path, files: dict[str, bytes], name: str) -> None:
    for place in sorted(boundaries(files[name], tmp_path)):
        check_refused(tmp_path / "m.bin", files[name][:place])


def with_word(index: int, value: int, form: str = "ggjt", version: int = 3) -> bytes:
    header = list(HEADER)
    header[index] = value
    return ggml_file(form, version, header, TOKENS, [])


@pytest.mark.parametrize("value", [0, HUGE, HUGE - 1, (1 << 32) - 1, 1 << 20])
@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize(("form", "version"), [("ggml", 0), ("ggjt", 3)])
def test_absurd_header_words_are_refused(
    tmp_path: Path, index: int, value: int, form: str, version: int
) -> None:
    check_refused(tmp_path / "m.bin", with_word(index, value, form, version))


@pytest.mark.parametrize("length", [4097, HUGE, (1 << 32) - 1])
def test_a_token_longer_than_any_is_refused(tmp_path: Path, length: int) -> None:
    data = bytearray(ggml_file("ggjt", 3, HEADER, TOKENS, []))
    struct.pack_into("<I", data, 8 + 28, length)
    check_refused(tmp_path / "m.bin", bytes(data) + bytes(1 << 16), DamagedFile)


def test_a_vocabulary_of_the_largest_size_is_bounded(tmp_path: Path) -> None:
    header = [1 << 19, *HEADER[1:]]
    short = ggml_file("ggjt", 3, header, [(b"", 0.0)] * (1 << 18), [])
    check_refused(tmp_path / "m.bin", short, TruncatedFile)
    # 64 MB of text in a sparse file; the reader gives up half-way.
    text = struct.pack("<I", 4096) + bytes(4096 + 4)
    check_refused(tmp_path / "m.bin", short[:36] + text * (1 << 14), DamagedFile)


ENTRIES = {
    "three-dims": struct.pack("<III", 3, 1, 0) + struct.pack("<III", 1, 1, 1) + b"a",
    "no-dims": struct.pack("<III", 0, 1, 0) + b"a",
    "many-dims": struct.pack("<III", HUGE, 1, 0),
    "no-name": struct.pack("<IIII", 1, 0, 0, 4),
    "long-name": struct.pack("<IIII", 1, HUGE, 0, 4),
    "name-past-the-end": struct.pack("<IIII", 1, 250, 0, 4) + b"abc",
    "no-text": struct.pack("<IIII", 1, 2, 0, 4) + b"\xff\x00",
    "unknown-type": struct.pack("<IIII", 1, 1, 77, 4) + b"a",
    "huge-type": struct.pack("<IIII", 1, 1, HUGE, 4) + b"a",
    "negative-dim": struct.pack("<IIIII", 2, 1, 0, (1 << 32) - 64, 4) + b"a",
    "zero-dim": struct.pack("<IIIII", 2, 1, 0, 64, 0) + b"a",
    "product-overflow": struct.pack("<IIIII", 2, 1, 0, HUGE - 1, HUGE - 1) + b"a",
    "product-wraps-to-zero": struct.pack("<IIIII", 2, 1, 1, 1 << 30, 1 << 30) + b"a",
    "half-a-block": struct.pack("<IIIII", 2, 1, 2, 48, 4) + b"a",
    "quantized-vector": struct.pack("<IIII", 1, 1, 2, 64) + b"a",
    "k-quant-of-64": struct.pack("<IIIII", 2, 1, 12, 64, 4) + b"a",
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
@pytest.mark.parametrize(("form", "version"), [("ggmf", 1), ("ggjt", 3)])
def test_absurd_tensor_headers_are_refused(tmp_path: Path, entry: bytes, form: str, version: int) -> None:
    check_refused(tmp_path / "m.bin", ggml_file(form, version, HEADER, TOKENS, []) + entry)


def test_a_tensor_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = [Stored("norm.weight", (64,), 0, bytes(256))] * 2
    check_refused(tmp_path / "m.bin", ggml_file("ggjt", 3, HEADER, TOKENS, twice), InvalidFile)


def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    many = [Stored(f"t{index}", (1,), 0, bytes(4)) for index in range(20_000)]
    check_refused(tmp_path / "m.bin", ggml_file("ggmf", 1, HEADER, TOKENS, many), InvalidFile)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_files_themselves_are_fine(tmp_path: Path, files: dict[str, bytes], name: str) -> None:
    (tmp_path / "m.bin").write_bytes(files[name])
    with np.errstate(all="raise"):
        read_everything(tmp_path / "m.bin")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(NAMES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, (1 << 32) - 1)), min_size=1, max_size=4),
    in_header=st.booleans(),
    cut=st.floats(0, 1),
)
def test_any_damage_gives_an_error_of_ours_or_a_model(
    tmp_path: Path,
    files: dict[str, bytes],
    name: str,
    changes: list[tuple[float, int]],
    in_header: bool,
    cut: float,
) -> None:
    data = bytearray(files[name])
    reach = 48 if in_header else len(data) - 4
    for place, word in changes:
        struct.pack_into("<I", data, int(place * reach), word)
    path = tmp_path / "m.bin"
    path.write_bytes(data[: int(len(data) * (0.5 + cut))])
    started_s = time.process_time()
    with suppress(ConvertError), np.errstate(all="ignore"):
        read_everything(path)
    assert time.process_time() - started_s < MAX_SECONDS
    assert list(tmp_path.iterdir()) == [path]
