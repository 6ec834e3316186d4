"""Which hubs are asked in which order, and who sees the token."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils._headers import get_token_to_send

from builders.hub import Fault, LocalHub
from engine.models.download import download
from engine.models.endpoints import HUGGING_FACE, HUGGING_FACE_MIRROR, Endpoints, RemoteFile, find_endpoints
from engine.models.hub import resolve, search
from engine.models.ranges import ReadAhead
from engine.models.reply import Patience

REPO, NAME = "BelleGroup/BELLE", "模型.gguf"
FAST = Patience(connect_s=2, stall_s=2, n_failures=2, backoff_s=0.01)
DATA = os.urandom(5_000_000)
TOKEN = "hf_secret"


def test_the_order_of_the_hubs(tmp_path: Path) -> None:
    nowhere = {"HF_HOME": str(tmp_path)}
    assert find_endpoints(nowhere).hubs == (HUGGING_FACE, HUGGING_FACE_MIRROR)
    own = find_endpoints({**nowhere, "HF_ENDPOINT": "https://hub.example/"})
    assert own.hubs == ("https://hub.example", HUGGING_FACE, HUGGING_FACE_MIRROR)
    mirrored = find_endpoints({**nowhere, "HF_ENDPOINT": HUGGING_FACE_MIRROR})
    assert mirrored.hubs == (HUGGING_FACE_MIRROR, HUGGING_FACE)
    only = find_endpoints({**nowhere, "HF_ENDPOINT": "http://127.0.0.1:1", "CHATBELLE_MIRRORS": ""})
    assert (only.hubs, only.modelscope) == (("http://127.0.0.1:1",), None)
    assert find_endpoints({**nowhere, "HF_HUB_OFFLINE": "1"}).hubs == ()
    (tmp_path / "token").write_text("stored\n")
    assert find_endpoints(nowhere).token == "stored"
    assert find_endpoints({**nowhere, "HF_TOKEN": " t "}).token == "t"


@pytest.mark.parametrize("disabled", ["", "0", "true"])
@pytest.mark.parametrize("stored", ["", "stored\n", "sto\r\nred"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"HF_TOKEN": " a\nb "},
        {"HF_TOKEN": " ", "HUGGING_FACE_HUB_TOKEN": "old"},
        {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "old"},
        {"HF_TOKEN_PATH": "$HF_HOME/elsewhere"},
        {"HF_TOKEN_PATH": "/nowhere"},
    ],
    ids=str,
)
def test_the_token_is_the_one_that_the_real_client_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], stored: str, disabled: str
) -> None:
    environ = {"HF_HOME": str(tmp_path), "HF_HUB_DISABLE_IMPLICIT_TOKEN": disabled, **settings}
    (tmp_path / "token").write_text(stored, newline="")
    (tmp_path / "elsewhere").write_text("another")
    with monkeypatch.context() as patch:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_OIDC_RESOURCE"):
            patch.delenv(name, raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        importlib.reload(constants)
        expected = get_token_to_send(None)
        found = find_endpoints(environ).token
    importlib.reload(constants)

    assert found == expected


@pytest.mark.parametrize(
    ("settings", "shown_to"),
    [
        ({}, ["https://huggingface.co"]),
        ({"HF_ENDPOINT": "https://huggingface.co:443/"}, ["https://huggingface.co"]),
        ({"HF_ENDPOINT": "https://hf-mirror.com"}, ["https://huggingface.co"]),
        ({"HF_ENDPOINT": "hf-mirror.com", "CHATBELLE_MIRRORS": ""}, []),
        ({"HF_ENDPOINT": "https://www.hf-mirror.com"}, ["https://huggingface.co"]),
        ({"HF_ENDPOINT": "https://hub.example"}, ["https://hub.example"]),
        ({"HF_ENDPOINT": "https://hub.example", "CHATBELLE_MIRRORS": ""}, ["https://hub.example"]),
        ({"CHATBELLE_MIRRORS": "https://hub.example"}, ["https://huggingface.co"]),
        (
            {"HF_ENDPOINT": "https://hf-mirror.com", "CHATBELLE_MIRRORS": "https://hub.example"},
            [],
        ),
        (
            {"HF_ENDPOINT": "https://hub.example", "CHATBELLE_MIRRORS": "huggingface.co"},
            ["https://hub.example"],
        ),
    ],
    ids=str,
)
def test_who_sees_the_token(tmp_path: Path, settings: dict[str, str], shown_to: list[str]) -> None:
    endpoints = find_endpoints({"HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN, **settings})
    places = (
        "https://huggingface.co",
        "https://hub.example",
        "https://hf-mirror.com",
        "https://www.hf-mirror.com",
        "https://modelscope.cn",
        "http://huggingface.co",
        "https://cdn-lfs.huggingface.co",
    )
    assert [place for place in places if endpoints.token_for(f"{place}/a")] == shown_to
    assert TOKEN not in repr(endpoints)


def test_a_stored_token_is_for_no_other_hub_than_the_public_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    endpoints = find_endpoints({"HF_HOME": str(tmp_path), "HF_ENDPOINT": "https://hub.example"})

    assert endpoints.token == TOKEN
    assert endpoints.token_for("https://hub.example/a") is None
    assert endpoints.token_for("https://huggingface.co/a") == TOKEN


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://hub.example/a", True),
        ("https://hub.example:443/a", True),
        ("https://hub.example:8443/a", False),
        ("http://hub.example/a", False),
        ("https://hub.example.evil/a", False),
        ("https://hub.example@evil/a", False),
        ("https://cdn.hub.example/a", False),
    ],
)
def test_the_token_stays_at_its_host(url: str, is_shown: bool) -> None:
    endpoints = Endpoints(("https://hub.example", "https://mirror.example"), token=TOKEN)
    assert (endpoints.token_for(url) == TOKEN) is is_shown


def test_a_token_is_not_sent_in_the_clear() -> None:
    assert Endpoints(("http://hub.example",), token=TOKEN).token_for("http://hub.example/a") is None


def _download(file: RemoteFile, endpoints: Endpoints, folder: Path) -> None:
    list(download(file, folder / "a", endpoints, patience=FAST))


def _resolve(file: RemoteFile, endpoints: Endpoints, folder: Path) -> None:
    resolve(file.repo, endpoints, patience=FAST)


def _search(file: RemoteFile, endpoints: Endpoints, folder: Path) -> None:
    search("belle", endpoints, patience=FAST)


def _read(file: RemoteFile, endpoints: Endpoints, folder: Path) -> None:
    with ReadAhead([file], endpoints, FAST) as ahead:
        for start in (0, 3_000_000, 10):
            assert ahead.read_at(NAME, start, 1_000_000) == DATA[start:][:1_000_000]


@pytest.mark.parametrize("work", [_download, _resolve, _search, _read])
def test_no_mirror_and_no_storage_ever_sees_the_token(
    hub: LocalHub,
    mirror: LocalHub,
    tmp_path: Path,
    work: Callable[[RemoteFile, Endpoints, Path], None],
) -> None:
    """The hub fails on the way, and the mirror goes on."""
    entry = hub.add(REPO, NAME, DATA)
    mirror.add(REPO, NAME, DATA)
    broken = [Fault(stop_after=500_000)] if work in (_download, _read) else []
    hub.fault = lambda seen: (
        None if seen.server == "hub" and broken else broken.pop() if broken else Fault(status=500)
    )
    file = RemoteFile(REPO, hub.commit, NAME, entry.size_bytes, entry.hash)

    work(file, Endpoints((hub.url, mirror.url), token=TOKEN), tmp_path)

    shown = {seen.server for seen in hub.seen if "authorization" in seen.headers}
    assert shown == {"hub"}
    assert mirror.seen
    assert not [seen for seen in mirror.seen if "authorization" in seen.headers]
    assert all(TOKEN not in seen.path for seen in (*hub.seen, *mirror.seen))
