"""What answers mean: which headers are hashes, and which addresses are asked again."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from builders.hub import Fault, HubFile, LocalHub
from engine.models.download import Downloaded, download
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.fetch_errors import HubRefused, NotOnHub, SourceContradicts, SourcesFailed
from engine.models.reply import AttemptFailed, Patience
from engine.models.transport import Transport

REPO, NAME = "BelleGroup/BELLE", "模型.gguf"
FAST = Patience(connect_s=2, stall_s=2, n_failures=3, backoff_s=0.01)
DATA = random.Random(2).randbytes(9_500_000)


def remote(hub: LocalHub, file: HubFile) -> RemoteFile:
    return RemoteFile(file.repo, hub.commit, file.name, file.size_bytes, file.hash)


def fetch(file: RemoteFile, path: Path, *hubs: LocalHub) -> Downloaded:
    *_, last = download(file, path, Endpoints(tuple(hub.url for hub in hubs)), patience=FAST)
    assert isinstance(last, Downloaded)
    return last


@pytest.mark.parametrize("tag", ["ab" * 32, "cd" * 20, None])
def test_the_etag_of_a_storage_is_no_hash(hub: LocalHub, tmp_path: Path, tag: str | None) -> None:
    """Xet's is as long as a SHA-256, and comes without the hub's headers once the storage is known."""
    file = remote(hub, hub.add(REPO, NAME, DATA))
    if tag is not None:
        hub.fault = lambda seen: Fault(etag=tag) if seen.server == "lfs" else None
    for known in (file, replace(file, size_bytes=None, sha256=None)):
        path = tmp_path / str(known.size_bytes)
        assert fetch(known, path, hub).sha256 == file.sha256
        assert path.read_bytes() == DATA
    # The storage was asked directly as well, not only through the hub.
    assert len(hub.file_requests("lfs")) > len(hub.file_requests("hub"))


def test_what_the_hub_says_of_the_content_holds_for_later_answers_too(hub: LocalHub) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    (url,) = Endpoints((hub.url,)).locations(file)
    with Transport(Endpoints((hub.url,)), FAST) as transport:
        for _ in range(2):
            with transport.open_range(url, file, 0, 1) as reply:
                assert reply.content_hash == file.sha256
                assert reply.version != file.sha256
    assert [seen.server for seen in hub.file_requests()] == ["hub", "lfs", "lfs"]


@pytest.mark.parametrize("tag", ["cd" * 20, "cd" * 32])
def test_the_etag_of_an_address_is_no_hash(hub: LocalHub, tmp_path: Path, tag: str) -> None:
    entry = hub.add(REPO, NAME, DATA)
    hub.fault = lambda seen: Fault(etag=tag)
    file = RemoteFile("", "", NAME, address=f"{hub.lfs_url}/lfs/{entry.hash}")
    assert fetch(file, tmp_path / "a", hub).sha256 == entry.hash
    ranges = [(seen.range or "")[6:].split("-") for seen in hub.file_requests()]
    assert sum(int(stop) - int(start) + 1 for start, stop in ranges) == len(DATA) + 1


def test_a_storage_that_goes_away_is_asked_of_the_hub_again(
    hub: LocalHub, mirror: LocalHub, tmp_path: Path
) -> None:
    """The hub redirects to another one then; the mirror is that one here, and no source by itself."""
    file = remote(hub, hub.add(REPO, NAME, DATA))
    mirror.add(REPO, NAME, DATA)
    hub.fault = lambda seen: Fault(bytes_per_s=1_000_000) if seen.server == "lfs" else None
    events = download(file, tmp_path / "a", Endpoints((hub.url,)), patience=FAST, n_connections=2)
    for event in events:
        if not isinstance(event, Downloaded) and event.done_bytes > 1_000_000:
            break
    hub.close_storage()
    hub.lfs_url = mirror.lfs_url
    assert list(events)
    assert (tmp_path / "a").read_bytes() == DATA
    assert {seen.server for seen in mirror.seen} == {"lfs"}


def test_a_storage_that_fails_is_asked_of_the_hub_again(hub: LocalHub) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    (url,) = Endpoints((hub.url,)).locations(file)
    with Transport(Endpoints((hub.url,)), FAST) as transport:
        for status in (None, 503, 500):
            answers = [Fault(status=status)] if status else []
            hub.fault = lambda seen, left=answers: left.pop() if seen.server == "lfs" and left else None
            with transport.open_range(url, file, 0, 10) as reply:
                assert b"".join(reply.chunks()) == DATA[:10]
    assert [seen.server for seen in hub.file_requests()] == ["hub", "lfs", *["lfs", "hub", "lfs"] * 2]


def test_a_storage_that_breaks_off_is_asked_of_the_hub_again(hub: LocalHub) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    (url,) = Endpoints((hub.url,)).locations(file)
    faults = [Fault(stop_after=5)]
    hub.fault = lambda seen: faults.pop() if seen.server == "lfs" and faults else None
    with Transport(Endpoints((hub.url,)), FAST) as transport:
        with (
            pytest.raises(AttemptFailed) as failed,
            transport.open_range(url, file, 0, 10) as reply,
        ):
            list(reply.chunks())
        with transport.open_range(url, file, 0, 10) as reply:
            data = b"".join(reply.chunks())
    assert failed.value.kind == "broken"
    assert data == DATA[:10]
    assert [seen.server for seen in hub.file_requests()] == ["hub", "lfs"] * 2


def test_nothing_is_asked_after_the_end(hub: LocalHub) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    (url,) = Endpoints((hub.url,)).locations(file)
    transport = Transport(Endpoints((hub.url,)), FAST)
    transport.close()
    with pytest.raises(AttemptFailed), transport.open_range(url, file, 0, 10):
        pass
    assert hub.seen == []


@pytest.mark.parametrize("code", ["RepoNotFound", "RevisionNotFound", "EntryNotFound"])
@pytest.mark.parametrize("status", [401, 404])
def test_what_is_missing_is_not_called_refused(hub: LocalHub, tmp_path: Path, status: int, code: str) -> None:
    """https://huggingface.co answers 401 for what may be private."""
    file = remote(hub, hub.add(REPO, NAME, DATA))
    hub.fault = lambda seen: Fault(status=status, headers={"X-Error-Code": code})
    with pytest.raises(NotOnHub):
        fetch(file, tmp_path / "a", hub)


