"""What a hub says about repositories, with the real huggingface_hub as the oracle of the local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from builders.hub import Fault, LocalHub, Seen
from builders.processes import python_environment
from engine.models.download import download
from engine.models.endpoints import Endpoints, RemoteFile, is_repo_name
from engine.models.failover import Failover
from engine.models.fetch_errors import (
    FetchError,
    HubAnswerInvalid,
    HubRefused,
    NetworkForbidden,
    NotOnHub,
    Offline,
    PageInstead,
    SearchRefused,
)
from engine.models.hub import resolve, search
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE-7B-2M"
FAST = Patience(connect_s=2, stall_s=2, n_failures=3, backoff_s=0.01)

# Xet's own protocol is not spoken by the local hub.
HUGGING_FACE_SETTINGS = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
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
        env=python_environment() | HUGGING_FACE_SETTINGS | {"HF_HOME": str(tmp_path / "home")},
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


def test_an_answer_may_be_compressed_though_nobody_asked_for_that(hub: LocalHub) -> None:
    hub.add(REPO, "config.json", b"{}")
    expected = resolve(REPO, Endpoints((hub.url,)))
    hub.fault = lambda seen: Fault(is_gzipped=True)
    assert resolve(REPO, Endpoints((hub.url,))) == expected
    assert [result.name for result in search("belle", Endpoints((hub.url,)))] == [REPO]


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
        {"sha": "a" * 40, "siblings": [{"rfilename": 3}]},
    ],
    ids=repr,
)
def test_answers_are_not_believed(hub: LocalHub, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.hub._Handler._interface", lambda self, path, query: self._json(answer))
    with pytest.raises(HubAnswerInvalid):
        resolve(REPO, Endpoints((hub.url,)), patience=FAST)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a//b", "a/../b", "c:\\x", "a\0b", "", "runs/10:12:33.txt"], ids=repr
)
def test_a_name_that_no_system_may_write_is_left_out(
    hub: LocalHub, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"sha": "a" * 40, "siblings": [{"rfilename": name}, {"rfilename": "model.bin"}]}
    monkeypatch.setattr("builders.hub._Handler._interface", lambda self, path, query: self._json(answer))
    assert [file.name for file in resolve(REPO, Endpoints((hub.url,)), patience=FAST).files] == ["model.bin"]


def test_a_login_page_is_no_answer(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    page = lambda self, path, query: self._reply(200, b"<html>Welcome", {})  # noqa: E731
    monkeypatch.setattr("builders.hub._Handler._interface", page)
    for ask in (resolve, search):
        with pytest.raises(PageInstead) as came:
            ask(REPO, Endpoints((hub.url,)), patience=FAST)  # type: ignore[operator]
        assert came.value.host == hub.url.removeprefix("http://")


@pytest.mark.parametrize("name", ["a", "a/b/c", "../b", "a/..", "a b/c", "", "a/b?x"])
def test_names_that_are_no_repositories(name: str) -> None:
    assert not is_repo_name(name)
    assert is_repo_name(REPO)


HUGGING_FACE_DOWNLOADS = """
import json, sys
from huggingface_hub import hf_hub_download
url, folder, *repos = sys.argv[1:]
found = {}
for repo in repos:
    try:
        path = hf_hub_download(repo, "model.bin", endpoint=url, cache_dir=folder)
        found[repo] = open(path, "rb").read().hex()
    except Exception as error:
        cause = error.__cause__
        found[repo] = [type(error).__name__, type(cause).__name__]
print(json.dumps(found))
"""
# What one repository does for a while or for ever, what the real client makes of it, and what we do.
FAULTS: dict[str, tuple[list[Fault], list[str] | None, type[FetchError] | None]] = {
    "gone/401": (
        [Fault(status=401, headers={"X-Error-Code": "RepoNotFound"})] * 9,
        ["RepositoryNotFoundError", "HTTPStatusError"],
        NotOnHub,
    ),
    "locked/401": ([Fault(status=401)] * 9, ["HfHubHTTPError", "HTTPStatusError"], HubRefused),
    "gated/403": (
        [Fault(status=403, headers={"X-Error-Code": "GatedRepo"})] * 9,
        ["GatedRepoError", "HTTPStatusError"],
        HubRefused,
    ),
    "locked/403": ([Fault(status=403)] * 9, ["LocalEntryNotFoundError", "HfHubHTTPError"], HubRefused),
    "gone/404": (
        [Fault(status=404, headers={"X-Error-Code": "EntryNotFound"})] * 9,
        ["RemoteEntryNotFoundError", "HTTPStatusError"],
        NotOnHub,
    ),
    "busy/429": ([Fault(status=429, headers={"Retry-After": "0"})], None, None),
    "ill/500": ([Fault(status=500)], None, None),
    "cut/short": ([Fault(stop_after=100_000)], None, None),
    "missing/repository": ([], ["RepositoryNotFoundError", "HTTPStatusError"], NotOnHub),
}


def _fault_of(hub: LocalHub, n_left: dict[str, int], seen: Seen) -> Fault | None:
    """The next fault of the repository that is asked for; a body is cut by the storage."""
    file = next((file for file in hub.files.values() if file.hash in seen.path), None)
    repo = file.repo if file else "/".join(seen.path.split("/")[1:3])
    faults, at = FAULTS.get(repo, ([], None, None))[0], n_left.get(repo, 0)
    is_its_place = (seen.server == "lfs" and seen.method == "GET") == (repo == "cut/short")
    if at == len(faults) or not is_its_place:
        return None
    n_left[repo] = at + 1
    return faults[at]


def test_the_real_client_and_ours_make_the_same_of_faults(hub: LocalHub, tmp_path: Path) -> None:
    for repo in FAULTS:
        if repo != "missing/repository":
            hub.add(repo, "model.bin", repo.encode() + bytes(300_000))
    counts: dict[str, int] = {}
    hub.fault = lambda seen: _fault_of(hub, counts, seen)
    arguments = [sys.executable, "-c", HUGGING_FACE_DOWNLOADS, hub.url, str(tmp_path / "theirs"), *FAULTS]
    environment = python_environment() | HUGGING_FACE_SETTINGS | {"HF_HOME": str(tmp_path / "home")}
    theirs = json.loads(subprocess.check_output(arguments, env=environment, stderr=subprocess.DEVNULL))
    assert counts["cut/short"] == counts["ill/500"] == counts["busy/429"] == 1

    counts.clear()
    for repo, (_, their_errors, our_error) in FAULTS.items():
        file, path = RemoteFile(repo, "main", "model.bin"), tmp_path / repo
        work = download(file, path, Endpoints((hub.url,)), patience=FAST)
        if our_error is None:
            assert list(work)
            assert theirs[repo] == path.read_bytes().hex()
        else:
            assert theirs[repo] == their_errors
            with pytest.raises(our_error):
                list(work)
