"""The most expensive checkpoint files the readers' bounds allow, and some beyond: refused within 200 MB."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from builders import torch_old as old
from builders import torch_zip as tz

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 200_000_000
MIB = 1 << 20

# Reads each file in turn, in one process: prints what came of it, its time and the peak memory until then.
CHILD = """
import json, sys, time
from pathlib import Path
from convert.errors import ConvertError
from convert.pipeline import peak_rss_bytes
from convert.sources.hf_folder import open_weights
for name in sys.argv[1:]:
    start_s = time.perf_counter()
    try:
        open_weights(Path(name).parent, Path(name))
        outcome = "opened"
    except ConvertError as error:
        outcome = type(error).__name__
    seconds = time.perf_counter() - start_s
    print(json.dumps([Path(name).stem, outcome, round(seconds, 3), peak_rss_bytes()]), flush=True)
"""


def container(header: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header


def filled(start: bytes, piece: Callable[[int], bytes], end: bytes, size: int = 4 * MIB) -> bytes:
    """JSON of nearly `size` bytes made of numbered pieces."""
    parts, n_bytes, number = [start], len(start) + len(end), 0
    while (part := piece(number)) and n_bytes + len(part) + 1 <= size:
        parts.append(part)
        n_bytes += len(part) + 1
        number += 1
    return start + b",".join(parts[1:]) + end


def archive(pickle: bytes, method: int = 0) -> bytes:
    return tz.zip_bytes([tz.Member("a/data.pkl", pickle, method=method)])


def pickle_of(size: int, piece: bytes, start: bytes = b"", end: bytes = b"") -> bytes:
    n_pieces = (size - len(start) - len(end)) // len(piece)
    return archive(tz.PROTOCOL + start + piece * n_pieces + end + tz.STOP)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "lists.safetensors": lambda: container(filled(b'{"a":[', lambda _: b"[]", b"]}")),
    "floats.safetensors": lambda: container(filled(b'{"a":[', lambda _: b"1.5", b"]}")),
    "texts.safetensors": lambda: container(filled(b'{"a":[', lambda i: b'"%x"' % i, b"]}")),
    "objects.safetensors": lambda: container(filled(b"{", lambda i: b'"%x":{}' % i, b"}")),
    "numbers.safetensors": lambda: container(filled(b"{", lambda i: b'"%x":%d.5' % (i, i % 10), b"}")),
    "deep.safetensors": lambda: container(b"[" * 4 * MIB),
    "deep-objects.safetensors": lambda: container(b'{"a":' * (4 * MIB // 5)),
    "digits.safetensors": lambda: container(b'{"a":' + b"9" * (4 * MIB - 6) + b"}"),
    "large.safetensors": lambda: container(b"[" * 64 * MIB),
    "size.safetensors": lambda: container(b"{}", 2**63),
    "operations.bin": lambda: pickle_of(16 * MIB - 100, tz.NONE),
    "dictionaries.bin": lambda: pickle_of(399_000, tz.EMPTY_DICT),
    "lists.bin": lambda: pickle_of(399_000, tz.EMPTY_LIST),
    "nested-lists.bin": lambda: pickle_of(399_000, tz.EMPTY_LIST, end=b"a" * 10),
    "nested-tuples.bin": lambda: pickle_of(399_000, b"\x85", tz.EMPTY_TUPLE),
    "marks.bin": lambda: pickle_of(399_000, tz.MARK),
    "memo.bin": lambda: pickle_of(1_900_000, b"r\xff\xff\xff\xff", tz.NONE),
    "memoize.bin": lambda: pickle_of(399_000, b"\x94", tz.NONE),
    "texts.bin": lambda: pickle_of(16 * MIB - 100, tz.text("x" * 37)),
    "one-text.bin": lambda: archive(tz.PROTOCOL + tz.text("\U0001f600" * (4 * MIB - 10)) + tz.STOP),
    "keys.bin": lambda: pickle_of(
        16 * MIB - 100, tz.number(2**2000) + tz.NONE + tz.SETITEM, tz.EMPTY_DICT
    ),
    "laughs-as-key.bin": lambda: pickle_of(
        300, b"q\x00h\x00\x86", tz.EMPTY_DICT + tz.EMPTY_TUPLE, tz.NONE + tz.SETITEM
    ),
    "laughs-as-name.bin": lambda: pickle_of(300, b"q\x00h\x00\x86", tz.EMPTY_TUPLE, tz.text("x") + b"\x93"),
    "list-copies.bin": lambda: pickle_of(
        1_500_000,
        b"h\x01h\x00R",
        tz.EMPTY_LIST + tz.MARK + tz.tuple_of(tz.text("k"), tz.NONE) * 40_000 + tz.APPENDS + b"\x85q\x00"
        + tz.name("collections", "OrderedDict") + b"q\x01",
    ),
    "axes.bin": lambda: pickle_of(
        600_000,
        tz.name("torch._utils", "_rebuild_tensor_v2")
        + b"(h\x00K\x00h\x01h\x01tR",
        tz.storage("f32", "0", 9) + b"q\x00" + tz.numbers([2**47] * 20_000) + b"q\x01",
    ),
    "long-name.bin": lambda: archive(tz.PROTOCOL + tz.name("a" * 15 * MIB, "b") + tz.STOP),
    "bomb.bin": lambda: archive(bytes(16 * MIB), method=8),
    "pickle-size.bin": lambda: tz.zip_bytes([tz.Member("a/data.pkl", b"", size=2**31, stored_size=2**31)]),
    "members.bin": lambda: tz.zip_bytes([tz.Member(f"{i:x}", b"") for i in range(40_000)], align=1),
    "members-over-the-bound.bin": lambda: tz.zip_bytes([tz.Member("n" * 60_000, b"")] * 150, align=1),
    "one-dictionary-often.bin": lambda: archive(
        tz.PROTOCOL + tz.EMPTY_DICT + tz.MARK + tz.text("a") + tz.EMPTY_DICT + b"q\x00" + tz.MARK
        + b"".join(tz.text(f"{i:x}") + tz.NONE for i in range(60_000)) + tz.SETITEMS
        + b"".join(tz.text(f"{i:x}") + b"h\x00" for i in range(100_000)) + tz.SETITEMS + tz.STOP
    ),
    "old-texts.bin": lambda: old.old_file(tz.text("x" * 37) * 390_000, {}),
    "old-numbers.bin": lambda: old.old_file(tz.EMPTY_DICT, {"0": (2**62, b"")})[:-8] + bytes(16 * MIB),
    "old-without-end.bin": lambda: old.old_file(tz.text("x" * 60) * 300_000, {}),
    "no-directory.bin": lambda: b"PK\x03\x04" + bytes(64 * MIB),
}  # fmt: skip


def test_the_most_expensive_files_are_refused_within_200_mb(tmp_path: Path) -> None:
    for name, build in HOSTILE.items():
        (tmp_path / name).write_bytes(build())
    command = [sys.executable, "-c", CHILD, *(str(tmp_path / name) for name in HOSTILE)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    results = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, child.stderr
    assert len(results) == len(HOSTILE)
    refused = {"DamagedFile", "ForbiddenPickle", "InvalidFile", "NoTensors", "TruncatedFile"}
    assert [result for result in results if result[1] not in refused] == []
    assert [result for result in results if result[3] > MAX_BYTES] == []
