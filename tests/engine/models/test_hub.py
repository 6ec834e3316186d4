"""What a hub says about repositories, with the real huggingface_hub as the oracle of the local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from builders.hub import Fault, LocalHub
from builders.processes import python_environment
from engine.models.endpoints import Endpoints, RemoteFile
from engine.models.failover import Failover
from engine.models.fetch_errors import (
    HubAnswerInvalid,
    NetworkForbidden,
    NotOnHub,
    Offline,
    SearchRefused,
    SourceContradicts,
)
from engine.models.hub import is_repo_name, resolve, search
from engine.models.ranges import Extent, ReadAhead, ReadStopped
from engine.models.transport import Patience

REPO = "BelleGroup/BELLE-7B-2M"
FAST = Patience(connect_s=2, stall_s=2, n_failures=3, backoff_s=0.01)

HUGGING_FACE_HUB = """
import json, sys
from huggingface_hub import HfApi, hf_hub_download
url, repo, folder = sys.argv[1:]
info = HfApi(endpoint=url).model_info(repo, files_metadata=True)
path = hf_hub_download(repo, "model.bin", endpoint=url, cache_dir=folder)
found = [m.id for m in HfApi(endpoint=url).list_models(search="belle", limit=5)]
files = [[s.rfilename, s.size, s.lfs.sha256 if s.lfs else None, s.blob_id] for s in info.siblings]
print(json.dumps([info.sha, files, path, found]))
"""


def test_the_real_client_and_ours_see_the_same(hub: LocalHub, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    hub.add(REPO, "config.json", b"{}")
    hub.add(REPO, "model.bin", data)
    arguments = [sys.executable, "-c", HUGGING_FACE_HUB, hub.url, REPO, str(tmp_path)]
    theirs = subprocess.run(
        arguments,
        env=python_environment()
        | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    commit, files, path, found = json.loads(theirs.stdout)

    ours = resolve(REPO, Endpoints((hub.url,)))

    assert Path(path).read_bytes() == data
    assert found == [REPO] == [result.name for result in search("belle", Endpoints((hub.url,)))]
    assert ours.commit == commit
    assert [file.name for file in ours.files] == [name for name, *_ in files]
    for file, (_, size, sha256, blob) in zip(ours.files, files, strict=True):
        assert (file.size_bytes, file.sha256) == (size, sha256)
        assert file.git_sha1 == (None if sha256 else blob)
        assert file.revision == commit


def test_the_next_hub_is_asked(hub: LocalHub, mirror: LocalHub) -> None:
    mirror.add(REPO, "config.json", b"{}")
    assert resolve(REPO, Endpoints((hub.url, mirror.url)), patience=FAST).license == "apache-2.0"
    with pytest.raises(NotOnHub):
        resolve("nobody/nothing", Endpoints((hub.url, mirror.url)), patience=FAST)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_search_that_is_refused_is_told_as_a_search(hub: LocalHub, status: int) -> None:
    hub.fault = lambda seen: Fault(status=status)
    with pytest.raises(SearchRefused) as refused:
        search("贝拉", Endpoints((hub.url,)), patience=FAST)

    assert (refused.value.name, refused.value.host) == ("贝拉", hub.url.removeprefix("http://"))


def test_without_a_network_it_is_said() -> None:
    with LocalHub() as hub:
        pass
    with pytest.raises(Offline):
        search("belle", Endpoints((hub.url,)), patience=FAST)


def test_a_hub_that_could_not_be_reached_is_asked_last(hub: LocalHub) -> None:
    with LocalHub() as gone:
        pass
    hub.add(REPO, "config.json", b"{}")
    endpoints = Endpoints((gone.url, hub.url))
    resolve(REPO, endpoints, patience=FAST)
    again = Failover(REPO, endpoints.hubs, FAST).pick(Event())
    assert again is not None
    assert again.url == hub.url


def test_offline_by_choice_asks_nobody() -> None:
    with pytest.raises(NetworkForbidden):
        resolve(REPO, Endpoints(()), patience=FAST)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"sha": "main", "siblings": []},
        {"sha": "a" * 40, "siblings": 3},
        {"sha": "a" * 40, "siblings": [3]},
        *(
            {"sha": "a" * 40, "siblings": [{"rfilename": name}]}
            for name in ("../x", "/x", "a//b", "a/../b", "c:\\x", "a\0b", "")
        ),
    ],
    ids=repr,
)
def test_answers_are_not_believed(hub: LocalHub, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.hub._Handler._interface", lambda self, path, query: self._json(answer))
    with pytest.raises(HubAnswerInvalid):
        resolve(REPO, Endpoints((hub.url,)), patience=FAST)


def test_a_login_page_is_no_answer(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    page = lambda self, path, query: self._reply(200, b"<html>Welcome", {})  # noqa: E731
    monkeypatch.setattr("builders.hub._Handler._interface", page)
    with pytest.raises(SourceContradicts):
        resolve(REPO, Endpoints((hub.url,)), patience=FAST)


@pytest.mark.parametrize("name", ["a", "a/b/c", "../b", "a/..", "a b/c", "", "a/b?x"])
def test_names_that_are_no_repositories(name: str) -> None:
    assert not is_repo_name(name)
    assert is_repo_name(REPO)


def read_ahead(hub: LocalHub, data: bytes, **settings: int) -> ReadAhead:
    file = hub.add(REPO, "model.bin", data)
    remote = RemoteFile(REPO, hub.commit, "model.bin", file.size_bytes, file.hash)
    return ReadAhead([remote], Endpoints((hub.url,)), FAST, **settings)


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
