"""Tokenizer files made to hurt: refused quickly, in little memory, never with a foreign error."""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.tokenizers import bloom_tokenizer_json, llama_tokenizer_json, llama_tokenizer_model
from convert.errors import InvalidFile, LfsPointer, SourceError, TokenizerError
from convert.tokenizers.files import SIZE_LIMITS, TokenizerFiles
from convert.vocab import parse_vocabulary, read_vocabulary

MIB = 1 << 20


def _refuse(name: str, data: bytes, *, memory_mib: int = 64) -> None:
    files = TokenizerFiles(Path(name), {name: data})
    tracemalloc.start()
    started_s = time.process_time()
    try:
        with pytest.raises((SourceError, TokenizerError)):
            parse_vocabulary(files, config={})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Tracing makes Python several times slower: a second without it is a few with it.
    assert time.process_time() - started_s < 5.0
    assert peak < memory_mib * MIB


@pytest.mark.parametrize(
    ("data", "memory_mib"),
    [
        (b"", 1),
        (b"\xff\xfe{", 1),
        (b"[]", 1),
        (b"null", 1),
        (b'{"model":' * 100_000, 8),
        (b"[" * 1_000_000, 16),
        (b"[" * 20_000_000, 1),
        (b'{"a":[' + b"[],".join([b""] * 3_000_000), 1),
        (b'{"a":[' + b"1," * 5_000_000, 1),
        (b'{"a":' + b"9" * 1_000_000 + b"}", 8),
        (b'{"model":{"vocab":{"a":1,"a":2}}}', 1),
        (b'{"model":{"vocab":{' + b",".join(b'"%d":%d' % (i, i) for i in range(600_000)) + b"}}}", 200),
    ],
    ids=["empty", "not-text", "list", "null", "deep-objects", "deep", "deeper", "lists", "numbers", "digits",
         "twice", "tokens"],
)  # fmt: skip
def test_hostile_json_is_refused(data: bytes, memory_mib: int) -> None:
    _refuse("tokenizer.json", data, memory_mib=memory_mib)


def _length(size: int) -> bytes:
    out = b""
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return out + bytes([size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0a" + _length(2**63),
        b"\x0a" + _length(2**32),
        b"\x0a\x0a\x0a" + _length(2**62) + b"x",
        b"\x80" * 1_000_000,
        b"\x0a\x00" * 4_000_000,
        b"\x0a\x03\x0a\x01x" * 1_000_000,
        bytes(8_000_000),
        b"\x12" + _length(4_000_000) + b"\x18\x02" * 2_000_000,
        b"\x12\x02\x18\x02" * 2_000_000,
        b"\x1a\x00" * 4_000_000,
    ],
    ids=[
        "empty",
        "2**63",
        "2**32",
        "inner",
        "varint",
        "empty-pieces",
        "equal-pieces",
        "zeros",
        "spec",
        "specs",
        "nothings",
    ],
)
def test_hostile_protobuf_is_refused(data: bytes) -> None:
    _refuse("tokenizer.model", data)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
def test_a_file_larger_than_any_tokenizer_is_not_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(SIZE_LIMITS[name] + 1)
    with pytest.raises(InvalidFile):
        read_vocabulary(tmp_path, config={})


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
def test_a_git_lfs_pointer_is_recognised(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 499723\n")
    with pytest.raises(LfsPointer):
        read_vocabulary(tmp_path, config={})


def _survive(name: str, data: bytes, **others: bytes) -> None:
    contents = {name: data, **{f"tokenizer.{suffix}": other for suffix, other in others.items()}}
    with contextlib.suppress(SourceError, TokenizerError):
        parse_vocabulary(TokenizerFiles(Path(name), contents), config={})


MODEL = llama_tokenizer_model(520)
JSON = bloom_tokenizer_json(400).encode()
LLAMA_JSON = llama_tokenizer_json(520).encode()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, len(MODEL) - 1), st.binary(min_size=1, max_size=4), st.integers(0, 3))
def test_a_damaged_model_never_raises_anything_else(place: int, junk: bytes, cut: int) -> None:
    _survive("tokenizer.model", MODEL[:place] + junk + MODEL[place + cut :])
    _survive("tokenizer.model", MODEL[:place])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, len(JSON) - 1), st.binary(min_size=1, max_size=4), st.integers(0, 3))
def test_a_damaged_json_never_raises_anything_else(place: int, junk: bytes, cut: int) -> None:
    _survive("tokenizer.json", JSON[:place] + junk + JSON[place + cut :])
    _survive("tokenizer.json", JSON[:place])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PARTS = ["model", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"]
INNER = ["type", "vocab", "merges", "unk_token", "byte_fallback", "pretokenizers", "single", "replacement"]
INNER += ["prepend_scheme", "split", "ignore_merges"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(PARTS), st.none() | st.sampled_from(INNER), values)
def test_any_value_in_any_place_is_survived(part: str, inner: str | None, value: object) -> None:
    for data in (JSON, LLAMA_JSON):
        root = json.loads(data)
        if inner is None or not isinstance(root[part], dict):
            root[part] = value
        else:
            root[part][inner] = value
        changed = json.dumps(root).encode()
        _survive("tokenizer.json", changed)
        _survive("tokenizer.json", changed, model=MODEL)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]), values)
def test_any_neighbour_file_is_survived(name: str, value: object) -> None:
    keys = ["bos_token", "eos_token", "additional_special_tokens", "extra_special_tokens"]
    keys += ["x_token", "added_tokens_decoder", "x"]
    data = json.dumps(dict.fromkeys(keys, value)).encode()
    mains = (("tokenizer.model", MODEL), ("tokenizer.json", JSON), ("tokenizer.json", LLAMA_JSON))
    for main, content in mains:
        files = TokenizerFiles(Path(main), {main: content, name: data})
        with contextlib.suppress(SourceError, TokenizerError):
            parse_vocabulary(files, config={"eos_token_id": value})


def test_a_piece_of_any_type_number_is_survived() -> None:
    for kind in (0, 7, 2**31, 2**63):
        message = b"\x0a\x01x\x15" + struct.pack("<f", 0.0) + b"\x18" + _length(kind)
        data = MODEL + b"\x0a" + _length(len(message)) + message
        files = TokenizerFiles(Path("tokenizer.model"), {"tokenizer.model": data})
        with pytest.raises(InvalidFile):
            parse_vocabulary(files, config={})
