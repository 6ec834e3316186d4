"""Whether a hub can be reached at all: told from routes and settings, without sending anything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

import pytest

from builders.processes import python_environment
from engine.models import network
from engine.models.endpoints import Endpoints
from engine.models.network import why_offline

FAR = Endpoints(("https://hub.invalid",))
PROGRAM = """
from engine.models.endpoints import Endpoints
from engine.models.network import why_offline
far = Endpoints(("https://hub.invalid",))
print(why_offline(far, {}), why_offline(far, {"https_proxy": "http://10.0.0.1:8080"}))
print(why_offline(Endpoints(("http://127.0.0.1:9",)), {}))
"""


class _Sockets:
    """Stands in for the module `socket`: `connect` succeeds for some addresses; nothing else can be done."""

    AF_INET, AF_INET6, SOCK_DGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_DGRAM

    def __init__(self, *routes: str) -> None:
        self.routes = routes
        self.asked: list[str] = []

    def socket(self, family: int, kind: int) -> _Sockets:
        assert kind == socket.SOCK_DGRAM
        return self

    def __enter__(self) -> _Sockets:
        return self

    def __exit__(self, *unused: object) -> None:
        pass

    def connect(self, address: tuple[str, int]) -> None:
        self.asked.append(address[0])
        if not any(address[0].startswith(route) for route in self.routes):
            raise OSError(101, "Network is unreachable")


@pytest.mark.parametrize(
    ("routes", "expected"),
    [((), "unreachable"), (("192.0.2.",), None), (("203.0.113.",), None), (("2001:db8:",), None)],
)
def test_without_a_route_anywhere_it_is_offline(
    monkeypatch: pytest.MonkeyPatch, routes: tuple[str, ...], expected: str | None
) -> None:
    sockets = _Sockets(*routes)
    monkeypatch.setattr(network, "socket", sockets)
    assert why_offline(FAR, {}) == expected
    # Only the blocks kept for documentation are asked for.
    allowed = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")
    assert all(address.startswith(allowed) for address in sockets.asked)


@pytest.mark.parametrize(
    "endpoints",
    [
        Endpoints(("http://127.0.0.1:8080",)),
        Endpoints(("http://localhost:8080", "https://hub.invalid")),
        Endpoints(("https://hub.invalid", "http://[::1]:8080")),
        Endpoints(("http://192.168.7.9",)),
    ],
)
def test_a_hub_on_this_machine_or_a_known_way_to_one_is_enough(
    monkeypatch: pytest.MonkeyPatch, endpoints: Endpoints
) -> None:
    monkeypatch.setattr(network, "socket", _Sockets("192.168.7."))
    assert why_offline(endpoints, {}) is None


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_a_way_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(network, "socket", _Sockets())
    assert why_offline(FAR, {name: "http://10.0.0.1:8080"}) is None
    assert why_offline(FAR, {name: ""}) == "unreachable"


def test_a_proxy_of_the_systems_settings_counts_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "socket", _Sockets())
    monkeypatch.setattr(network, "getproxies", lambda: {"https": "http://10.0.0.1:8080"})
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert why_offline(FAR) is None
    assert why_offline(FAR, {}) == "unreachable"


def test_without_hubs_it_is_offline_whatever_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = _Sockets("192.0.2.")
    monkeypatch.setattr(network, "socket", sockets)
    proxies = {"https_proxy": "http://10.0.0.1:8080"}
    assert why_offline(Endpoints(()), proxies) == "unreachable"
    assert why_offline(Endpoints((), is_forbidden=True), proxies) == "forbidden"
    assert sockets.asked == []


def test_settings_that_are_no_addresses_are_not_taken_for_being_offline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks then is told which of them is wrong."""
    monkeypatch.setattr(network, "socket", _Sockets())
    assert why_offline(Endpoints((), unusable="HF_ENDPOINT=https://[::1"), {}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_a_machine_whose_network_is_gone_is_offline() -> None:
    """A process in a network namespace of its own: the same program as above finds no way."""
    unshare = shutil.which("unshare")
    command = [str(unshare), "--net", "--map-root-user", sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=False)
    if unshare is None or (result.returncode and "unshare" in result.stderr):
        pytest.skip("no network namespaces here")
    assert result.stdout.split() == ["unreachable", "None", "None"], result.stderr
