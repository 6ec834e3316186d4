"""The protobuf wire format, as much of it as tokenizer.model uses, with every length checked.

| wire type | meaning | handed out as |
|---|---|---|
| 0 | varint, at most 10 bytes | int (unsigned, 64 bit) |
| 1 | 8 bytes | memoryview |
| 2 | varint length, then that many bytes | memoryview |
| 5 | 4 bytes | memoryview |

Source: protobuf.dev/programming-guides/encoding. Knows no message; groups (3, 4) are refused.
"""

from __future__ import annotations

from collections.abc import Iterator


class WireError(ValueError):
    """The bytes are not a protobuf message; the text says where."""


def read_fields(message: memoryview, *, limit: int) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) pairs in file order, at most `limit` of them; raises `WireError`."""
    place, end, n_fields = 0, len(message), 0
    while place < end:
        n_fields += 1
        if n_fields > limit:
            raise WireError(f"more than {limit} fields before byte {place}")
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"field number {number} at byte {place}")
        if wire_type == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire_type == 2:
            size, place = _varint(message, place)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise WireError(f"wire type {wire_type} at byte {place}")
        if size > end - place:
            raise WireError(f"a field of {size} bytes at byte {place} of {end}")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise WireError("the end inside a number")
        byte = message[place]
        place += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            if result >= 1 << 64:
                break
            return result, place
    raise WireError(f"a number of more than 64 bits before byte {place}")
