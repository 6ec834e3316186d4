"""Proxies of the environment, with a real one on loopback."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.request import getproxies

import pytest

from builders.hub import LocalHub
from builders.proxy import LocalProxy
from engine.models.download import Downloaded, download
from engine.models.endpoints import Endpoints, RemoteFile, find_endpoints
from engine.models.fetch_errors import NetworkSettingInvalid, Offline
from engine.models.hub import resolve
from engine.models.proxies import ProxySettingInvalid, find_proxy
from engine.models.reply import Patience

REPO = "BelleGroup/BELLE"
FAST = Patience(connect_s=2, stall_s=2, n_failures=3, backoff_s=0.01)
DATA = random.Random(3).randbytes(5_000_000)
FAR = "http://hub.invalid:8080"


@pytest.mark.parametrize(
    ("variable", "scheme", "word"),
    [
        ("http_proxy", "http://", "GET"),
        ("HTTP_PROXY", "", "GET"),
        ("ALL_PROXY", "http://", "GET"),
        ("all_proxy", "socks5://", "SOCKS"),
        ("ALL_PROXY", "socks5h://", "SOCKS"),
        ("ALL_PROXY", "socks://", "SOCKS"),
    ],
)
def test_everything_goes_through_the_proxy(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str, word: str
) -> None:
    """Also a hub whose name this machine does not know."""
    hub.add(REPO, "config.json", DATA, lfs=False)
    with LocalProxy(hub.url) as proxy:
        monkeypatch.setenv(variable, f"{scheme}{proxy.address}/")
        (file,) = resolve(REPO, Endpoints((FAR,)), patience=FAST).files
        *_, last = download(file, tmp_path / "a", Endpoints((FAR,)), patience=FAST)

    assert isinstance(last, Downloaded)
    assert (tmp_path / "a").read_bytes() == DATA
    assert len(proxy.seen) > 1
    assert set(proxy.seen) == {f"{word} hub.invalid:8080"}


@pytest.mark.parametrize(
    ("variable", "scheme", "asked"),
    [
        ("https_proxy", "http://", "CONNECT hub.invalid:443"),
        ("ALL_PROXY", "socks://", "SOCKS hub.invalid:443"),
    ],
)
def test_an_encrypted_hub_is_asked_through_the_proxy_too(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str, asked: str
) -> None:
    with LocalProxy() as proxy:
        monkeypatch.setenv(variable, f"{scheme}{proxy.address}")
        with pytest.raises(Offline):
            resolve(REPO, Endpoints(("https://hub.invalid",)), patience=FAST)
    assert proxy.seen == [asked]


def test_a_hub_that_no_proxy_names_is_asked_directly(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, "config.json", b"{}")
    with LocalProxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        monkeypatch.setenv("no_proxy", "fd00::/8,[::1],127.0.0.0/8")
        resolve(REPO, Endpoints((hub.url,)), patience=FAST)
    assert proxy.seen == []


@pytest.mark.parametrize(
    ("exceptions", "exempt"),
    [
        ("", ()),
        ("*", ("hub.example", "a.hub.example", "10.1.2.3", "[fd00::7]", "localhost")),
        ("hub.example", ("hub.example", "a.hub.example")),
        (".example", ("hub.example", "a.hub.example")),
        ("*.example", ("hub.example", "a.hub.example")),
        ("HUB.example:80, other", ("hub.example", "a.hub.example")),
        ("hub.example:81", ()),
        ("b.example,xhub.example", ()),
        ("10.0.0.0/8;fd00::/8", ("10.1.2.3", "[fd00::7]")),
        ("10.*", ("10.1.2.3",)),
        ("[fd00::7]", ("[fd00::7]",)),
        ("[fd00::7]:80", ("[fd00::7]",)),
        ("fd00::7", ("[fd00::7]",)),
        ("http://localhost", ("localhost",)),
        ("[, ]:, :, /, ://, <local>", ()),
    ],
)
def test_which_hosts_take_no_proxy(exceptions: str, exempt: tuple[str, ...]) -> None:
    settings = {"http": "http://proxy:1", "no": exceptions}
    hosts = ("hub.example", "a.hub.example", "10.1.2.3", "[fd00::7]", "localhost")
    found = [host for host in hosts if find_proxy(f"http://{host}/a", settings) is None]
    assert tuple(found) == exempt


def test_the_proxy_of_the_scheme_goes_before_the_one_for_all() -> None:
    settings = {"https": "proxy:1", "all": "socks://127.0.0.1:7890/"}
    assert find_proxy("https://hub.example/a", settings) == "http://proxy:1"
    assert find_proxy("http://hub.example/a", settings) == "socks5://127.0.0.1:7890/"
    assert find_proxy("http://hub.example/a", {}) is None


@pytest.mark.parametrize(
    "value",
    ["http://127.0.0.1:abc", "socks4://127.0.0.1:1", "http://", "http://[::1", "http://h:99999", "a b"],
)
def test_a_proxy_that_is_none_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(NetworkSettingInvalid) as invalid:
        resolve(REPO, Endpoints((FAR,)), patience=FAST)
    assert invalid.value.setting == f"HTTP_PROXY={value}"
    # What does not need it is not kept from its work.
    assert find_proxy("https://hub.example", getproxies()) is None


def test_a_password_is_not_told() -> None:
    with pytest.raises(ProxySettingInvalid) as invalid:
        find_proxy("http://hub.example", {"all": "http://me:secret@proxy:abc"})
    assert invalid.value.setting == "ALL_PROXY=http://***@proxy:abc"


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "CHATBELLE_MIRRORS"])
@pytest.mark.parametrize(
    "value",
    ["https://[::1", "https://hub:port", "ftp://hub", "https://", "https://h:99999", "[x", "https://a^b"],
)
def test_a_hub_that_is_none_is_told_by_its_variable(tmp_path: Path, variable: str, value: str) -> None:
    environment = {"HF_HOME": str(tmp_path), "HF_TOKEN": "t", variable: value}
    endpoints = find_endpoints(environment)
    with pytest.raises(NetworkSettingInvalid) as invalid:
        resolve(REPO, endpoints, patience=FAST)
    assert invalid.value.setting == f"{variable}={value}"
    with pytest.raises(NetworkSettingInvalid):
        list(download(RemoteFile(REPO, "main", "a"), tmp_path / "a", endpoints, patience=FAST))


def test_the_bare_name_of_a_hub_is_enough(tmp_path: Path) -> None:
    found = find_endpoints(
        {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "hf-mirror.com/", "CHATBELLE_MIRRORS": "a.example:8443"}
    )
    assert found.hubs == ("https://hf-mirror.com", "https://a.example:8443")
    assert found.unusable is None
