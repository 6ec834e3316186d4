"""The header: as gguf-py writes it, our parser reads it, damage is an error and nothing worse."""

from __future__ import annotations

import struct
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.gguf_writer import WriterState
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.gguf_file import HeaderError, TensorInfo, build_header, pad, parse_tensor_infos

TENSORS = (TensorInfo("a.weight", (3, 64), 8, 0), TensorInfo("b.bias", (5,), 0, 224))
METADATA = {
    "general.name": "名字",
    "x.count": 7,
    "x.share": 0.5,
    "x.flag": True,
    "x.texts": ["a", "b"],
    "x.numbers": [1, -2],
    "x.shares": [0.5, -1e-30, 3.0],
    "x.empty": [],
    "x.nothing": "",
    "x.zero": 0,
}


def small_header() -> bytes:
    return build_header("bloom", METADATA, TENSORS)


def test_golden_bytes() -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    keys = [
        text("general.architecture") + struct.pack("<I", 8) + text("bloom"),
        text("general.name") + struct.pack("<I", 8) + text("名字"),
        text("x.count") + struct.pack("<II", 4, 7),
        text("x.share") + struct.pack("<If", 6, 0.5),
        text("x.flag") + struct.pack("<I?", 7, True),
        text("x.texts") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
        text("x.numbers") + struct.pack("<IIQii", 9, 5, 2, 1, -2),
        text("x.shares") + struct.pack("<IIQfff", 9, 6, 3, 0.5, -1e-30, 3),
        text("x.zero") + struct.pack("<II", 4, 0),
    ]
    infos = [
        text("a.weight") + struct.pack("<IQQIQ", 2, 64, 3, 8, 0),
        text("b.bias") + struct.pack("<IQIQ", 1, 5, 0, 224),
    ]
    expected = b"GGUF" + struct.pack("<IQQ", 3, 2, len(keys)) + b"".join(keys + infos)
    assert small_header() == expected + bytes(pad(len(expected)) - len(expected))


def test_the_gguf_library_writes_the_same() -> None:
    writer = GGUFWriter(None, "bloom")
    for key, value in METADATA.items():
        add = {
            bool: writer.add_bool,
            int: writer.add_uint32,
            float: writer.add_float32,
            str: writer.add_string,
        }
        add.get(type(value), writer.add_array)(key, value)
    for info, size_bytes in zip(TENSORS, (204, 20), strict=True):
        kind = GGMLQuantizationType(info.type)
        writer.add_tensor_info(info.name, info.shape, np.dtype(np.float32), size_bytes, kind)
    buffer = BytesIO()
    writer.fout, writer.state = [buffer], WriterState.EMPTY  # it only opens files
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    expected = buffer.getvalue()
    assert small_header() == expected + bytes(pad(len(expected)) - len(expected))


def test_parser_reads_what_was_written() -> None:
    assert parse_tensor_infos(small_header()) == TENSORS


def test_every_truncation_is_an_error() -> None:
    header = small_header()
    for length in range(0, len(header), 7):
        with pytest.raises(HeaderError):
            parse_tensor_infos(header[:length])
    with pytest.raises(HeaderError):
        parse_tensor_infos(header + bytes(32))


@pytest.mark.parametrize("length", [2, 1 << 20, (1 << 63) - 9, (1 << 64) - 1])
@pytest.mark.parametrize("text", [b"a", b"b"])
def test_a_string_of_an_array_that_is_too_long_is_an_error(text: bytes, length: int) -> None:
    header, item = small_header(), struct.pack("<Q", 1) + text
    assert header.count(item) == 1
    with pytest.raises(HeaderError):
        parse_tensor_infos(header.replace(item, struct.pack("<Q", length) + text))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_a_header_error_or_another_header(data: st.DataObject) -> None:
    header = bytearray(small_header())
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    with suppress(HeaderError):
        parse_tensor_infos(bytes(header))
