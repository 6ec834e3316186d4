"""Which characters a TrueType or OpenType font can draw.

Reads the table `cmap` alone (learn.microsoft.com/typography/opentype/spec/cmap), in the two formats that
fonts for the whole of Unicode and for its first plane have:

format 4    segments of 16-bit codes: endCode[], startCode[], idDelta[], idRangeOffset[]
format 12   groups of 32-bit codes: startCharCode, endCharCode, startGlyphID
"""

from __future__ import annotations

import struct

_MAX_CODES = 0x110000
_FLAVOURS = (b"\x00\x01\x00\x00", b"OTTO", b"true")


class FontDamaged(ValueError):
    """The bytes are no font, or one without a readable `cmap`."""


def drawn_codes(font: bytes) -> set[int]:
    """All code points for which `font` has a glyph. Raises FontDamaged."""
    try:
        table = _find_cmap(font)
        (count,) = struct.unpack_from(">H", table, 2)
        offsets = {struct.unpack_from(">I", table, 4 + 8 * index + 4)[0] for index in range(count)}
        codes: set[int] = set()
        for offset in offsets:
            (kind,) = struct.unpack_from(">H", table, offset)
            if kind == 4:
                codes |= _segments(table[offset:])
            elif kind == 12:
                codes |= _groups(table[offset:])
    except struct.error as error:
        raise FontDamaged(str(error)) from error
    if not codes:
        raise FontDamaged("no characters")
    return codes


def _find_cmap(font: bytes) -> bytes:
    if font[:4] not in _FLAVOURS:
        raise FontDamaged(f"it begins with {font[:4]!r}")
    found = b""
    (count,) = struct.unpack_from(">H", font, 4)
    for index in range(count):
        tag, _, offset, length = struct.unpack_from(">4sIII", font, 12 + 16 * index)
        if offset + length > len(font):
            raise FontDamaged("it is cut off")
        if tag == b"cmap":
            found = font[offset : offset + length]
    if not found:
        raise FontDamaged("it has no cmap")
    return found


def _segments(table: bytes) -> set[int]:
    (doubled,) = struct.unpack_from(">H", table, 6)
    n = doubled // 2
    ends = struct.unpack_from(f">{n}H", table, 14)
    starts = struct.unpack_from(f">{n}H", table, 16 + doubled)
    deltas = struct.unpack_from(f">{n}H", table, 16 + 2 * doubled)
    ranges_at = 16 + 3 * doubled
    ranges = struct.unpack_from(f">{n}H", table, ranges_at)
    codes = set()
    for index, (start, end, delta, reach) in enumerate(zip(starts, ends, deltas, ranges, strict=True)):
        for code in range(start, end + 1):
            glyph = code
            if reach:
                place = ranges_at + 2 * index + reach + 2 * (code - start)
                (glyph,) = struct.unpack_from(">H", table, place)
                if glyph == 0:
                    continue
            if (glyph + delta) & 0xFFFF:
                codes.add(code)
    codes.discard(0xFFFF)
    return codes


def _groups(table: bytes) -> set[int]:
    (count,) = struct.unpack_from(">I", table, 12)
    codes: set[int] = set()
    for index in range(count):
        start, end, glyph = struct.unpack_from(">III", table, 16 + 12 * index)
        if not start <= end < _MAX_CODES:
            raise FontDamaged("a group of characters without an end")
        codes.update(code for code in range(start, end + 1) if glyph or code > start)
    return codes
