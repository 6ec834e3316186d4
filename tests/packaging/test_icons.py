"""The icons of Windows, macOS and phones have a drawing for every size that those systems show."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"

# https://en.wikipedia.org/wiki/Apple_Icon_Image_format: type and width in pixels.
ICNS_WIDTHS = {
    **{"icp4": 16, "icp5": 32, "ic11": 32, "ic12": 64, "ic07": 128, "ic13": 256, "ic08": 256},
    **{"ic14": 512, "ic09": 512, "ic10": 1024},
}


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">2I", data[16:24])
    return width, height


def ico_images(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Width as the directory says it, and the image (ICONDIR and ICONDIRENTRY of Windows)."""
    _, kind, count = struct.unpack("<3H", data[:6])
    assert kind == 1
    for index in range(count):
        width, _, _, _, _, depth, size, offset = struct.unpack_from("<4B2H2I", data, 6 + 16 * index)
        assert depth == 32
        yield width or 256, data[offset : offset + size]


def icns_images(data: bytes) -> Iterator[tuple[str, bytes]]:
    file = io.BytesIO(data)
    magic, total = struct.unpack(">4sI", file.read(8))
    assert (magic, total) == (b"icns", len(data))
    while header := file.read(8):
        kind, size = struct.unpack(">4sI", header)
        yield kind.decode("ascii"), file.read(size - 8)


def test_windows_finds_every_size_in_its_icon() -> None:
    images = dict(ico_images((PACKAGING / "windows" / "ChatBELLE.ico").read_bytes()))

    assert [*images] == [16, 20, 24, 32, 40, 48, 64, 96, 128, 256]
    assert all(png_size(image) == (width, width) for width, image in images.items())


def test_phones_get_the_size_that_all_others_are_made_from() -> None:
    assert png_size((PACKAGING / "phones" / "icon.png").read_bytes()) == (1024, 1024)


def test_macos_finds_every_size_in_its_icon() -> None:
    images = dict(icns_images((PACKAGING / "macos" / "ChatBELLE.icns").read_bytes()))

    assert {kind: png_size(image)[0] for kind, image in images.items()} == ICNS_WIDTHS
