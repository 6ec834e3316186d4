"""Whether it is worth asking a hub at all: known at once, from this machine's own settings and routes.

Nothing is sent: a datagram socket that is "connected" only makes the system look up a route, and the
addresses are of the blocks that RFC 5737 and RFC 3849 keep free for documentation. A route says nothing of
what is at its end; `None` means "try", not "it works".
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from engine.models.endpoints import Endpoints

WhyOffline = Literal["forbidden", "unreachable"]

# One of each block: single ones are swallowed by the routing tables of some machines.
_DOCUMENTATION = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1")
_PORT = 443
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def why_offline(endpoints: Endpoints, environ: Mapping[str, str] = os.environ) -> WhyOffline | None:
    """Why no hub can be reached: `HF_HUB_OFFLINE` forbids it, or there is none or no way out of this machine.

    A proxy is a way, and a hub on this machine needs none; settings that can't be used are told when one is
    asked. Sends nothing, and takes no time.
    """
    if endpoints.is_forbidden:
        return "forbidden"
    if endpoints.unusable is not None:
        return None
    if not endpoints.hubs:
        return "unreachable"
    if _has_proxy(environ):
        return None
    hosts = [urlsplit(hub).hostname or "" for hub in endpoints.hubs]
    if any(_is_loopback(host) for host in hosts):
        return None
    addresses = [host for host in hosts if _address(host) is not None]
    is_reachable = any(_has_route(address) for address in (*_DOCUMENTATION, *addresses))
    return None if is_reachable else "unreachable"


def _has_proxy(environ: Mapping[str, str]) -> bool:
    if any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return True
    # Windows and macOS keep one in the system's settings.
    return environ is os.environ and any(getproxies().get(name) for name in ("http", "https", "all"))


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _has_route(address: str) -> bool:
    """Whether the system knows a way there; a machine without IPv6 knows none to any such address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _PORT))
            return True
    except OSError:
        return False
