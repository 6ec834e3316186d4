"""Which proxy a request takes: as the environment says, or the system's settings on Windows and macOS.

httpx reads the same variables, and fails at values that other programs take: `socks://`, as Clash and v2ray
write it, or blocks of addresses in NO_PROXY. They are understood here, and what can't be used is told with
the variable's name, once something is to go through it. Certificates come from the environment as well.
"""

from __future__ import annotations

import ipaddress
import os
import re
from fnmatch import fnmatchcase
from threading import Lock
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from engine.models.endpoints import is_address, origin, shown_setting

_SCHEMES = ("http", "https", "socks5", "socks5h")


class ProxySettingInvalid(Exception):
    """A proxy that must be used can't be; setting: `NAME=value`, without a password."""

    def __init__(self, setting: str) -> None:
        super().__init__(setting)
        self.setting = setting


class ProxiedTransport(httpx.BaseTransport):
    """Sends every request through the proxy that its address takes, or directly."""

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._settings = getproxies()
        self._certificates = httpx.create_ssl_context()
        self._transports: dict[str | None, httpx.HTTPTransport] = {}
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `ProxySettingInvalid` besides what httpx raises."""
        proxy = find_proxy(str(request.url), self._settings)
        with self._lock:
            transport = self._transports.get(proxy)
            if transport is None:
                transport = httpx.HTTPTransport(verify=self._certificates, limits=self._limits, proxy=proxy)
                self._transports[proxy] = transport
        return transport.handle_request(request)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def find_proxy(url: str, settings: dict[str, str]) -> str | None:
    """The proxy for an address, None for none. settings: as `urllib.request.getproxies` gives them.

    Raises `ProxySettingInvalid`.
    """
    if _is_exempt(url, settings.get("no", "")):
        return None
    for kind in (urlsplit(url).scheme, "all"):
        value = settings.get(kind, "").strip()
        if value:
            return _proxy_address(kind, value)
    return None


def _proxy_address(kind: str, value: str) -> str:
    address = re.sub("^socks://", "socks5://", value, flags=re.IGNORECASE)
    address = address if "://" in address else f"http://{address}"
    if not is_address(address, _SCHEMES):
        raise ProxySettingInvalid(shown_setting(_variable(kind), value))
    return address


def _variable(kind: str) -> str:
    name = f"{kind}_proxy"
    return name if os.environ.get(name) else name.upper()


def _is_exempt(url: str, exceptions: str) -> bool:
    """Whether NO_PROXY names the host: itself, a domain above it, a pattern, or a block of addresses."""
    _, host, port = origin(url)
    return any(_names(entry, host, str(port)) for entry in re.split(r"[,;\s]+", exceptions.lower()) if entry)


def _names(entry: str, host: str, port: str) -> bool:
    entry = entry.rpartition("://")[2]
    bracketed = re.fullmatch(r"\[([^]]*)\](?::(\d+))?", entry)
    with_port = bracketed or re.fullmatch(r"([^:]*):(\d+)", entry)
    if with_port:
        if with_port[2] not in (None, port):
            return False
        entry = with_port[1]
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        domain = entry.removeprefix("*").removeprefix(".")
        return host == domain or host.endswith(f".{domain}") or fnmatchcase(host, entry)
