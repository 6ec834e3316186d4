"""Reading remote files by position, ahead of who wants them."""

from __future__ import annotations

import os
from threading import Event, Thread

import pytest

from builders.hub import Fault, LocalHub, Seen
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import RangesNotServed, SourcesFailed
from engine.models.ranges import Extent, ReadAhead, ReadStopped
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-7B-2M"
FAST = Patience(connect_s=2, stall_s=2, n_failures=3, backoff_s=0.01)


def read_ahead(
    hub: LocalHub, data: bytes, *others: LocalHub, patience: Patience = FAST, **settings: int
) -> ReadAhead:
    file = hub.add(REPO, "model.bin", data)
    remote = RemoteFile(REPO, hub.commit, "model.bin", file.size_bytes, file.hash)
    return ReadAhead([remote], Endpoints((hub.url, *(other.url for other in others))), patience, **settings)


def test_expected_reads_are_joined_and_made_once(hub: LocalHub) -> None:
    data = os.urandom(1_000_000)
    extents = [Extent("model.bin", start, 100_000) for start in range(0, 1_000_000, 100_000)]
    with read_ahead(hub, data) as ahead:
        ahead.expect(extents)
        for extent in extents:
            assert ahead.read_at("model.bin", extent.offset, 100_000) == data[extent.offset :][:100_000]
        assert ahead.fetched_bytes == 1_000_000
    assert len(hub.file_requests("lfs")) == 1


def test_expected_reads_with_little_between_them_are_one_request(hub: LocalHub) -> None:
    data = os.urandom(1_000_000)
    starts = (5, 1_100, 2_500, 900_000, 901_000, 10)
    with read_ahead(hub, data) as ahead:
        ahead.expect(Extent("model.bin", start, 1_000) for start in starts)
        for start in reversed(starts):
            assert ahead.read_at("model.bin", start, 1_000) == data[start : start + 1_000]
        assert ahead.fetched_bytes == 3_495 + 2_000 + 1_000
        assert ahead._held_bytes == 0  # noqa: SLF001
    assert len(hub.file_requests("lfs")) == 3


def test_the_window_bounds_what_is_held_and_order_does_not_matter(hub: LocalHub) -> None:
    data = os.urandom(2_000_000)
    extents = [Extent("model.bin", start, 80_000) for start in range(1_900_000, -1, -100_000)]
    with read_ahead(hub, data, window_bytes=320_000) as ahead:
        ahead.expect(extents)
        swapped = [*extents[3:6], *extents[:3], extents[-1], *extents[6:-1]]
        for extent in swapped:
            assert ahead.read_at("model.bin", extent.offset, 80_000) == data[extent.offset :][:80_000]
            assert ahead._held_bytes <= 320_000  # noqa: SLF001
        assert ahead.fetched_bytes == 1_600_000


def test_small_reads_nobody_expected_are_kept(hub: LocalHub) -> None:
    data = os.urandom(300_000)
    with read_ahead(hub, data) as ahead:
        for start in (*range(0, 200_000, 5_000), 0, 299_970):
            assert ahead.read_at("model.bin", start, 30) == data[start : start + 30]
        assert ahead.read_at("model.bin", 65_530, 20) == data[65_530:65_550]
    assert len(hub.file_requests("lfs")) <= 6


def test_closing_ends_reads_that_wait(hub: LocalHub) -> None:
    ahead = read_ahead(hub, os.urandom(300_000))
    hub.fault = lambda seen: Fault(bytes_per_s=10) if seen.server == "lfs" else None
    ahead.expect([Extent("model.bin", 0, 300_000)])
    ahead.close()
    with pytest.raises(ReadStopped):
        ahead.read_at("model.bin", 0, 300_000)


def test_closing_ends_reads_whose_answer_never_begins(hub: LocalHub) -> None:
    """Expected ones and others, in other threads; the hub accepts, and says nothing."""
    asked, answered = Event(), Event()

    def say_nothing(seen: Seen) -> None:
        if seen.server == "lfs":
            asked.set()
            answered.wait()

    data = os.urandom(1_000_000)
    hub.fault = say_nothing
    ended: list[str] = []

    def read(offset: int) -> None:
        try:
            ahead.read_at("model.bin", offset, 100_000)
        except ReadStopped:
            ended.append("stopped")

    ahead = read_ahead(hub, data, patience=Patience(stall_s=600))
    ahead.expect([Extent("model.bin", 0, 100_000)])
    threads = [Thread(target=read, args=(offset,), daemon=True) for offset in (0, 500_000)]
    try:
        for thread in threads:
            thread.start()
        assert asked.wait(60)
        ahead.close()
        for thread in threads:
            thread.join(60)
        assert ended == ["stopped"] * 2
    finally:
        answered.set()


