"""The CRC of a block, put together from pieces that come in any order, against zlib's over the whole."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convert.errors import DamagedTensor
from convert.sources.storage_check import StorageCheck

DATA = random.Random(0).randbytes(100_003)
OFFSET = 77
PATH = Path("模型.bin")


def check_of(data: bytes = DATA) -> StorageCheck:
    return StorageCheck(PATH, OFFSET, len(data), zlib.crc32(data), is_shared=False)


def overlapping_pieces(numbers: random.Random) -> Iterator[tuple[int, int]]:
    """Ranges that cover everything, some of it twice, in random order."""
    cuts = sorted({0, len(DATA), *(numbers.randrange(len(DATA)) for _ in range(40))})
    ranges = list(zip(cuts, cuts[1:], strict=False))
    ranges += [(start, numbers.randrange(start, len(DATA)) + 1) for start, _ in numbers.sample(ranges, 5)]
    numbers.shuffle(ranges)
    return iter(ranges)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_in_any_order_give_the_crc_of_the_whole(seed: int) -> None:
    numbers = random.Random(seed)
    check = check_of()
    for start, end in overlapping_pieces(numbers):
        check.add("w", OFFSET + start, DATA[start:end])

    wrong = bytearray(DATA)
    wrong[numbers.randrange(len(DATA))] ^= 1 << numbers.randrange(8)
    check = check_of()
    covered = bytearray(len(DATA))

    def add_wrong() -> None:
        for start, end in overlapping_pieces(numbers):
            covered[start:end] = b"1" * (end - start)
            check.add("w", OFFSET + start, bytes(wrong[start:end]))

    with pytest.raises(DamagedTensor) as damaged:
        add_wrong()
    assert covered == b"1" * len(DATA)  # only the last piece tells
    assert (damaged.value.path, damaged.value.tensor) == (PATH, "w")


def test_a_part_proves_nothing_and_reading_again_may_prove_it_right() -> None:
    check = check_of()
    check.add("w", OFFSET, bytes(1000))
    check.add("w", OFFSET + 2000, DATA[2000:])
    with pytest.raises(DamagedTensor):
        check.add("w", OFFSET + 1000, DATA[1000:2000])
    check.add("w", OFFSET, DATA)
    check.add("w", OFFSET, bytes(1000))  # it was right once: not looked at any more


def test_threads_that_read_the_same_agree() -> None:
    for _ in range(5):
        check = check_of()
        with ThreadPoolExecutor(8) as pool:
            pieces = [piece for seed in range(4) for piece in overlapping_pieces(random.Random(seed))]
            for done in [pool.submit(check.add, "w", OFFSET + a, DATA[a:b]) for a, b in pieces]:
                done.result()
        wrong = check_of(DATA[:-1] + bytes([DATA[-1] ^ 1]))
        with ThreadPoolExecutor(8) as pool:
            done_by_piece = [pool.submit(wrong.add, "w", OFFSET + a, DATA[a:b]) for a, b in pieces]
        assert any(isinstance(done.exception(), DamagedTensor) for done in done_by_piece)


def test_a_block_read_in_crumbs_is_given_up() -> None:
    data = bytes(20_000)
    check = StorageCheck(PATH, 0, len(data), 1, is_shared=False)
    for start in range(0, len(data), 2):
        check.add("w", start, data[start : start + 1])
    check.add("w", 0, data)
