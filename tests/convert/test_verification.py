"""What was written is compared part by part, at a distance behind the writer."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from builders.shaped_models import bloom_shaped
from convert.errors import VerificationFailed
from convert.output import PendingOutput
from convert.pipeline import Converted, Progress, convert
from convert.verification import Part, Verification

CONTENT = [os.urandom(1000) for _ in range(200)]
PARTS = [
    Part(f"part {index}", 1000 * index, hashlib.sha256(b"".join(CONTENT[:index])).digest())
    for index in range(1, 201)
]


@pytest.fixture
def pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PendingOutput]:
    """An output whose writer is done with all but the last 500 bytes."""
    monkeypatch.setattr("convert.output._HELD_BYTES", 500)
    with PendingOutput(tmp_path / "a.gguf", 200_000, force=False) as output:
        yield output


def write_slowly(pending: PendingOutput, verification: Verification, seen: list[Part]) -> None:
    """All parts, with as much time between them as a check may take."""
    for data, part in zip(CONTENT, PARTS, strict=True):
        pending.write(data)
        if part is PARTS[0]:
            flip(pending.path, 7)
        seen.append(part)
        verification.expect(part)
        time.sleep(0.01)


def drain(events: Iterable[Progress | Converted], seen: list[Progress | Converted]) -> None:
    """All events, with as much time between them as a check may take."""
    for event in events:
        seen.append(event)
        time.sleep(0.01)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_every_part_is_checked(pending: PendingOutput, tmp_path: Path) -> None:
    with Verification(pending, tmp_path / "a.gguf") as verification:
        for data, part in zip(CONTENT, PARTS, strict=True):
            pending.write(data)
            verification.expect(part)
        assert list(verification.finish())[-1] == PARTS[-1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("verify")]


def test_a_difference_is_found_while_more_is_written(pending: PendingOutput, tmp_path: Path) -> None:
    written: list[Part] = []
    with (
        Verification(pending, tmp_path / "a.gguf") as verification,
        pytest.raises(VerificationFailed) as caught,
    ):
        write_slowly(pending, verification, written)
    assert (caught.value.path, caught.value.detail) == (tmp_path / "a.gguf", "part 1")
    assert len(written) < len(PARTS)


def test_what_the_writer_still_holds_is_left_alone(pending: PendingOutput, tmp_path: Path) -> None:
    with Verification(pending, tmp_path / "a.gguf") as verification:
        pending.write(CONTENT[0])
        verification.expect(PARTS[0])
        flip(pending.path, 999)
        with pytest.raises(VerificationFailed):
            list(verification.finish())


def test_a_file_that_ends_early_is_found(pending: PendingOutput, tmp_path: Path) -> None:
    with Verification(pending, tmp_path / "a.gguf") as verification:
        for data, part in zip(CONTENT, PARTS, strict=True):
            pending.write(data)
            verification.expect(part)
        os.truncate(pending.path, 199_999)
        with pytest.raises(VerificationFailed) as caught:
            list(verification.finish())
    assert caught.value.detail == "part 200"


def test_leaving_stops_the_thread_with_parts_unchecked(pending: PendingOutput, tmp_path: Path) -> None:
    with Verification(pending, tmp_path / "a.gguf") as verification:
        for data, part in zip(CONTENT, PARTS, strict=True):
            pending.write(data)
            verification.expect(part)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("verify")]


def test_a_conversion_ends_at_the_first_part_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.output._HELD_BYTES", 0)
    monkeypatch.setattr("convert.pipeline._PART_BYTES", 256)
    write = PendingOutput.write

    def spoil(self: PendingOutput, data: bytes | memoryview) -> None:
        flipped = bytearray(data)
        flipped[-1:] = bytes([flipped[-1] ^ 1]) if flipped else b""
        write(self, flipped)

    events = convert(bloom_shaped(64, 8).plan("q8_0"), tmp_path / "a.gguf", threads=1)
    next(events)
    monkeypatch.setattr(PendingOutput, "write", spoil)
    seen: list[Progress | Converted] = []
    with pytest.raises(VerificationFailed) as caught:
        drain(events, seen)
    last = seen[-1]
    assert caught.value.detail == "token_embd.weight"
    assert isinstance(last, Progress)
    assert last.phase == "convert"
    assert last.n_tensors_done < last.n_tensors
    assert os.listdir(tmp_path) == []


def test_parts_within_a_tensor_do_not_change_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bloom_shaped(64, 2).plan("q8_0")
    *_, whole = convert(plan, tmp_path / "whole.gguf")
    monkeypatch.setattr("convert.output._HELD_BYTES", 0)
    monkeypatch.setattr("convert.pipeline._PART_BYTES", 1)
    *_, parted = convert(plan, tmp_path / "parted.gguf")
    assert isinstance(whole, Converted)
    assert isinstance(parted, Converted)
    assert parted.sha256 == whole.sha256
    assert (tmp_path / "parted.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