def test_nothing_is_expected_after_the_end(hub: LocalHub) -> None:
    ahead = read_ahead(hub, os.urandom(300_000))
    ahead.close()
    ahead.expect([Extent("model.bin", 0, 300_000)])
    with pytest.raises(ReadStopped):
        ahead.read_at("model.bin", 0, 300_000)
    assert hub.seen == []
    ahead.close()


@pytest.mark.parametrize(
    "fault", [Fault(no_content_range=True), Fault(no_content_range=True, no_length=True)], ids=repr
)
def test_parts_that_do_not_say_which_they_are_are_those_asked_for(hub: LocalHub, fault: Fault) -> None:
    data = os.urandom(1_000_000)
    hub.fault = lambda seen: fault if seen.server == "lfs" else None
    with read_ahead(hub, data) as ahead:
        ahead.expect([Extent("model.bin", 500_000, 100_000)])
        assert ahead.read_at("model.bin", 900_000, 100_000) == data[900_000:]
        assert ahead.read_at("model.bin", 500_000, 100_000) == data[500_000:600_000]
        assert ahead.read_at("model.bin", 7, 9) == data[7:16]


def test_more_than_was_asked_for_is_no_part(hub: LocalHub, mirror: LocalHub) -> None:
    """A server that sends the whole file and calls it a part of it."""
    data = os.urandom(1_000_000)
    hub.fault = lambda seen: (
        Fault(no_content_range=True, no_length=True, whole_as_part=True) if seen.server == "lfs" else None
    )
    with read_ahead(hub, data) as ahead, pytest.raises(SourcesFailed, match="more than the 70000 bytes"):
        ahead.read_at("model.bin", 900_000, 70_000)

    mirror.add(REPO, "model.bin", data)
    with read_ahead(hub, data, mirror) as ahead:
        assert ahead.read_at("model.bin", 900_000, 70_000) == data[900_000:970_000]


@pytest.mark.parametrize(
    "fault", [Fault(no_ranges=True, no_length=True), Fault(no_ranges=True, is_gzipped=True)], ids=repr
)
def test_a_small_file_is_read_whole_from_whatever_is_sent(hub: LocalHub, fault: Fault) -> None:
    data = b'{"a": 1}' + b" " * 3_000_000
    entry = hub.add(REPO, "tokenizer.json", data, lfs=False)
    remote = RemoteFile(REPO, hub.commit, "tokenizer.json", entry.size_bytes, git_sha1=entry.hash)
    hub.fault = lambda seen: fault
    with ReadAhead([remote], Endpoints((hub.url,)), FAST) as ahead:
        assert ahead.read_at("tokenizer.json", 0, len(data)) == data


def test_a_server_without_ranges_is_refused(hub: LocalHub) -> None:
    """Every read would cost all of the file that is before it."""
    data = os.urandom(1_000_000)
    hub.fault = lambda seen: Fault(no_ranges=True)
    with read_ahead(hub, data) as ahead:
        assert ahead.read_at("model.bin", 0, 100_000) == data[:100_000]
        with pytest.raises(RangesNotServed) as refused:
            ahead.read_at("model.bin", 900_000, 100_000)
    assert (refused.value.name, refused.value.host) == ("model.bin", hub.url.removeprefix("http://"))


def test_a_server_without_ranges_is_left_for_one_that_has_them(hub: LocalHub, mirror: LocalHub) -> None:
    data = os.urandom(1_000_000)
    mirror.add(REPO, "model.bin", data)
    hub.fault = lambda seen: Fault(no_ranges=True)
    with read_ahead(hub, data, mirror) as ahead:
        assert ahead.read_at("model.bin", 900_000, 100_000) == data[900_000:]
    assert len(hub.file_requests("lfs")) == 1
