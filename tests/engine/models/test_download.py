"""Fetching one file from hubs that behave, and from hubs that don't."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from builders.disks import resize_disk
from builders.hub import Fault, LocalHub, Seen
from builders.processes import python_environment
from engine.models.download import Downloaded, DownloadProgress, Rate, discard_part, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import (
    ChecksumMismatch,
    DownloadDiskFull,
    DownloadInUse,
    DownloadNameTaken,
    FetchError,
    HubRefused,
    HubTooBusy,
    NotOnHub,
    Offline,
    SourceContradicts,
    SourcesFailed,
)
from engine.models.part_file import BLOCK_BYTES, part_path, record_path
from engine.models.reply import Patience, Reply

REPO, NAME = "BelleGroup/BELLE", "模型 q4.gguf"
FAST = Patience(connect_s=2, stall_s=1, slow_s=1, n_failures=3, backoff_s=0.01, longest_wait_s=5)
DATA = random.Random(1).randbytes(9_500_000)


def publish(hub: LocalHub, data: bytes = DATA, *, known: bool = True) -> RemoteFile:
    """The file on the hub; `known` is whether its size and hash are."""
    file = hub.add(REPO, NAME, data)
    remote = RemoteFile(REPO, hub.commit, NAME)
    return replace(remote, size_bytes=file.size_bytes, sha256=file.hash) if known else remote


def fetch(file: RemoteFile, path: Path, *hubs: LocalHub, **settings: Any) -> Downloaded:
    endpoints = settings.pop("endpoints", None) or Endpoints(tuple(hub.url for hub in hubs))
    *_, last = download(file, path, endpoints, **{"patience": FAST, **settings})
    assert isinstance(last, Downloaded)
    return last


def at_times(*faults: Fault | None, server: str = "lfs", then: Fault | None = None) -> Any:
    """One fault for each request to a server, in order."""
    left: Iterator[Fault | None] = iter(faults)
    return lambda seen: next(left, then) if seen.server == server and seen.name else None


def always(fault: Fault, server: str = "lfs") -> Callable[[Seen], Fault | None]:
    return lambda seen: fault if seen.server == server and seen.name else None


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1, len(DATA)])
def test_a_file_arrives_whole(hub: LocalHub, tmp_path: Path, size: int, known: bool) -> None:
    if size == 0 and not known:
        pytest.skip("an empty file has no first byte to ask for")
    file = publish(hub, DATA[:size], known=known)
    path = tmp_path / "新 folder" / NAME

    result = fetch(file, path, hub)

    assert path.read_bytes() == DATA[:size]
    assert (result.path, result.size_bytes) == (path, size)
    assert result.sha256 == hub.files[REPO, NAME].hash
    assert os.listdir(path.parent) == [NAME]


def test_progress_grows_to_the_whole(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    endpoints = Endpoints((hub.url,))
    events = [event for event in download(file, tmp_path / "a", endpoints)][:-1]

    assert all(isinstance(event, DownloadProgress) for event in events)
    done = [event.done_bytes for event in events if isinstance(event, DownloadProgress)]
    assert done == sorted(done)
    assert done[-1] == len(DATA)
    assert {event.total_bytes for event in events if isinstance(event, DownloadProgress)} == {len(DATA)}


def test_small_files_outside_lfs_are_verified_by_gits_hash(hub: LocalHub, tmp_path: Path) -> None:
    entry = hub.add(REPO, "config.json", b'{"a": 1}')
    file = RemoteFile(REPO, hub.commit, "config.json", entry.size_bytes, git_sha1=entry.hash)
    fetch(file, tmp_path / "config.json", hub)
    hub.fault = lambda seen: Fault(flip_at=2)
    with pytest.raises(ChecksumMismatch):
        fetch(file, tmp_path / "other.json", hub)
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_finished_file_is_taken_as_it_is(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    fetch(file, tmp_path / "a", hub)
    n_seen = len(hub.seen)
    assert fetch(file, tmp_path / "a", hub).sha256 == file.sha256
    assert len(hub.seen) == n_seen


def test_another_file_of_that_name_is_left_alone(hub: LocalHub, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"mine")
    with pytest.raises(DownloadNameTaken):
        fetch(publish(hub), path, hub)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(status=500)],
        [Fault(status=503), Fault(status=500)],
        [Fault(status=429, headers={"Retry-After": "0"})],
        [Fault(stop_after=0)],
        [Fault(stop_after=1_000_000), Fault(stop_after=5_000_000), Fault(stop_after=10)],
        [Fault(status=403)],  # a signed address that has expired
        [None, Fault(status=403), None, Fault(status=403)],
        [Fault(bytes_per_s=2_000)],
        [Fault(no_ranges=True)] * 2,
    ],
    ids=["500", "503", "429", "nothing", "truncated", "expired", "expired later", "slow", "no ranges"],
)
def test_what_goes_wrong_once_is_tried_again(
    hub: LocalHub, tmp_path: Path, faults: list[Fault | None]
) -> None:
    file = publish(hub)
    hub.fault = at_times(*faults)
    fetch(file, tmp_path / "a", hub, patience=replace(FAST, slow_bytes=1 << 16))
    assert (tmp_path / "a").read_bytes() == DATA


VAGUE = [
    Fault(no_length=True),
    Fault(no_content_range=True),
    Fault(no_content_range=True, no_length=True),
    Fault(no_ranges=True, no_length=True),
    Fault(no_ranges=True, is_gzipped=True),
]


@pytest.mark.parametrize("fault", VAGUE, ids=repr)
def test_a_mirror_that_does_not_say_how_much_it_sends_is_judged_by_size_and_hash(
    hub: LocalHub, tmp_path: Path, fault: Fault
) -> None:
    data = DATA[:2_000_000] if fault.is_gzipped else DATA
    file = publish(hub, data)
    hub.fault = always(fault)
    assert fetch(file, tmp_path / "a", hub).sha256 == file.sha256
    assert (tmp_path / "a").read_bytes() == data

    hub.fault = always(replace(fault, flip_at=5_000_000))
    if not fault.is_gzipped:
        with pytest.raises(ChecksumMismatch):
            fetch(file, tmp_path / "b", hub)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("fault", VAGUE, ids=repr)
def test_a_small_file_may_come_so_as_well(hub: LocalHub, tmp_path: Path, fault: Fault) -> None:
    entry = hub.add(REPO, "config.json", b'{"a": 1}' + b" " * 5_000_000, lfs=False)
    file = RemoteFile(REPO, hub.commit, entry.name, entry.size_bytes, git_sha1=entry.hash)
    hub.fault = always(fault, "hub")
    fetch(file, tmp_path / "config.json", hub)
    assert (tmp_path / "config.json").read_bytes() == entry.data


@pytest.mark.parametrize("fault", VAGUE[1:], ids=repr)
def test_without_a_hash_nothing_vague_is_believed(hub: LocalHub, tmp_path: Path, fault: Fault) -> None:
    entry = hub.add(REPO, NAME, DATA)
    file = RemoteFile("", "", NAME, len(DATA), address=f"{hub.lfs_url}/lfs/{entry.hash}")
    hub.fault = lambda seen: fault if seen.range != "bytes=0-0" else None
    with pytest.raises(SourcesFailed):
        fetch(file, tmp_path / "a", hub)
    assert not (tmp_path / "a").exists()


def test_a_part_of_another_length_than_asked_for_is_none(hub: LocalHub, tmp_path: Path) -> None:
    """It says neither which part it is, nor has it the length of the one that was meant."""
    file = publish(hub)
    longer = replace(file, size_bytes=len(DATA) + 100)
    hub.fault = always(Fault(no_content_range=True))
    with pytest.raises(SourceContradicts):
        fetch(longer, tmp_path / "a", hub)
    hub.fault = lambda seen: Fault(no_content_range=True, size=len(DATA) + 100)
    with pytest.raises(SourcesFailed, match="which part"):
        fetch(longer, tmp_path / "a", hub)


def test_connections_that_always_end_early_still_get_there(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault = always(Fault(stop_after=700_000))
    fetch(publish(hub), tmp_path / "a", hub)
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("n_broken", [0, 1])
def test_a_server_without_ranges_is_read_through_once(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_broken: int
) -> None:
    """Not for every part of the file from its beginning: many times the file would come."""
    data = random.Random(5).randbytes(60_000_000)
    file = publish(hub, data)
    broken = [Fault(no_ranges=True, stop_after=30_000_000)] * n_broken
    hub.fault = lambda seen: (
        None if seen.server == "hub" else broken.pop() if broken else Fault(no_ranges=True)
    )
    n_came = 0
    chunks = Reply.chunks

    def counted(self: Reply) -> Iterator[bytes]:
        nonlocal n_came
        for chunk in chunks(self):
            n_came += len(chunk)
            yield chunk

    monkeypatch.setattr(Reply, "chunks", counted)
    fetch(file, tmp_path / "a", hub)
    assert (tmp_path / "a").read_bytes() == data
    assert n_came < len(data) * (1 + n_broken) + (8 << 20)


@pytest.mark.parametrize("stop_after", [4 << 20, 5_000_000])
def test_a_server_that_never_gets_further_is_given_up(hub: LocalHub, tmp_path: Path, stop_after: int) -> None:
    """It knows no ranges: what came before comes again each time, and is no sign that it works."""
    hub.fault = always(Fault(no_ranges=True, stop_after=stop_after))
    file = publish(hub)
    with pytest.raises(SourcesFailed):
        fetch(file, tmp_path / "a", hub, is_cancelled=lambda: len(hub.file_requests("lfs")) > 100)


def test_what_is_there_is_kept_where_the_next_server_knows_no_ranges(
    hub: LocalHub, mirror: LocalHub, tmp_path: Path
) -> None:
    """And a server that knows them takes over in the middle."""
    file, path = publish(hub), tmp_path / "a"
    publish(mirror)
    hub.fault = always(Fault(bytes_per_s=6_000_000))
    leave_after(file, path, hub, 9_000_000)
    hub.fault = at_times(*[Fault(no_ranges=True, stop_after=5_000_000)] * 4, then=Fault(status=404))
    fetch(file, path, hub, mirror)
    assert path.read_bytes() == DATA
    assert asked_bytes(mirror) <= len(DATA) - (4 << 20)


def test_what_came_from_a_server_without_ranges_is_not_asked_for_again(
    hub: LocalHub, mirror: LocalHub, tmp_path: Path
) -> None:
    data = random.Random(6).randbytes(8 * BLOCK_BYTES)
    file = publish(hub, data)
    publish(mirror, data)
    hub.fault = at_times(Fault(no_ranges=True, stop_after=3 * BLOCK_BYTES), then=Fault(status=404))
    fetch(file, tmp_path / "a", hub, mirror, n_connections=1)
    assert (tmp_path / "a").read_bytes() == data
    assert asked_bytes(mirror) == 5 * BLOCK_BYTES


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=401), HubRefused),
        (Fault(status=403), HubRefused),
        (Fault(status=404), NotOnHub),
        (Fault(status=416), SourceContradicts),
        (Fault(status=429, headers={"Retry-After": "86400"}), HubTooBusy),
        (Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2037 07:28:00 GMT"}), HubTooBusy),
        (Fault(status=500), SourcesFailed),
        (Fault(stop_after=0), SourcesFailed),
        (Fault(size=5), SourceContradicts),
        (Fault(etag="0" * 64), SourceContradicts),
        (Fault(status=302, headers={"Location": "ftp://nowhere/"}), SourcesFailed),
        (Fault(status=302, headers={"Location": "/same"}), SourcesFailed),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_stays_wrong_has_its_own_error(
    hub: LocalHub, tmp_path: Path, fault: Fault, error: type[FetchError]
) -> None:
    file = publish(hub)
    hub.fault = always(fault, "hub") if fault.stop_after is None else always(fault)
    with pytest.raises(error) as raised:
        fetch(file, tmp_path / "a", hub)
    assert raised.value.name == NAME
    assert not (tmp_path / "a").exists()


def test_offline_is_said_at_once(tmp_path: Path) -> None:
    with LocalHub() as hub:
        file = publish(hub)
    started_s = time.monotonic()
    for known in (file, replace(file, size_bytes=None, sha256=None)):
        with pytest.raises(Offline):
            fetch(known, tmp_path / "a", hub, patience=Patience())
    assert time.monotonic() - started_s < 5


def test_the_next_source_continues_in_the_middle_of_the_file(
    hub: LocalHub, mirror: LocalHub, tmp_path: Path
) -> None:
    file = publish(hub)
    publish(mirror)
    hub.fault = at_times(Fault(stop_after=3_000_000), then=Fault(status=500))
    result = fetch(file, tmp_path / "a", hub, mirror, n_connections=1)
    assert (tmp_path / "a").read_bytes() == DATA
    assert len(result.hosts) == 2
    starts = [int((seen.range or "bytes=0-")[6:].split("-")[0]) for seen in mirror.file_requests("lfs")]
    assert min(starts) == 3_000_000


def test_a_mirror_that_dies_is_left(hub: LocalHub, mirror: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    publish(mirror)
    mirror.fault = always(Fault(bytes_per_s=4_000_000))
    endpoints = Endpoints((mirror.url, hub.url))
    events = download(file, tmp_path / "a", endpoints, patience=FAST, n_connections=2)
    for event in events:
        if isinstance(event, DownloadProgress) and event.done_bytes > 1_000_000:
            break
    mirror.close()
    assert list(events)
    assert (tmp_path / "a").read_bytes() == DATA


def test_who_is_waited_for_is_named_before_the_first_byte(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    hub.fault = at_times(Fault(status=429, headers={"Retry-After": "1"}), server="hub")
    events = list(download(file, tmp_path / "a", Endpoints((hub.url,)), patience=FAST, n_connections=1))
    waiting = [event for event in events if isinstance(event, DownloadProgress) and event.waiting_s > 0]
    assert {event.host for event in waiting if not event.done_bytes} == {hub.url.removeprefix("http://")}


@pytest.mark.parametrize("lie", [Fault(size=len(DATA) + 1), Fault(etag="1" * 64), Fault(status=404)])
def test_a_source_that_has_another_file_is_skipped(
    hub: LocalHub, mirror: LocalHub, tmp_path: Path, lie: Fault
) -> None:
    file = publish(hub)
    publish(mirror)
    mirror.fault = always(lie, "hub")
    result = fetch(file, tmp_path / "a", mirror, hub)
    assert set(result.hosts) == {hub.url.removeprefix("http://")}


def test_wrong_bytes_are_found_and_fetched_elsewhere(hub: LocalHub, mirror: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    publish(mirror)
    mirror.fault = always(Fault(flip_at=5_000_000))
    result = fetch(file, tmp_path / "a", mirror, hub)
    assert (tmp_path / "a").read_bytes() == DATA
    assert set(result.hosts) == {hub.url.removeprefix("http://")}


def test_wrong_bytes_from_everywhere_are_an_error(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    hub.fault = always(Fault(flip_at=5_000_000))
    with pytest.raises(ChecksumMismatch) as mismatch:
        fetch(file, tmp_path / "a", hub)
    assert mismatch.value.expected_hash == file.sha256
    assert os.listdir(tmp_path) == []


def test_a_changing_etag_without_a_hash_is_another_version(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub)
    address = f"{hub.lfs_url}/lfs/{hub.files[REPO, NAME].hash}"
    file = RemoteFile("", "", NAME, address=address)
    versions = count()
    hub.fault = lambda seen: Fault(etag=f"version {next(versions) // 3}")
    with pytest.raises(SourceContradicts):
        fetch(file, tmp_path / "a", hub, n_connections=1)
    hub.fault = lambda seen: None
    fetch(file, tmp_path / "a", hub)
    assert (tmp_path / "a").read_bytes() == DATA


def test_modelscope_is_asked_where_it_is_mapped(hub: LocalHub, mirror: LocalHub, tmp_path: Path) -> None:
    file = replace(publish(hub), modelscope="Scope/Model@master")
    mirror.add("Scope/Model", NAME, DATA)
    hub.fault = always(Fault(status=404), "hub")
    fetch(file, tmp_path / "a", endpoints=Endpoints((hub.url,), mirror.url))
    assert mirror.file_requests("hub")[0].path == f"/models/Scope/Model/resolve/master/{NAME}"


def leave_after(file: RemoteFile, path: Path, hub: LocalHub, n_bytes: int) -> None:
    events = download(file, path, Endpoints((hub.url,)), patience=FAST, n_connections=2)
    for event in events:
        if isinstance(event, DownloadProgress) and event.done_bytes >= n_bytes:
            break
    events.close()


def asked_bytes(*hubs: LocalHub) -> int:
    """How many bytes the storages were asked for."""
    ranges = [(seen.range or "")[6:].split("-") for hub in hubs for seen in hub.file_requests("lfs")]
    return sum(int(stop) - int(start) + 1 for start, stop in ranges)


def kept_blocks(path: Path, size_bytes: int = len(DATA)) -> dict[int, int]:
    """The blocks that are recorded, and the size of each."""
    lines = record_path(path).read_bytes().split(b"\n")[1:] if record_path(path).exists() else []
    blocks = {int(line.split()[0]) for line in lines if len(line) == 17}
    return {block: min(BLOCK_BYTES, size_bytes - block * BLOCK_BYTES) for block in blocks}


def test_a_left_download_goes_on_where_it_was(hub: LocalHub, tmp_path: Path) -> None:
    file, path = publish(hub), tmp_path / "a"
    hub.fault = always(Fault(bytes_per_s=6_000_000))
    leave_after(file, path, hub, 9_000_000)
    assert sorted(os.listdir(tmp_path)) == ["a.part", "a.part.blocks"]
    hub.seen.clear()
    hub.fault = lambda seen: None
    fetch(file, path, hub)
    assert asked_bytes(hub) <= len(DATA) - (4 << 20)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("etag", "dates"),
    [("", (None, None)), ('W/"a"', (None, None)), ("", ("Mon", "Tue")), ('W/"a"', ("Mon", "Tue"))],
)
def test_two_versions_are_never_mixed(
    hub: LocalHub, tmp_path: Path, etag: str, dates: tuple[str | None, str | None]
) -> None:
    """Of an address without a hash, another file of the same size while it is left."""
    other = random.Random(9).randbytes(len(DATA))
    path = tmp_path / "a"
    for data, date in zip((DATA, other), dates, strict=True):
        entry = hub.add(REPO, NAME, data)
        # The address stays the same.
        hub.files[REPO, NAME] = replace(entry, hash="0" * 64)
        file = RemoteFile("", "", NAME, address=f"{hub.lfs_url}/lfs/{'0' * 64}")
        hub.fault = always(Fault(etag=etag, last_modified=date, bytes_per_s=6_000_000))
        if data is DATA:
            leave_after(file, path, hub, 9_000_000)
            assert len(record_path(path).read_bytes().splitlines()) > 1
    fetch(file, path, hub)
    assert path.read_bytes() == other


@pytest.mark.parametrize(
    "fault", [Fault(), Fault(etag="", last_modified="Mon"), Fault(etag='W/"a"', last_modified="Mon")]
)
def test_the_same_version_goes_on(hub: LocalHub, tmp_path: Path, fault: Fault) -> None:
    entry, path = hub.add(REPO, NAME, DATA), tmp_path / "a"
    file = RemoteFile("", "", NAME, address=f"{hub.lfs_url}/lfs/{entry.hash}")
    hub.fault = always(replace(fault, bytes_per_s=6_000_000))
    leave_after(file, path, hub, 9_000_000)
    hub.seen.clear()
    hub.fault = always(fault)
    fetch(file, path, hub)
    assert asked_bytes(hub) <= len(DATA) - (4 << 20) + 1
    assert path.read_bytes() == DATA


def test_a_bit_that_flips_on_disk_costs_one_block(hub: LocalHub, tmp_path: Path) -> None:
    file, path = publish(hub), tmp_path / "a"
    hub.fault = at_times(then=Fault(bytes_per_s=6_000_000))
    leave_after(file, path, hub, 9_000_000)
    kept = kept_blocks(path)
    block = next(iter(kept))
    with part_path(path).open("r+b") as part:
        part.seek(block * BLOCK_BYTES + 77)
        byte = part.read(1)[0]
        part.seek(-1, os.SEEK_CUR)
        part.write(bytes([byte ^ 8]))
    hub.fault = lambda seen: None
    hub.seen.clear()
    fetch(file, path, hub)
    assert path.read_bytes() == DATA
    assert asked_bytes(hub) == len(DATA) - sum(kept.values()) + kept[block]


@pytest.mark.parametrize("record", [b"", b"{}\n", b"\xff" * 100, b'{"version": 1}\n00000000 00000000\n'])
def test_a_record_of_something_else_is_not_believed(hub: LocalHub, tmp_path: Path, record: bytes) -> None:
    file, path = publish(hub), tmp_path / "a"
    part_path(path).write_bytes(b"x" * len(DATA))
    record_path(path).write_bytes(record)
    fetch(file, path, hub)
    assert path.read_bytes() == DATA


def test_lines_that_claim_too_much_are_compared(hub: LocalHub, tmp_path: Path) -> None:
    file, path = publish(hub), tmp_path / "a"
    hub.fault = always(Fault(bytes_per_s=6_000_000))
    leave_after(file, path, hub, 5_000_000)
    with record_path(path).open("ab") as record:
        record.write(b"00000000 01234567\n00000002 00000000\n99999999 00000000\n0000")
    hub.fault = lambda seen: None
    fetch(file, path, hub)
    assert path.read_bytes() == DATA


def test_two_do_not_fetch_the_same_file(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    hub.fault = always(Fault(bytes_per_s=2_000_000))
    first = download(file, tmp_path / "a", Endpoints((hub.url,)), patience=FAST)
    next(first)
    with pytest.raises(DownloadInUse):
        fetch(file, tmp_path / "a", hub)
    assert not discard_part(tmp_path / "a")
    first.close()
    assert discard_part(tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_cancelling_does_not_wait_for_the_network(hub: LocalHub, tmp_path: Path) -> None:
    file = publish(hub)
    hub.fault = always(Fault(bytes_per_s=20))
    started_s = time.monotonic()
    is_cancelled = lambda: time.monotonic() - started_s > 0.5  # noqa: E731
    events = download(file, tmp_path / "a", Endpoints((hub.url,)), is_cancelled=is_cancelled)
    assert not any(isinstance(event, Downloaded) for event in events)
    assert time.monotonic() - started_s < 15


def test_a_full_disk_is_said_before_anything_is_fetched(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(hub)
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("engine.models.part_file.shutil.disk_usage", lambda path: usage)
    with pytest.raises(DownloadDiskFull) as full:
        fetch(file, tmp_path / "a", hub)
    assert (full.value.needed_bytes, full.value.free_bytes) == (len(DATA), 1000)
    assert not hub.file_requests("lfs")


def test_a_disk_that_fills_up_on_the_way_keeps_what_is_there(
    hub: LocalHub, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = publish(hub), small_disk / "a"
    usage = type("Usage", (), {"free": 1 << 40})()
    with monkeypatch.context() as patch:
        patch.setattr("engine.models.part_file.shutil.disk_usage", lambda path: usage)
        with pytest.raises(DownloadDiskFull):  # one after the other, so that a block is whole by then
            fetch(file, path, hub, n_connections=1)
    with pytest.raises(DownloadDiskFull):
        fetch(file, path, hub)
    kept = kept_blocks(path)
    assert kept
    resize_disk(small_disk, "32m")
    hub.seen.clear()
    fetch(file, path, hub)
    assert path.read_bytes() == DATA
    assert asked_bytes(hub) == len(DATA) - sum(kept.values())


def test_rate_and_time_left() -> None:
    now = [0.0]
    rate = Rate(0, lambda: now[0])
    assert rate.left_s(100) is None
    for second in range(1, 30):
        now[0] = second
        rate.add(second * 1000 if second < 15 else 15_000 + (second - 15) * 10)
    assert rate.bytes_per_s == pytest.approx(10)
    assert rate.left_s(100) == pytest.approx(10)


@pytest.mark.timeout(1200)
def test_killed_at_random_the_file_is_right(
    hub: LocalHub, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And what was recorded is never asked for again; the last kill comes after a block at least."""
    data = random.Random(6).randbytes(60_000_000)
    file, path = publish(hub, data), tmp_path / "模型.gguf"
    script = Path(__file__).parents[2] / "builders" / "download_process.py"
    command = [sys.executable, str(script), hub.url, REPO, hub.commit, NAME, str(path)]
    hub.fault = always(Fault(bytes_per_s=5_000_000))
    n_left = 100 if request.config.getoption("--run-slow", default=False) else 5
    while n_left:
        before = kept_blocks(path, len(data))
        hub.seen.clear()
        process = subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0.2, 2.5))
        while n_left == 1 and process.poll() is None and not kept_blocks(path, len(data)):
            time.sleep(0.05)
        process.kill()
        process.communicate()
        hub.settle()
        assert asked_bytes(hub) <= len(data) - sum(before.values()) + 1
        if path.exists():
            assert path.read_bytes() == data
            path.unlink()
            record_path(path).unlink(missing_ok=True)
        n_left -= bool(n_left > 1 or kept_blocks(path, len(data)))

    kept = kept_blocks(path, len(data))
    hub.fault = lambda seen: None
    hub.seen.clear()
    fetch(file, path, hub)
    assert path.read_bytes() == data
    assert asked_bytes(hub) == len(data) - sum(kept.values())
    assert os.listdir(tmp_path) == [path.name]
