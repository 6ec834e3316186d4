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
from engine.models.endpoints import Endpoints
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