@pytest.mark.parametrize("code", [None, "GatedRepo"])
@pytest.mark.parametrize("status", [401, 403])
def test_what_is_refused_is_not_called_missing(
    hub: LocalHub, tmp_path: Path, status: int, code: str | None
) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    hub.fault = lambda seen: Fault(status=status, headers={"X-Error-Code": code} if code else {})
    with pytest.raises(HubRefused):
        fetch(file, tmp_path / "a", hub)


def test_storage_that_refuses_has_failed_and_not_refused(hub: LocalHub, tmp_path: Path) -> None:
    file = remote(hub, hub.add(REPO, NAME, DATA))
    hub.fault = lambda seen: Fault(status=403) if seen.server == "lfs" else None
    with pytest.raises(SourcesFailed) as failed:
        fetch(file, tmp_path / "a", hub)
    assert failed.value.reason == "HTTP 403"  # a word would be of one language


def test_a_page_of_unknown_length_is_no_part_of_a_file(hub: LocalHub, tmp_path: Path) -> None:
    """The login page of a hotel's network, instead of the first answers."""
    data = DATA[:3_000_000]  # of one request, so that the page is as much as was asked for
    file = remote(hub, hub.add(REPO, NAME, data))
    pages = [Fault(is_page=True)] * 2
    hub.fault = lambda seen: pages.pop() if pages else None
    fetch(file, tmp_path / "a", hub)
    assert (tmp_path / "a").read_bytes() == data
    ranges = [(seen.range or "")[6:].split("-") for seen in hub.file_requests("lfs")]
    assert sum(int(stop) - int(start) + 1 for start, stop in ranges) == len(data)


def test_a_small_file_is_known_by_what_the_hub_itself_answers(hub: LocalHub, tmp_path: Path) -> None:
    """After a redirect that stays at the hub."""
    entry = hub.add(REPO, "config.json", b'{"a": 1}')
    fetch(RemoteFile(REPO, hub.commit, "config.json"), tmp_path / "a", hub)
    wrong = RemoteFile(REPO, hub.commit, "config.json", entry.size_bytes, git_sha1="0" * 40)
    with pytest.raises(SourceContradicts):
        fetch(wrong, tmp_path / "b", hub)
